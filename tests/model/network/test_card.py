import json
from typing import Any

import pytest

from model.architecture import ABLATIONS, Architecture, Skip, named
from model.calibration import calibrate
from model.capability import Capability, Grade
from model.card import METHODS, ablation_of, card
from model.card_document import card_document
from model.fixture import Fixture
from model.manifest import CalibrationRecord, DataSnapshot, Manifest, MemoryRecord, ModelLimits, ParityRecord
from model.runtimes import Fingerprint

CALIBRATION = calibrate([0.5, 0.6, 0.75])
TRAINING: dict[str, Any] = {
    "budget": "400 iterations", "schedule": "staged", "seed": 3, "batch": 4, "witness": "both", "threads": None,
    "iterations": {"teacher": 160, "student": 240}, "losses": {"teacher": 0.123456, "student": None},
    "warm_start": "cd" * 32, "views": {"count": 80, "turns": "flips", "tile": None, "why": "flips change nothing"},
    "train_seconds": 91.25, "texture_files": [["a.png", "00"], ["b.png", "11"]],
    "twins": {"twins": 1600, "mask_redraws": 12, "ellipses": 0, "texture_redraws": 3, "forced": 0},
    "curves": [{"stage": "teacher", "network": "teacher", "iterations": [80, 160], "losses": [0.5, 0.125]},
               {"stage": "joint", "network": "student", "iterations": [1200], "losses": [0.5]}, {"stage": 3}],
    "fixtures": {"chosen": "roi", "merit": {"roi": 0.93124, "none": 0.8}},
    "calibration": {name: value for name, value in CALIBRATION.to_dict().items() if name != "scores"},
}  # fmt: skip
MEMORY = MemoryRecord(
    parts=60,
    rows=8,
    columns=12,
    student_middle=0.0,
    student_spread=1.0,
    golden_middle=0.0,
    golden_spread=1.0,
    share=0.6,
)

CAPABILITY = Capability(
    41.4,
    8,
    (
        Grade("scratch", 3.0, 60.0, 12, 11, 1),
        Grade("scratch", 1.0, 60.0, 12, 3),
        Grade("spot", 4.0, 30.0, 12, 2),
        Grade("graft", 12.5, 120.0, 3, 3),
    ),
)


def _manifest(**changes: Any) -> Manifest:
    values: dict[str, Any] = {
        "architecture": Architecture().to_dict(), "height": 64, "width": 96,
        "fixture": Fixture("roi", (10, 20, 300, 200), 64, 96, (640, 480)).to_dict(),
    }  # fmt: skip
    return Manifest(**(values | changes))


def _full() -> Manifest:
    return _manifest(
        ignored=((20, 30, 40, 50),),
        training=TRAINING,
        data=DataSnapshot(digest="ab" * 32, counts={"train": 40, "calibration": 3}),
        memory=MEMORY,
        calibration=CalibrationRecord(
            scores=CALIBRATION.scores, fingerprint=Fingerprint("openvino", "2026.4.1", "cpu", "f32")
        ),
        parity=ParityRecord(pictures=4, largest=3e-4, spread=0.1),
        limits=ModelLimits(t_lo=CALIBRATION.pass_limit, t_hi=None),
        metrics={"image_auroc": 0.98765, "au_pro": None},
        capability=CAPABILITY.to_dict(),
        code_version="0.1.0",
    )


def _rows(manifest: Manifest, **file: Any) -> dict[str, dict[str, str]]:
    return {section.title: dict(section.rows) for section in card(manifest, **file)}


def test_a_card_tells_all_that_a_model_file_says() -> None:
    told = _rows(_full(), sha256="cd" * 32, size=21_345_678)
    assert told == {
        "network": {
            "method": "rd-e+gii: RD-E with guided information injection",
            "backbone": "efficientnet_lite0, expanded features",
            "input": "96 × 64 px",
            "precision": "f32",
            "fixture": "roi: a fixed rectangle",
            "looks at": "300 × 200 px at (10, 20)",
            "pictures of": "640 × 480 px",
            "fixtures tried": "roi 0.931, none 0.800",
            "not looked at": "40 × 50 px at (20, 30)",
            "smallest region": f"{_full().minimum_area} px of the input",
        },
        "pictures": {"for train": "40", "for calibration": "3", "digest": "ab" * 32},
        "training": {
            "budget": "400 iterations",
            "schedule": "staged",
            "iterations": "teacher 160, student 240",
            "batch": "4",
            "begun from": f"the model {'cd' * 32}",
            "turned": "flips change nothing",
            "last losses": "teacher 0.1235",
            "training time": "91.2 s",
            "teacher's loss": "█▁ 0.5 to 0.125 in 160 iterations",
            "student's loss, stage joint": "▁ 0.5 to 0.5 in 1,200 iterations",
            "seed": "3",
            "twins": "1,600 made, 12 masks drawn again, 3 textures drawn again",
            "textures": "2 files",
            "witness": "both",
        },
        "limits": {
            "PASS up to": "0.7500",
            "FAIL above": "no limit is proved: nothing fails without a person",
            "false rejects": "1.00% asked, 25.00% proved",
            "false FAILs": "0.20% asked, nothing proved",
            "in words": CALIBRATION.message,
        },
        "calibration": {
            "held-out scores": "3, from 0.5000 to 0.7500",
            "their distribution": f"█{'·' * 11}█{'·' * 18}█",
            "holds for": "openvino 2026.4.1 on cpu in f32",
        },
        "runtime parity": {
            "beside PyTorch": "on 4 held-out good parts, the map of openvino in f32 differs from PyTorch's in float32 "
            "by at most 0.0003: 0.30% of the standard deviation of the held-out scores"
        },
        "golden memory": {"parts": "60", "cells": "12 × 8", "share of the map": "60%"},
        "made-up flaws": {
            "tried": "Made-up flaws, 3 to 12 of each size, on 8 good parts that were not trained on",
            "side of the part": "41 px, the root of its area",
            "spot, contrast 30": "no size is caught 95 % of the time: diameter 4 px 2 of 12",
            "scratch, contrast 60": "caught from width 3 px on (95 % interval 76% to 100% there): "
            "width 1 px 3 of 12, width 3 px 12 of 12",
            "graft, contrast 120": "fewer than 5 tried: diameter 12 px 3 of 3",
        },
        "figures": {"image_auroc": "0.9877"},
        "file": {
            "size": "21.3 MB (21,345,678 bytes)",
            "SHA-256": "cd" * 32,
            "format": "1",
            "written by flawline": "0.1.0",
        },
    }


