"""What a model file will say before anything is trained: so what cannot be meant is refused at once, not at the end."""

from pydantic import ValidationError

from model.code_version import code_version
from model.golden import Golden
from model.learn_options import LearnOptions
from model.manifest import DataSnapshot, Manifest
from model.predictor import valid_pixels
from model.split import LearningImpossible, Split


def draft_of(golden: Golden, split: Split, options: LearnOptions) -> Manifest:
    """All that is known before training and calibration.

    Raises LearningImpossible for ignored rectangles that these pictures do not allow, or that leave nothing to look at.
    """
    try:
        draft = Manifest(
            architecture=options.architecture.to_dict(),
            height=golden.fixture.height,
            width=golden.fixture.width,
            fixture=golden.fixture.to_dict(),
            ignored=options.ignored,
            minimum_area=options.minimum_area,
            precision=options.precision,
            data=DataSnapshot(digest=split.digest, counts=split.counts),
            code_version=code_version(),
        )
    except ValidationError as problem:
        why = problem.errors()[0]["msg"].removeprefix("Value error, ")
        raise LearningImpossible(f"{why}; ignore none, or change the fixture or the pictures") from problem
    valid = valid_pixels(draft)
    if valid is not None and not valid.any():
        raise LearningImpossible(
            "the ignored rectangles hide all of the picture, so nothing would ever be looked at: make them smaller"
        )
    return draft
