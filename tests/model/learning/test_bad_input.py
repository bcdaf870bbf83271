"""
What becomes of bad input: either it is refused, saying what, why and what next, or it is taken in a documented way.

Nothing here may end in a PASS, in a traceback, or only after minutes of training. Damaged files are in
tests/fuzz and test_pictures.py, damaged model files and checkpoints in tests/model/network.
"""

import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from typer.testing import CliRunner

from cli.main import app
from core.errors import FlawlineError, ModelUnusable, SettingsInvalid
from model.architecture import named
from model.fixture import Fixture, FixtureMismatch
from model.golden import read_golden
from model.learning import LearnOptions, Learnt, learn
from model.pace import Budget
from model.pictures import PictureUnreadable, read_picture
from model.predictor import Predictor
from model.split import LearningImpossible
from tests.model.learning.conftest import SMALL, part, write
from tests.model.network.released import light

OPTIONS = LearnOptions(
    architecture=SMALL, budget=Budget(iterations=2), size=64, runtime="torch", threads=1, capability=False
)
TINY = ("--budget", "2it", "--size", "64")
SIDE = 64

Command = Callable[..., str]
Picture = NDArray[np.uint8]


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Command]:
    """`flawline …` in this process: what it prints; a refusal is raised as it is."""
    for name, value in (("DATA", str(tmp_path / "data")), ("WORKER__RUNTIME", "torch"), ("WORKER__THREADS", "1")):
        monkeypatch.setenv(f"FLAWLINE_{name}", value)
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def run(*arguments: object) -> str:
        result = CliRunner().invoke(app, [str(argument) for argument in arguments])
        if isinstance(result.exception, FlawlineError):
            raise result.exception
        assert result.exit_code == 0, result.output
        return " ".join(result.output.split())

    yield run
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def good(tmp_path: Path) -> Path:
    """Twelve good parts."""
    for number in range(12):
        write(tmp_path / f"good/{number:02}.png", part(number))
    return tmp_path / "good"