def test_what_a_file_does_not_say_is_not_on_its_card() -> None:
    told = _rows(_manifest())
    assert told.keys() == {"network", "limits", "file"}
    assert "not looked at" not in told["network"]
    assert told["limits"] == {"calibrated": "no: it gives scores, and neither PASS nor FAIL"}
    assert told["file"] == {"format": "1"}


@pytest.mark.parametrize("strange", [None, "many", [1], {"teacher": "long"}, True, {"twins": None}])
def test_words_that_another_version_wrote_otherwise_are_left_out(strange: Any) -> None:
    training = dict.fromkeys(
        ("iterations", "losses", "twins", "texture_files", "calibration", "curves", "fixtures"), strange
    )
    told = _rows(_manifest(training=training, limits=ModelLimits(t_lo=1.0, t_hi=2.0)))
    assert set(told.get("training", {})) <= {"textures"}
    assert told["limits"] == {"PASS up to": "1.0000", "FAIL above": "2.0000"}


def test_flaws_that_there_was_no_time_for_are_told_as_such() -> None:
    told = _rows(_manifest(capability=Capability(0.0, 0, ()).to_dict()))["made-up flaws"]
    assert list(told) == ["tried"]
    assert told["tried"].startswith("No made-up flaws were tried: no time")


def test_an_imported_model_says_so() -> None:
    training = {"imported": "the authors' code", "checkpoint": "urd.pth", "checkpoint_sha256": "ef" * 32}
    told = _rows(_manifest(training=training))["training"]
    assert told == {"imported from": "the authors' code", "checkpoint": "urd.pth", "its SHA-256": "ef" * 32}


@pytest.mark.parametrize("name", ABLATIONS)
def test_every_ablation_is_known_by_its_name(name: str) -> None:
    architecture = named(name, backbone="resnet18")
    assert ablation_of(architecture) == name
    told = _rows(_manifest(architecture=architecture.to_dict()))["network"]
    assert told["method"] == f"{name}: {METHODS[name]}"
    assert told["backbone"] == "resnet18"


def test_a_combination_without_a_name_is_described() -> None:
    architecture = Architecture(skip=Skip.PLAIN, expert=False)
    assert ablation_of(architecture) is None
    told = _rows(_manifest(architecture=architecture.to_dict()))["network"]
    assert told["method"] == "skip plain, expert off"


def test_on_pytorch_itself_there_is_nothing_to_compare() -> None:
    told = _rows(_manifest(parity=ParityRecord(pictures=0, largest=0.0, spread=0.1)))
    assert told["runtime parity"] == {"beside PyTorch": "the runtime is PyTorch in float32 itself"}


def test_a_card_as_a_document_has_its_words_and_its_numbers() -> None:
    document = card_document(_full(), sha256="cd" * 32, size=7, fixture_picture="model/a.fixture.png")
    assert json.loads(json.dumps(document, allow_nan=False)) == document
    assert (document["sha256"], document["bytes"], document["code_version"]) == ("cd" * 32, 7, "0.1.0")
    assert [section["title"] for section in document["sections"]] == [
        section.title for section in card(_full(), sha256="cd" * 32, size=7)
    ]
    assert document["curves"] == TRAINING["curves"][:2]
    assert document["calibration"]["scores"] == sorted(CALIBRATION.scores)
    assert document["calibration"]["message"] == CALIBRATION.message
    assert document["fixture"]["merit"] == TRAINING["fixtures"]["merit"]
    assert document["fixture"]["picture"] == "model/a.fixture.png"
    assert document["parity"]["share"] == pytest.approx(0.003)
    found = {(one["kind"], one["contrast"]): (one["enough"], one["size"]) for one in document["capability"]["smallest"]}
    assert found == {("spot", 30.0): (True, None), ("scratch", 60.0): (True, 3.0), ("graft", 120.0): (False, None)}
    assert document["runtime"]["runtime"] == "openvino"


def test_a_document_of_a_bare_file_has_no_numbers() -> None:
    document = card_document(_manifest())
    none = {"data", "calibration", "capability", "parity", "memory", "runtime", "sha256", "bytes"}
    assert {name for name, value in document.items() if value is None} == none
    assert (document["curves"], document["training"], document["fixture"]["merit"]) == ([], {}, {})
