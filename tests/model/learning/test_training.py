from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from model.architecture import named
from model.batches import Batches, Twins
from model.checkpoint import CheckpointInvalid
from model.foreground import Foregrounds
from model.networks import Networks, build_networks
from model.pace import Budget
from model.steps import (
    STUDENT_RATE,
    TEACHER_RATE,
    Classroom,
    FeatureCache,
    Halves,
    TrainingDiverged,
    optimisers_for,
)
from model.textures import Mixed, NormalTextures, ProceduralTextures
from model.training import Schedule, Tick, TrainingCancelled, TrainingPlan, rate_factor, stages, train
from tests.model.learning.conftest import SMALL, part


def batches_of(parts: NDArray[np.uint8], *, seed: int = 0, size: int = 2) -> Batches:
    textures = Mixed((ProceduralTextures(), NormalTextures(parts)))
    return Batches(parts, Twins(textures, Foregrounds(parts, "none"), seed), size=size)


def weights(networks: Networks) -> dict[str, torch.Tensor]:
    found = {f"teacher.{name}": value.clone() for name, value in networks.teacher.state_dict().items()}
    return found | {f"student.{name}": value.clone() for name, value in networks.student.state_dict().items()}


def equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("schedule", ["joint", "staged"])
def test_six_iterations_are_three_and_three_after_a_resume(
    schedule: Schedule, networks: Networks, parts: NDArray[np.uint8], tmp_path: Path
) -> None:
    again = build_networks(SMALL, seed=0)
    plan = TrainingPlan(Budget(iterations=6), schedule, teacher_share=1 / 3)
    whole = train(networks, batches_of(parts), plan)

    ticks: list[Tick] = []
    halting = TrainingPlan(
        Budget(iterations=6), schedule, teacher_share=1 / 3, checkpoint=tmp_path / "c", fingerprint="run"
    )
    with pytest.raises(TrainingCancelled, match="cancelled after"):
        train(again, batches_of(parts), halting, after_step=ticks.append, cancelled=lambda: len(ticks) >= 3)
    assert len(ticks) == 3
    third = build_networks(SMALL, seed=5)  # all of it must come from the checkpoint
    report = train(third, batches_of(parts), halting, after_step=ticks.append)

    assert len(ticks) == 6
    assert report.iterations == whole.iterations  # it tells of what lies before the interruption too
    assert [(one.stage, one.network, one.iterations) for one in report.curves] == [
        (one.stage, one.network, one.iterations) for one in whole.curves
    ]
    for one, other in zip(report.curves, whole.curves, strict=True):
        assert one.losses == pytest.approx(other.losses)
    assert equal(weights(networks), weights(third))
    assert not (tmp_path / "c").exists()


@pytest.mark.parametrize("schedule", ["joint", "staged"])
def test_both_networks_learn_and_the_expert_does_not(
    schedule: Schedule, networks: Networks, parts: NDArray[np.uint8]
) -> None:
    expert = {name: value.clone() for name, value in networks.expert.state_dict().items()}
    before = weights(networks)
    ticks: list[Tick] = []
    train(networks, batches_of(parts), TrainingPlan(Budget(iterations=10), schedule), after_step=ticks.append)
    after = weights(networks)
    assert all(torch.equal(value, expert[name]) for name, value in networks.expert.state_dict().items())
    assert any(not torch.equal(before[name], after[name]) for name in before if name.startswith("teacher"))
    student = [tick.losses.student for tick in ticks if tick.losses.student is not None]
    assert np.mean(student[-2:]) < np.mean(student[:2])
    assert not networks.teacher.training
    assert not networks.student.training


def test_in_the_student_s_stage_the_teacher_stands_still(networks: Networks, parts: NDArray[np.uint8]) -> None:
    kept: list[dict[str, torch.Tensor]] = []

    def keep(tick: Tick) -> None:
        kept.append({name: value.clone() for name, value in networks.teacher.state_dict().items()})

    plan = TrainingPlan(Budget(iterations=5), "staged", teacher_share=0.4)
    train(networks, batches_of(parts), plan, after_step=keep)
    assert not equal(kept[0], kept[1])
    assert equal(kept[1], kept[4])


