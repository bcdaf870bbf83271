"""One data set, learnt and tested: what `evaluate` does once and an ablation study several times."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from model.evaluation import Evaluation, evaluate
from model.learning import LearnOptions, Learnt, Progress, learn
from model.training import TrainingCancelled


def learn_and_test(
    data: Path,
    destination: Path,
    *,
    options: LearnOptions,
    progress: Progress = lambda *_: None,
    cancelled: Callable[[], bool] = lambda: False,
) -> tuple[Learnt, Evaluation]:
    """Learn from a data set's good pictures, write the model file, and test it on the others.

    The evaluation's train_seconds are those of the whole job. Raises what learn and evaluate raise; TrainingCancelled
    also between two test pictures, then the model file is there.
    """
    learnt = learn(data, destination, options=options, progress=progress, cancelled=cancelled)

    def tested(done: int, total: int) -> None:
        progress("testing", done, total, {})
        if done < total and cancelled():
            raise TrainingCancelled(f"cancelled after {done} of {total} test pictures")

    found = evaluate(learnt.path, data, runtime=options.runtime, threads=options.threads, progress=tested)
    return learnt, replace(found, train_seconds=round(learnt.seconds, 1))