@pytest.fixture(scope="module")
def learnt(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Learnt:
    """A small model, trained for two iterations."""
    return learn(folder, tmp_path_factory.mktemp("bad") / "m.safetensors", options=OPTIONS)


def grey_part(number: int) -> Picture:
    """A part without colour, (H, W)."""
    return np.asarray(cv2.cvtColor(part(number), cv2.COLOR_RGB2GRAY), dtype=np.uint8)


# Pictures that hold no numbers


def floating(path: Path, value: float) -> Path:
    """A TIFF of floating-point pixels, one of them of this value."""
    pixels = grey_part(0).astype(np.float32) / 255
    pixels[5, 5] = value
    Image.fromarray(pixels).save(path)
    return path


@pytest.mark.parametrize("value", [np.nan, np.inf, 0.5])
def test_floating_point_pixels_are_no_picture_nan_or_not(value: float, tmp_path: Path) -> None:
    with pytest.raises(PictureUnreadable, match=r"float\.tiff: has floating-point pixels.*save 8 or 16 bits"):
        read_picture(floating(tmp_path / "float.tiff", value))


def test_a_nan_picture_among_good_ones_is_left_out_and_named(good: Path, command: Command) -> None:
    floating(good / "float.tiff", np.nan)
    told = command("train", "ring", good, *TINY)
    assert "left out float.tiff: has floating-point pixels" in told
    assert "from 8 good parts, calibrated on 4 others" in told


def test_where_no_picture_holds_numbers_nothing_is_learnt(tmp_path: Path, command: Command) -> None:
    (tmp_path / "nan").mkdir()
    for number in range(6):
        floating(tmp_path / f"nan/{number}.tiff", np.nan)
    with pytest.raises(SettingsInvalid, match=r"none of the pictures can be read.*\.tiff: has floating-point pixels"):
        command("train", "ring", tmp_path / "nan", *TINY)


@pytest.mark.parametrize("kind", [np.float32, np.float64, np.uint16, np.int32])
def test_an_array_of_other_numbers_is_no_picture(kind: type, learnt: Learnt) -> None:
    predictor = Predictor.load(learnt.path, runtime="torch", threads=1)
    wrong: NDArray[Any] = part(0).astype(kind)
    if np.issubdtype(kind, np.floating):
        wrong[:] = np.nan  # would become black without a word
    with pytest.raises(ValueError, match=rf"uint8 of shape \(H, W, 3\), RGB, not {wrong.dtype}.*0 to 255"):
        predictor.inspect([wrong])
    with pytest.raises(ValueError, match="bring them into the model's fixture first"):
        predictor(wrong[None])


# Too few of them, or all the same


def test_one_good_part_is_too_few(tmp_path: Path, command: Command) -> None:
    write(tmp_path / "one/0.png", part(0))
    with pytest.raises(LearningImpossible, match=r"1 usable pictures of 1 good parts are too few.*at least 4"):
        learn(tmp_path / "one", tmp_path / "m.safetensors", options=OPTIONS)
    for words in (("train", "ring", tmp_path / "one"), ("evaluate", "--data", tmp_path / "one")):
        with pytest.raises(SettingsInvalid, match="too few to learn from: at least 4 are needed"):
            command(*words, *TINY)
    assert not (tmp_path / "m.safetensors").exists()


@pytest.mark.parametrize("noise", [0, 1])
def test_pictures_that_are_all_the_same_are_one_part(noise: int, tmp_path: Path, command: Command) -> None:
    rng = np.random.default_rng(3)
    for number in range(20):
        same = part(0).astype(np.int16) + rng.integers(-noise, noise + 1, (SIDE, SIDE, 3))
        write(tmp_path / f"same/{number}.png", np.clip(same, 0, 255).astype(np.uint8))
    with pytest.raises(SettingsInvalid, match=r"20 usable pictures of 1 good parts.*the same shot count as one part"):
        command("train", "ring", tmp_path / "same", *TINY)


def test_pictures_without_anything_on_them_are_left_out(good: Path, tmp_path: Path, command: Command) -> None:
    write(good / "lens_cap.png", np.zeros((SIDE, SIDE, 3), np.uint8))
    assert "left out lens_cap.png: nothing to be seen on it; check the camera" in command("train", "ring", good, *TINY)
    for number in range(6):
        write(tmp_path / f"blank/{number}.png", np.full((SIDE, SIDE, 3), 40 * number, np.uint8))
    with pytest.raises(SettingsInvalid, match=r"none of the pictures can be used.*nothing to be seen"):
        command("train", "ring", tmp_path / "blank", *TINY)


# Other kinds of pixels: taken, always in the same way


def in_every_kind(folder: Path, number: int) -> dict[str, Path]:
    """The same grey part as colour, grey, 16-bit grey and with transparency."""
    grey = grey_part(number)
    colour = np.repeat(grey[:, :, None], 3, axis=2)
    see_through = np.concatenate([colour, np.full((SIDE, SIDE, 1), 128, np.uint8)], axis=2)
    folder.mkdir(exist_ok=True)
    kinds: dict[str, NDArray[np.uint8] | NDArray[np.uint16]] = {
        "rgb": colour, "grey": grey, "deep": grey.astype(np.uint16) * np.uint16(257), "rgba": see_through,
    }  # fmt: skip
    for kind, pixels in kinds.items():
        Image.fromarray(pixels).save(folder / f"{number}_{kind}.png")
    return {kind: folder / f"{number}_{kind}.png" for kind in kinds}


def test_16_bits_grey_and_transparency_give_the_same_verdict_as_8_bit_colour(learnt: Learnt, tmp_path: Path) -> None:
    predictor = Predictor.load(learnt.path, runtime="torch", threads=1)
    scores = {
        kind: predictor.inspect([read_picture(path)])[0].score
        for kind, path in in_every_kind(tmp_path / "kinds", 3).items()
    }
    assert len(scores) == 4
    assert len(set(scores.values())) == 1, scores


def test_a_product_may_be_learnt_from_any_of_them_and_dropped_transparency_is_told(
    tmp_path: Path, command: Command
) -> None:
    for number in range(12):
        kinds = list(in_every_kind(tmp_path / "all", number).values())
        for path in kinds[: number % 4] + kinds[number % 4 + 1 :]:
            path.unlink()
    told = command("train", "ring", tmp_path / "all", *TINY)
    assert "has transparency, which is dropped" in told
    assert "from 8 good parts, calibrated on 4 others" in told


# Wrong sizes


def test_one_picture_of_another_size_is_left_out_and_refused_on_the_line(
    good: Path, tmp_path: Path, command: Command
) -> None:
    write(good / "wide.png", part(20, size=(64, 96)))
    assert "left out wide.png: is 96x64 px where 12 others are 64x64" in command("train", "ring", good, *TINY)
    fixture = read_golden(sorted(good.iterdir()), budget=64).fixture
    with pytest.raises(FixtureMismatch, match="96x64"):
        fixture.apply(part(20, size=(64, 96)))
    assert fixture.apply(part(20, size=(128, 128))).shape == (64, 64, 3), "the same aspect is only resized"


@pytest.mark.parametrize("size", [(1, 1), (2, 2), (1, 64)])
def test_pictures_of_a_pixel_are_no_parts(size: tuple[int, int], tmp_path: Path) -> None:
    for number in range(6):
        write(tmp_path / f"tiny/{number}.png", np.full((*size, 3), 30 * number, np.uint8))
    with pytest.raises(LearningImpossible, match="nothing to be seen on it"):
        learn(tmp_path / "tiny", tmp_path / "m.safetensors", options=OPTIONS)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--tile", "100"), "in steps of 32"), (("--turns", "over"), "no turns 'over'; choose one of auto, none"),
        (("--roi", "0,0,65,64"), "65"), (("--size", "32"), None), (("--size", "2048"), None),
    ],
)  # fmt: skip
def test_sizes_that_cannot_be_meant_are_refused(
    words: tuple[str, ...], said: str | None, good: Path, command: Command
) -> None:
    if said is None:  # out of the option's own bounds
        with pytest.raises(AssertionError, match=r"--size.*(?:or equal to|range)"):
            command("train", "ring", good, *words)
        return
    with pytest.raises(SettingsInvalid, match=said):
        command("train", "ring", good, *TINY, *words)


