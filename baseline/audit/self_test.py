"""The audit audits itself: it plants faults in a copy of the user's own data and looks for them.

The copy is made of links to the images and lies in a temporary folder; a kind of fault at a time is
planted in it, it is read as make dataset reads it, and the check that should find the fault runs.
Before, all checks run on the copy without any fault, and what they find does not count as found.
"""

import contextlib
import io
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import pandas as pd

from baseline.audit import checks
from baseline.audit.faults import KINDS, Ground, Kind, Units
from baseline.audit.findings import Finding, count
from baseline.audit.planted_copy import PlantedCopy
from baseline.audit_facts import facts
from baseline.audit_facts.measuring import Memory
from features.dataset import file_masks
from features.reading import rle
from features.run.files import UserError
from features.run.folder import RunFolder

# Images of the copy unless a limit is given, and the fewest of a class that faults need.
IMAGES, FEWEST = 240, 12


class Settings(Protocol):
    """The settings of the command that matter here."""

    @property
    def run(self) -> Path: ...
    @property
    def data(self) -> Path | None: ...
    @property
    def limit(self) -> int | None: ...
    @property
    def seed(self) -> int: ...
    @property
    def jobs(self) -> int: ...


@dataclass(frozen=True)
class Result:
    """How many faults of a kind were planted and found, and who found them."""

    kind: str
    planted: int
    found: int
    by: str


def quietly() -> contextlib.redirect_stderr[io.StringIO]:
    """Without the progress of each of the many readings."""
    return contextlib.redirect_stderr(io.StringIO())


def ground(copy: PlantedCopy, table: pd.DataFrame, seed: int) -> Ground:
    """Where to plant, in an order that follows from the seed.

    Raises
    ------
    UserError
        If too few images have masks, or none, or there are too few test images.
    """
    inside = [path for path in copy.images.values() if not path.exists()]
    if inside:
        raise UserError(
            f"selftest: {inside[0]} is no file by itself; unpack the archive, then run make "
            "dataset and this again."
        )
    rng = np.random.default_rng(seed)
    known = table[table["split"] == "train"]
    masked = known[(known["label"] == 1) & (known["mask"] != rle.EMPTY)]
    areas = {str(row.id): rle.area(str(row.mask)) for row in masked.itertuples()}
    negative = [str(key) for key in known.loc[known["label"] == 0, "id"]]
    if min(len(areas), len(negative), len(copy.test)) < FEWEST:
        raise UserError(
            f"selftest: {len(areas)} images with a mask, {len(negative)} negative ones and "
            f"{len(copy.test)} test images; faults are planted where there are {FEWEST} of each, "
            "so give a larger --limit, or another dataset."
        )
    # Large lesions in a random order, then the others.
    large = sorted(areas, key=lambda key: -areas[key])[: len(areas) // 2]
    small = [key for key in areas if key not in set(large)]
    order = [key for part in (large, small) for key in rng.permutation(np.array(part, object))]
    sizes = {key: of.file for key, of in file_masks.placements(table).items()}
    shuffled = list(rng.permutation(np.array(negative, object)))
    return Ground(copy, order, shuffled, sizes)


def named(finding: Finding) -> set[tuple[str, tuple[str, ...]]]:
    """What a finding names: subjects and ids."""
    return {(item.subject, item.ids) for item in finding.items}


def found(kind: Kind, units: Units, before: Finding, after: Finding) -> tuple[int, int]:
    """How many faults were planted, and how many the check names now and did not before.

    A fault of a whole class that the data had before cannot be told from the planted one: none is
    planted then.
    """
    new = named(after) - named(before)
    if kind.subjects:
        if any(subject in kind.subjects for subject, _ in named(before)):
            return 0, 0
        return 1, int(any(subject in kind.subjects for subject, _ in new))
    hits = sum(any(unit <= set(ids) for _, ids in new) for unit in units)
    return len(units), hits


def try_kind(kind: Kind, place: Ground, before: Finding, memory: Memory, jobs: int) -> Result:
    """Plant a kind of fault in a copy of its own, and look for it."""
    copy = place.copy.for_fault(kind.name.replace(" ", "-").replace(",", ""))
    planted = Ground(copy, place.positive, place.negative, place.sizes)
    units = kind.plant(planted)
    try:
        table, quarantine = copy.read(jobs)
    except UserError as error:
        hits = sum(any(key in str(error) for key in unit) for unit in units)
        return Result(kind.name, len(units), hits, "refused by make dataset")
    annotations: dict[str, list[str]] = {}
    for key, code in copy.rows:
        annotations.setdefault(key, []).append(code)
    after = kind.check(facts.gather(table, annotations, quarantine, jobs, memory))
    return Result(kind.name, *found(kind, units, before, after), after.check)


def results(settings: Settings, folder: Path) -> Iterator[tuple[list[Finding], Result | None]]:
    """The findings on the copy without faults, then the result of each kind as it comes."""
    run = RunFolder(settings.run).check()
    table = facts.subset(run.dataset.read(), IMAGES if settings.limit is None else settings.limit)
    annotations = facts.read_annotations(settings.data, table)
    clean, memory = PlantedCopy.of(folder / "clean", table, annotations), Memory()
    place = ground(clean, table, settings.seed)
    with quietly():
        own, quarantine = clean.read(settings.jobs)
        gathered = facts.gather(
            own, {k: annotations.get(k, []) for k in own["id"]}, quarantine, settings.jobs, memory
        )
        before = list(checks.stream(gathered))
    yield before, None
    by_name = {finding.check: finding for finding in before}
    names = {check: finding.check for check, finding in zip(checks.CHECKS, before, strict=True)}
    for kind in KINDS:
        with quietly():
            result = try_kind(kind, place, by_name[names[kind.check]], memory, settings.jobs)
        yield before, result


def main(settings: Settings) -> int:
    """Print a line a kind and the hit rate; 0 if every kind is found, else 1."""
    done: list[Result] = []
    with tempfile.TemporaryDirectory(prefix="audit-") as folder:
        for before, result in results(settings, Path(folder)):
            if result is None:
                failed = [finding for finding in before if finding.state == "fail"]
                items = sum(len(finding.items) for finding in failed)
                listed = ": " + ", ".join(f.check for f in failed) if failed else ""
                print(
                    f"before anything is planted, {len(failed)} of {len(before)} checks name "
                    f"{items} things{listed}",
                    flush=True,
                )
                continue
            done.append(result)
            mark = "found" if result.found else "MISSED" if result.planted else "known"
            print(
                f"{mark:>7}  {result.kind}: {result.found} of {result.planted} ({result.by})",
                flush=True,
            )
    tried = [result for result in done if result.planted]
    kinds = sum(result.found > 0 for result in tried)
    hits, planted = sum(r.found for r in done), sum(r.planted for r in done)
    print(f"{kinds} of {len(tried)} kinds found; {hits} of {planted} planted faults")
    if known := len(done) - len(tried):
        print(f"{count(known, 'kind')} not tried: the data have that fault already")
    return int(kinds < len(tried))
