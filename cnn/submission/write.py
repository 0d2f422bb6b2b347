"""The gate and the masks become the submission, which is read back and checked.

``write`` makes submission.csv, ``check`` examines any submission file (`cnn.submission.check`), ``summary``
prints a run's scoreboard and the paths of its results.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from baseline.gate import rules
from baseline.learning import predictions, scores
from cnn.gate import evaluate, masks
from cnn.gate.sources import need_folder, read_gate, weigh
from cnn.submission import check
from features.reading import layouts, rle
from features.reading.layouts import ID, MASK
from features.run import command, files
from features.run.files import UserError


@dataclass(frozen=True)
class Write:
    """Write RUN/submission.csv by the gate's rule, then read it back and check it."""

    run: Path
    """Run folder."""
    policy: str | None = None
    """Policy to speak by; the gate's default if not given (then submission_<policy>.csv)."""


@dataclass(frozen=True)
class Summary:
    """Print a run's scoreboard and the paths of its report and submission."""

    run: Path
    """Run folder."""


def codes(run: Path, policy: str | None) -> Iterator[tuple[str, str]]:
    """Yield id and run-length code of each test image that could be read.

    The maps are those of the runs that the gate's rule was chosen on.

    Raises
    ------
    UserError
        If the gate is missing or has no such policy.
    """
    found = read_gate(run)
    chosen = policy or found.default
    if chosen not in found.rules:
        raise UserError(f"policy = {chosen}: known policies are {', '.join(found.rules)}.")
    rule = found.rules[chosen]
    source = rules.source(rule.policy)
    rows = evaluate.read_sized(run, "test")
    rows["mask"] = pd.NA  # the rule must not know a truth
    images = zip(rows["id"].tolist(), weigh(found.runs, rows), strict=True)
    for name, (maps, evidence) in command.progress(images, "drawing masks", len(rows)):
        spoken = rules.keeps(rule, evidence[source])[0]
        yield name, rle.encode(masks.cut(maps[source], rule.mask_level)) if spoken else rle.EMPTY


def write(settings: Write) -> None:
    """Write the submission; images in quarantine get -1, since nothing is known of them.

    Raises
    ------
    UserError
        If an image of the sample was neither judged nor set aside.
    """
    run = need_folder(settings.run)
    sample = run / "sample.csv"
    wanted = check.read_sample(sample)
    dataset = files.read_table(run / "dataset.parquet")
    _need_verdicts(run, wanted, dataset["id"])
    found = dict(codes(run, settings.policy))
    table = pd.DataFrame({ID: wanted, MASK: [found.get(name, rle.EMPTY) for name in wanted]})
    target = run / (f"submission_{settings.policy}.csv" if settings.policy else "submission.csv")
    with files.atomic(target) as temporary:
        table.to_csv(temporary, index=False)
        problems = check.examine(temporary, sample, check.of_run(run))
        if problems:
            raise AssertionError(f"{target}: the written submission is wrong: {problems[0]}")
    spoken = int((table[MASK] != rle.EMPTY).sum())
    print(f"{target}: {len(table)} images, {spoken} with a mask; checked")
    labels = dataset["label"].dropna()
    if len(table):
        print(check.shares(spoken, len(table), int(labels.sum()), len(labels)))


def _need_verdicts(run: Path, wanted: pd.Series, readable: pd.Series) -> None:
    """Refuse a sample with an id that is no image, or one that the verdict does not know."""
    aside = layouts.read_csv(run / "quarantine.csv", ("id", "reason"))["id"]
    verdicts = run / "baseline" / "test.csv"
    judged = predictions.read(verdicts)["id"]
    for odd, text in (
        (
            wanted[~wanted.isin(readable) & ~wanted.isin(aside)],
            f"is no image of {run / 'dataset.parquet'}; run `make dataset` again",
        ),
        (
            wanted[wanted.isin(readable) & ~wanted.isin(judged)],
            f"has no verdict in {verdicts}; run `make baseline` again",
        ),
    ):
        if len(odd):
            raise UserError(f"{run / 'sample.csv'}: {odd.iloc[0]} {text} ({len(odd)} such ids).")


def summary(settings: Summary) -> None:
    """Print the verdict's AUC, the scoreboard and the paths."""
    run = need_folder(settings.run)
    metrics = evaluate.read_metrics(run)
    _show_verdict(run / "baseline" / "metrics.json")
    evaluate.show(metrics, metrics["default"])
    quarantined = len(layouts.read_csv(run / "quarantine.csv", ("id", "reason")))
    if quarantined:
        print(f"set aside: {quarantined} images, see {run / 'quarantine.csv'}")
    for name, path in (("report", "report/index.html"), ("submission", "submission.csv")):
        if (run / path).exists():
            print(f"{name + ':':11} {run / path}")


def _show_verdict(path: Path) -> None:
    """Print the AUC of the verdict's scores in baseline/metrics.json."""
    verdict = files.read_json(path)
    try:
        lines = [
            f"Verdict's AUC, {part.replace('_', ' ')}: {scores.Estimate(**verdict[part]['auc'])} "
            f"({verdict[part]['images']} images)"
            for part in ("out_of_fold", "test")
            if part in verdict or part == "out_of_fold"
        ]
    except (KeyError, TypeError):
        raise UserError(f"{path}: no scores of a verdict; run `make baseline` again.") from None
    print("\n".join(lines))


def main(settings: Write | check.Check | Summary) -> None:
    """Run one of the three commands."""
    if isinstance(settings, Write):
        write(settings)
    elif isinstance(settings, check.Check):
        check.check(settings)
    else:
        summary(settings)


if __name__ == "__main__":
    command.run(main)