def test_quarter_turns_of_oblong_pictures_are_refused(tmp_path: Path, command: Command) -> None:
    for number in range(6):
        write(tmp_path / f"long/{number}.png", part(number, size=(64, 128)))
    with pytest.raises(SettingsInvalid, match=r"cannot be turned by quarters.*choose flips or none"):
        command("train", "ring", tmp_path / "long", *TINY, "--fixture", "none", "--turns", "quarter")


# A mask that hides everything


def test_a_mask_that_hides_everything_is_refused_before_training(good: Path, tmp_path: Path, command: Command) -> None:
    seen: list[str] = []
    hidden = replace(OPTIONS, ignored=((0, 0, 40, 64), (40, 0, 24, 64)))
    with pytest.raises(LearningImpossible, match=r"hide all of the picture.*make them smaller"):
        learn(good, tmp_path / "m.safetensors", options=hidden, progress=lambda phase, *_: seen.append(phase))
    assert set(seen) <= {"pictures", "fixture"}
    for words in (("train", "ring", good), ("evaluate", "--data", good)):
        with pytest.raises(SettingsInvalid, match="hide all of the picture"):
            command(*words, *TINY, "--ignore", "0,0,64,64")
    inside = ("--roi", "8,8,32,32", "--ignore", "0,0,48,48")
    with pytest.raises(SettingsInvalid, match="hide all of the picture"):
        command("train", "ring", good, *TINY, *inside)


def test_a_mask_needs_pictures_of_one_size(tmp_path: Path, command: Command) -> None:
    for number in range(8):
        write(tmp_path / f"cut/{number}.png", part(number, size=(64, 64 + 8 * number)))
    with pytest.raises(SettingsInvalid, match=r"rectangles are ignored, but the pictures' size is not fixed"):
        command("train", "ring", tmp_path / "cut", *TINY, "--ignore", "0,0,8,8", "--fixture", "none")


# A checkpoint of another architecture


def test_a_checkpoint_of_another_backbone_is_not_imported(tmp_path: Path, command: Command) -> None:
    torch.save(light("resnet18"), tmp_path / "other.pth")
    with pytest.raises(ModelUnusable, match=r"other\.pth.*wide_resnet50_2.* more, \d+ in all"):
        command("model", "import-urd", tmp_path / "other.pth")
    assert not list(tmp_path.glob("*.safetensors"))


def test_a_model_of_another_architecture_is_not_begun_from(learnt: Learnt, good: Path, command: Command) -> None:
    assert learnt.manifest.built() != named("rd-e+gii")
    with pytest.raises(ModelUnusable, match=r"linear features.*expanded features.*ask for the same network"):
        command("train", "ring", good, *TINY, "--warm-start", learnt.path)
    with pytest.raises(ModelUnusable, match="check the path"):
        command("evaluate", "--data", good, *TINY, "--warm-start", "nowhere.safetensors")


def test_a_training_checkpoint_of_another_architecture_is_not_gone_on_with(
    good: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[str] = []
    target = tmp_path / "m.safetensors"
    with pytest.raises(RuntimeError, match="cancelled"):
        learn(
            good, target, options=OPTIONS, progress=lambda phase, *_: seen.append(phase),
            cancelled=lambda: "training teacher" in seen,
        )  # fmt: skip
    assert target.with_name("m.safetensors.checkpoint").exists()
    other = replace(OPTIONS, architecture=named("rd-e", features="linear"))
    assert learn(good, target, options=other).manifest.built() == other.architecture
    assert "belongs to a run with other settings or pictures" in caplog.text


def test_a_fixture_takes_pictures_alone() -> None:
    fixture = Fixture("none", None, 64, 64)
    wrongs: list[NDArray[Any]] = [np.zeros((64, 64), np.uint8), np.zeros((64, 64, 4), np.uint8), np.zeros((64, 64, 3))]
    for wrong in wrongs:
        with pytest.raises(ValueError, match="read files with read_picture"):
            fixture.apply(wrong)