def test_running_statistics_of_the_teacher_change_twice_per_step(networks: Networks, parts: NDArray[np.uint8]) -> None:
    def counted() -> list[int]:
        state = networks.teacher.state_dict()
        return [int(value) for name, value in state.items() if name.endswith("num_batches_tracked")]

    before = counted()
    train(networks, batches_of(parts), TrainingPlan(Budget(iterations=3), "joint"))
    assert [now - then for now, then in zip(counted(), before, strict=True)] == [6] * len(before)


def test_with_the_expert_off_only_the_student_learns(parts: NDArray[np.uint8]) -> None:
    networks = build_networks(named("rd", features="linear"))
    before = weights(networks)
    report = train(networks, batches_of(parts), TrainingPlan(Budget(iterations=3)))
    after = weights(networks)
    assert report.iterations == {"baseline": 3}
    assert all(torch.equal(before[name], after[name]) for name in before if name.startswith("teacher"))
    assert any(not torch.equal(before[name], after[name]) for name in before if name.startswith("student"))


def test_a_loss_that_is_no_number_stops_the_run_and_names_the_iteration(
    networks: Networks, parts: NDArray[np.uint8]
) -> None:
    def spoil(tick: Tick) -> None:
        if tick.iteration == 2:
            with torch.no_grad():
                next(networks.student.parameters()).fill_(float("nan"))

    plan = TrainingPlan(Budget(iterations=9), "joint")
    with pytest.raises(TrainingDiverged, match="iteration 3 of stage joint"):
        train(networks, batches_of(parts), plan, after_step=spoil)


def test_progress_tells_losses_rate_and_remaining_time(networks: Networks, parts: NDArray[np.uint8]) -> None:
    ticks: list[Tick] = []
    train(networks, batches_of(parts), TrainingPlan(Budget(iterations=3), "joint"), after_step=ticks.append)
    assert [tick.iteration for tick in ticks] == [1, 2, 3]
    assert all(tick.losses.teacher is not None and tick.losses.student is not None for tick in ticks)
    assert ticks[1].step_seconds > 0
    assert ticks[0].fraction < ticks[2].fraction <= 1
    assert ticks[1].remaining_seconds > ticks[2].remaining_seconds > 0


def test_a_time_budget_is_kept(networks: Networks, parts: NDArray[np.uint8]) -> None:
    ticks: list[Tick] = []
    report = train(networks, batches_of(parts), TrainingPlan(Budget(seconds=4), "staged"), after_step=ticks.append)
    longest = max(tick.step_seconds for tick in ticks)
    assert 3 - longest < report.seconds < 5 + 2 * longest  # half a step for each stage, and the features in between
    assert min(report.iterations["teacher"], report.iterations["student"]) >= 1


def test_half_precision_trains_too(networks: Networks, parts: NDArray[np.uint8]) -> None:
    plan = TrainingPlan(Budget(iterations=4), "staged", halves=Halves(encoders=True, student=True))
    report = train(networks, batches_of(parts), plan)
    assert report.losses.student is not None
    assert np.isfinite(report.losses.student)
    assert all(value.dtype in {torch.float32, torch.int64} for value in weights(networks).values())


def test_cached_features_are_those_that_are_computed(networks: Networks, parts: NDArray[np.uint8]) -> None:
    room = Classroom(networks, optimisers_for(networks), Halves(), torch.device("cpu"))
    batches = batches_of(parts)
    cached, computed = FeatureCache(room, batches), FeatureCache(room, batches, limit=1)
    first = cached.of_expert(batches[1])
    with torch.no_grad():
        whole = networks.expert(batches[1].normal)
        for weight in networks.expert.parameters():
            weight.zero_()  # what is still right after this was kept
    for now, then, straight in zip(cached.of_expert(batches[1]), first, whole, strict=True):
        assert torch.equal(now, then)
        assert torch.allclose(now, straight, atol=1e-4)
    assert not torch.allclose(computed.of_expert(batches[1])[0], first[0])


