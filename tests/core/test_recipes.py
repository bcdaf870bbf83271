import pytest
from pydantic import ValidationError

from core.errors import SettingsInvalid
from core.recipes import Recipe, Roi
from core.verdicts import Limits


def test_a_recipe_survives_its_json() -> None:
    recipe = Recipe(
        product="ring", fixture="roi", roi=Roi(x=1, y=2, width=30, height=40), mask=(Roi(x=0, y=0, width=5, height=5),)
    )
    assert Recipe.parse(recipe.model_dump_json()) == recipe


@pytest.mark.parametrize(
    "wrong",
    [
        {"product": "Ring 1"}, {"product": "ring", "fixture": "axes"}, {"product": "ring", "flat_field": "yes"},
        {"product": "ring", "roi": {"x": 0, "y": 0, "width": 1, "height": 1}},
        {"product": "ring", "limits": {"t_lo": 2, "t_hi": 1}}, {"product": "ring", "limits": {"t_lo": "NaN"}},
        {"product": "ring", "colour": "red"}, {"product": "ring", "classes": ["x"] * 10},
        {"product": "ring", "budget": 5}, {"product": "ring", "millimetres_per_pixel": 0},
        {"product": "ring", "millimetres_per_pixel": "Infinity"},
    ],
)  # fmt: skip
def test_what_nobody_can_mean_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Recipe.model_validate(wrong)


def test_areas_are_in_square_millimetres_where_the_scale_is_known() -> None:
    assert Recipe(product="ring", millimetres_per_pixel=0.05).square_millimetres(2000) == pytest.approx(5)
    assert Recipe(product="ring").square_millimetres(2000) is None
    assert Recipe.parse('{"product": "ring"}').millimetres_per_pixel is None  # as older recipes are


def test_bad_json_is_refused_in_words() -> None:
    with pytest.raises(SettingsInvalid, match="recipe"):
        Recipe.parse("{")


def test_its_limits_are_those_of_the_decision_rule() -> None:
    recipe = Recipe.parse('{"product": "ring", "limits": {"t_lo": 0.4, "t_hi": 0.6}}')
    assert recipe.limits
    assert recipe.limits.limits() == Limits(0.4, 0.6)
