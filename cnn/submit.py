"""The gate and the masks become the submission, which is read back and checked.

``write`` makes submission.csv, ``check`` examines any submission file, ``summary`` prints a run's
scoreboard and the paths of its results.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import tyro

from baseline import gate, scores
from cnn import evaluate, masks
from cnn.sources import stream
from features import command, files, layouts, rle
from features.files import UserError
from features.layouts import ID, MASK


@dataclass(frozen=True)
class Write:
    """Write RUN/submission.csv by the gate's rule, then read it back and check it."""

    run: Path
    """Run folder."""
    policy: str | None = None
    """Policy to speak by; the gate's default if not given (then submission_<policy>.csv)."""


@dataclass(frozen=True)
class Check:
    """Check a submission file against a sample submission, and score it if the truth is known."""

    file: tyro.conf.Positional[Path]
    """Submission to check."""
    sample: Path
    """Sample submission: its ids in its order."""
    truth: Path | None = None
    """Annotations of the test images, to score the submission by."""
    side: int = 1024
    """Rows and columns of the images."""


@dataclass(frozen=True)
class Summary:
    """Print a run's scoreboard and the paths of its report and submission."""

    run: Path
    """Run folder."""


def codes(run: Path, policy: str | None) -> Iterator[tuple[str, str]]:
    """Yield id and run-length code of each test image that could be read.

    Raises
    ------
    UserError
        If the gate is missing or has no such policy.
    """
    content = files.read_json(run / "gate.json")
    chosen = policy or content["default"]
    if chosen not in content["rules"]:
        raise UserError(f"policy = {chosen}: known policies are {', '.join(content['rules'])}.")
    rule = gate.from_json(content["rules"][chosen])
    rows = evaluate.read_sized(run, "test")
    rows["mask"] = pd.NA  # the rule must not know a truth
    source = gate.source(rule.policy)
    evidence = evaluate.collect(run, rows, "weighing test images")[source]
    speaks = gate.speaks(rule, evidence)
    for image_id in rows["id"][~speaks]:
        yield str(image_id), rle.EMPTY
    spoken = rows[speaks]
    drawn = zip(spoken["id"].tolist(), stream(run, spoken), strict=True)
    for image_id, maps in command.progress(drawn, "drawing masks", len(spoken)):
        yield image_id, rle.encode(masks.cut(maps[source], rule.mask_level))


def write(settings: Write) -> None:
    """Write the submission; images in quarantine get -1, since nothing is known of them."""
    sample = settings.run / "sample.csv"
    wanted = layouts.read_csv(sample, (ID, MASK))[ID]
    found = dict(codes(settings.run, settings.policy))
    table = pd.DataFrame({ID: wanted, MASK: [found.get(name, rle.EMPTY) for name in wanted]})
    name = f"submission_{settings.policy}.csv" if settings.policy else "submission.csv"
    dataset = files.read_table(settings.run / "dataset.parquet")
    sizes = dict(
        zip(dataset["id"], zip(dataset["rows"], dataset["columns"], strict=True), strict=True)
    )
    target = settings.run / name
    with files.atomic(target) as temporary:
        table.to_csv(temporary, index=False)
        problems = examine(temporary, sample, sizes)
        if problems:
            raise AssertionError(f"{target}: the written submission is wrong: {problems[0]}")
    print(f"{target}: {len(table)} images, {(table[MASK] != rle.EMPTY).sum()} with a mask; checked")


def examine(file: Path, sample: Path, sizes: dict[str, tuple[int, int]]) -> list[str]:
    """Everything wrong with a submission, one sentence each.

    Parameters
    ----------
    file : Path
        Submission.
    sample : Path
        Sample submission.
    sizes : dict
        Rows and columns of images whose size is known; others are taken for 1024x1024.
    """
    table = layouts.read_csv(file, (ID, MASK))
    wanted = layouts.read_csv(sample, (ID, MASK))[ID]
    problems = []
    missing, extra = set(wanted) - set(table[ID]), set(table[ID]) - set(wanted)
    twice = table[ID][table[ID].duplicated()]
    for ids, text in (
        (missing, "is missing"),
        (extra, "is not in the sample"),
        (twice, "stands twice"),
    ):
        if len(ids):
            problems.append(f"{file}: {min(ids)} {text} ({len(ids)} such ids).")
    if not problems and list(table[ID]) != list(wanted):
        problems.append(f"{file}: the ids are not in the sample's order.")
    for name, code in zip(table[ID], table[MASK], strict=True):
        try:
            rle.decode(code, sizes.get(name, (1024, 1024)))
        except UserError as error:
            problems.append(f"{file}: {name}: {error}")
    return problems


def check(settings: Check) -> None:
    """Print what is wrong with a submission, or that nothing is, and its Dice.

    Raises
    ------
    UserError
        If anything is wrong.
    """
    table = layouts.read_csv(settings.file, (ID, MASK))
    shape = (settings.side, settings.side)
    sizes = dict.fromkeys(table[ID], shape)
    problems = examine(settings.file, settings.sample, sizes)
    if problems:
        raise UserError("\n       ".join(problems))
    empty = (table[MASK] == rle.EMPTY).mean()
    print(
        f"{settings.file}: {len(table)} images, {empty:.1%} of them without a mask; nothing wrong"
    )
    if settings.truth is not None:
        truth = layouts.read_annotations(settings.truth, sizes)
        pairs = [
            (code, truth[name])
            for name, code in zip(table[ID], table[MASK], strict=True)
            if name in truth
        ]
        values = np.array(
            [scores.dice(rle.decode(a, shape), rle.decode(b, shape)) for a, b in pairs]
        )
        if not len(values):
            raise UserError(f"{settings.truth}: none of the submission's images is in it.")
        print(f"mean Dice of {len(values)} images with known truth: {_mean(values)}")


def _mean(values: np.ndarray) -> scores.Estimate:
    """Mean with its interval; without patients, each image counts as its own."""
    images = np.arange(len(values)).astype(object)
    return scores.mean(values, images)


def summary(settings: Summary) -> None:
    """Print the verdict's AUC, the scoreboard and the paths."""
    metrics = files.read_json(settings.run / "metrics.json")
    verdict = files.read_json(settings.run / "baseline" / "metrics.json")
    for part in ("out_of_fold", "test"):
        if part in verdict:
            auc = scores.Estimate(**verdict[part]["auc"])
            images = verdict[part]["images"]
            print(f"Verdict's AUC, {part.replace('_', ' ')}: {auc} ({images} images)")
    evaluate.show(metrics, metrics["default"])
    quarantined = len(layouts.read_csv(settings.run / "quarantine.csv", ("id", "reason")))
    if quarantined:
        print(f"set aside: {quarantined} images, see {settings.run / 'quarantine.csv'}")
    for name, path in (("report", "report/index.html"), ("submission", "submission.csv")):
        if (settings.run / path).exists():
            print(f"{name + ':':11} {settings.run / path}")


def main(settings: Write | Check | Summary) -> None:
    """Run one of the three commands."""
    if isinstance(settings, Write):
        write(settings)
    elif isinstance(settings, Check):
        check(settings)
    else:
        summary(settings)


if __name__ == "__main__":
    command.run(main)