def test_a_checkpoint_of_another_run_is_refused(networks: Networks, parts: NDArray[np.uint8], tmp_path: Path) -> None:
    path = tmp_path / "c"
    plan = TrainingPlan(Budget(iterations=2), "joint", checkpoint=path, fingerprint="one")
    with pytest.raises(TrainingCancelled):
        train(networks, batches_of(parts), plan, cancelled=lambda: True)
    other = TrainingPlan(Budget(iterations=2), "joint", checkpoint=path, fingerprint="two")
    with pytest.raises(CheckpointInvalid, match="other settings or pictures"):
        train(networks, batches_of(parts), other)


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04 cut short"])
def test_a_damaged_checkpoint_is_refused(
    networks: Networks, parts: NDArray[np.uint8], tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "c").write_bytes(content)
    plan = TrainingPlan(Budget(iterations=1), "joint", checkpoint=tmp_path / "c")
    with pytest.raises(CheckpointInvalid, match="delete"):
        train(networks, batches_of(parts), plan)


def test_stages_share_the_budget(networks: Networks) -> None:
    plan = TrainingPlan(Budget(seconds=100), "staged", teacher_share=0.3)
    assert stages(networks, plan) == [("teacher", Budget(seconds=30)), ("student", Budget(seconds=70))]
    assert stages(networks, TrainingPlan(Budget(seconds=100), "joint")) == [("joint", Budget(seconds=100))]


def test_learning_rates_fall_along_a_cosine_or_stay() -> None:
    assert [round(rate_factor("cosine", fraction), 3) for fraction in (0, 0.5, 1)] == [1, 0.525, 0.05]
    assert rate_factor("constant", 0.9) == 1
    assert (TEACHER_RATE, STUDENT_RATE) == (1e-4, 5e-3)


def test_the_paper_s_schedule_keeps_the_paper_s_rates() -> None:
    assert TrainingPlan(Budget(iterations=1), "joint").teacher_rate == TEACHER_RATE
    assert TrainingPlan(Budget(iterations=1), "staged").teacher_rate > TEACHER_RATE


def test_rates_reach_the_optimisers(networks: Networks) -> None:
    optimisers = optimisers_for(networks, 1e-3)
    optimisers.set_factor(0.5)
    assert optimisers.teacher is not None
    assert optimisers.teacher.param_groups[0]["lr"] == 5e-4
    assert optimisers.student.param_groups[0]["lr"] == 2.5e-3


@pytest.mark.parametrize("values", [{"schedule": "hasty"}, {"rates": "steep"}, {"teacher_share": 1.0}])
def test_an_impossible_plan_is_refused(values: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"schedule|share"):
        TrainingPlan(Budget(iterations=1), **values)  # type: ignore[arg-type]


def test_a_batch_depends_on_seed_and_iteration_alone(parts: NDArray[np.uint8]) -> None:
    one, other = batches_of(parts), batches_of(parts)
    other[0], other[7]
    for _ in range(2):
        first, second = one[3], other[3]
        assert torch.equal(first.marred, second.marred)
        assert torch.equal(first.normal, second.normal)
        assert torch.equal(first.mask, second.mask)
    assert not torch.equal(one[3].marred, batches_of(parts, seed=1)[3].marred)
    assert one[3].normal.shape == one[3].marred.shape == (2, 3, 64, 64)
    assert one[3].mask.shape == (2, 1, 64, 64)


def test_a_twin_differs_from_its_part_only_under_the_mask(parts: NDArray[np.uint8]) -> None:
    batch = batches_of(parts)[0]
    outside = (batch.mask == 0).expand_as(batch.normal)
    assert torch.allclose(batch.marred[outside], batch.normal[outside], atol=1e-5)
    assert (batch.marred - batch.normal).abs().amax(dim=(1, 2, 3)).min() > 0.05


def test_every_picture_comes_once_before_any_comes_again(parts: NDArray[np.uint8]) -> None:
    batches = batches_of(parts, size=5)
    seen = np.concatenate([batches[iteration].picks for iteration in range(12)])  # 60 of 12 pictures
    for start in range(0, 60, 12):
        assert sorted(seen[start : start + 12].tolist()) == list(range(12))
    assert seen[:12].tolist() != seen[12:24].tolist()


def test_a_batch_is_full_with_fewer_pictures_than_it_holds() -> None:
    batches = batches_of(np.stack([part(0), part(1)]), size=8)
    assert batches[0].picks.shape == (8,)
    assert set(np.concatenate([batches[n].picks for n in range(4)]).tolist()) == {0, 1}
