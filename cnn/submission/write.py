"""Write the submission by the gate's rule: ``python -m cnn.submission.write --run RUN``.

The file is read back and checked before it takes its place.
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pandas as pd

from baseline.gate import rules
from baseline.gate.results import read_gate
from baseline.gate.rules import Rule
from cnn.gate import masks, scored_images
from cnn.gate.runs import together
from cnn.gate.sources import ImageInputs, SourceMaps, measure_image
from cnn.submission.empty_share import shares
from cnn.submission.examine import examine, read_sample, sizes_of
from features.dataset import file_masks
from features.dataset.layouts import ID, MASK
from features.reading import rle
from features.reading.placement import Placement
from features.run import command, files, parallel
from features.run.files import UserError
from features.run.folder import RunFolder
from features.storage.names import image_id


@dataclass(frozen=True)
class Settings:
    """Write RUN/submission.csv by the gate's rule, then read it back and check it."""

    run: Path
    """Run folder."""
    policy: str | None = None
    """Policy that decides which masks are kept: empty, unet, gated, fused, handcrafted, joint or
    expected; the gate's default if not given (else the file is
    submission_<policy>.csv)."""
    jobs: int = -1
    """Processes; -1 for one a core."""
    scheduler: str | None = None
    """Address of a running Dask scheduler, e.g. tcp://host:8786, whose workers do the work."""


def codes(
    run: RunFolder, policy: str | None, jobs: int = -1, scheduler: str | None = None
) -> dict[str, str]:
    """Run-length code by id of each test image that could be read.

    The maps are those of the runs that the gate's rule was chosen on.

    Raises
    ------
    UserError
        If the gate is missing or has no such policy.
    """
    gate = read_gate(run)
    policy = policy or gate.default
    if policy not in gate.rules:
        raise UserError(f"policy = {policy}: known policies are {', '.join(gate.rules)}.")
    rule = gate.rules[policy]
    maps = SourceMaps(together(run, gate.also))
    rows = scored_images.sized(run, run.test)
    rows["mask"] = pd.NA  # the rule must not use the truth
    places = file_masks.placements(run.dataset.read())
    images = maps.images(rows, (rules.source(policy),))
    drawn = parallel.stream(
        partial(_code, rule=rule),
        ((image, places[name]) for name, image in zip(rows["id"], images, strict=True)),
        "drawing masks",
        jobs,
        scheduler,
        count=len(rows),
        least=parallel.FEW,
    )
    return dict(zip(rows["id"], drawn, strict=True))


def _code(item: tuple[ImageInputs, Placement], rule: Rule) -> str:
    """Run-length code, on the file's own grid, of an image's mask as the rule decides."""
    image, place = item
    maps, inputs = measure_image(image)
    (source,) = maps
    if not rules.keeps(rule, inputs[source])[0]:
        return rle.EMPTY
    return file_masks.encode(masks.cut(maps[source], rule.mask_share), place)


def main(settings: Settings) -> None:
    """Write the submission.

    Quarantined images, and those set aside as no frontal chest X-rays, get -1.

    Raises
    ------
    UserError
        If an image of the sample was neither predicted nor quarantined.
    """
    run = RunFolder(settings.run).check()
    wanted = read_sample(run.sample.path)
    dataset = run.dataset.read()
    ids = wanted.map(image_id)  # a sample may write "ID.dcm", and so must the submission
    quarantined = _quarantined(run, ids, dataset["id"])
    aside = ids[ids.isin(run.set_aside())]
    code_of = codes(run, settings.policy, settings.jobs, settings.scheduler)
    code_of |= dict.fromkeys([*quarantined, *aside], rle.EMPTY)
    table = pd.DataFrame({ID: wanted, MASK: ids.map(code_of)})
    submission = run.submission_of(settings.policy) if settings.policy else run.submission
    with files.atomic(submission.path) as temporary:
        table.to_csv(temporary, index=False)
        problems = examine(temporary, run.sample.path, sizes_of(run))
        if problems:
            raise AssertionError(f"{submission.path}: the submission is wrong: {problems[0]}")
    kept = int((table[MASK] != rle.EMPTY).sum())
    print(f"{submission.path}: {len(table)} images, {kept} with a mask; checked")
    if len(quarantined):
        print(
            f"rows that are -1 because the image is quarantined: {len(quarantined)}, see "
            f"{run.quarantine.path}"
        )
    if len(aside):
        print(
            f"rows that are -1 because the image may be no frontal chest X-ray: {len(aside)}, see "
            f"{run.quality.path}"
        )
    labels = dataset["label"].dropna()
    if len(table):
        print(shares(kept, len(table), int(labels.sum()), len(labels)))


def _quarantined(run: RunFolder, wanted: pd.Series, readable: pd.Series) -> pd.Series:
    """Ids of the sample whose image is quarantined.

    Raises
    ------
    UserError
        If another one of them is no image of the run, or one that was not predicted.
    """
    quarantine = run.quarantine.read()["id"]
    predicted = run.test.read()["id"]
    for wrong, text in (
        (
            wanted[~wanted.isin(readable) & ~wanted.isin(quarantine)],
            f"is no image of {run.dataset.path}; run `make dataset` again",
        ),
        (
            wanted[wanted.isin(readable) & ~wanted.isin(predicted)],
            f"has no prediction in {run.test.path}; run `make {run.test.maker}` again",
        ),
    ):
        if len(wrong):
            raise UserError(f"{run.sample.path}: {wrong.iloc[0]} {text} ({len(wrong)} such ids).")
    return wanted[~wanted.isin(readable)]


if __name__ == "__main__":
    command.run(main)
