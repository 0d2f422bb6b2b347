"""Everything wrong with a submission file: its ids beside the sample's, and each code."""

from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from cnn.submission.code_faults import fault
from features.dataset import file_masks, layouts
from features.dataset.layouts import ID, MASK
from features.run.files import UserError, in_short
from features.run.folder import RunFolder
from features.storage.names import image_id

# Problems of one kind that are printed one by one.
SHOWN = 10
# Rows and columns of an image whose size is unknown.
USUAL = (1024, 1024)

Sizes = dict[str, tuple[int, int]]


def examine(file: Path, sample: Path, sizes: Sizes) -> list[str]:
    """Everything wrong with a submission, one sentence each; of one kind the first ten.

    Parameters
    ----------
    file : Path
        Submission.
    sample : Path
        Sample submission.
    sizes : dict
        Rows and columns of images whose size is known; the others count as `USUAL`.
    """
    table = layouts.read_csv(file, (ID, MASK))
    wanted = read_sample(sample)
    problems = [f"{file}: {problem}" for problem in _wrong_ids(table[ID], wanted)]
    by_kind: dict[str, list[str]] = {}
    for name, code in zip(table[ID], table[MASK], strict=True):
        problem = fault(code, sizes.get(image_id(name), USUAL))
        if problem is not None:
            kind, sentence = problem
            by_kind.setdefault(kind, []).append(f"{file}: image {in_short(name)}: {sentence}")
    for kind, sentences in by_kind.items():
        problems += sentences[:SHOWN]
        if len(sentences) > SHOWN:
            problems.append(f"{file}: and {len(sentences) - SHOWN} more images with {kind}.")
    return problems


def read_sample(path: Path) -> pd.Series:
    """Ids of a sample submission in its order.

    Raises
    ------
    UserError
        If one is there twice.
    """
    wanted = layouts.read_csv(path, (ID, MASK))[ID]
    twice = wanted[wanted.duplicated()]
    if len(twice):
        raise UserError(
            f"{path}: {in_short(twice.iloc[0])} is there twice ({len(twice)} such rows); a sample "
            "submission has one row an image, so remove the others."
        )
    return wanted


def _wrong_ids(ids: pd.Series, wanted: pd.Series) -> Iterator[str]:
    """A sentence for each rule that the ids of a submission break."""
    complete = True
    for wrong, text in (
        (wanted[~wanted.isin(ids)], "missing; each id of the sample needs a row"),
        (ids[~ids.isin(wanted)], "not in the sample; remove these rows"),
        (ids[ids.duplicated()], "there twice; join an image's masks into one row"),
    ):
        names = list(dict.fromkeys(wrong))
        if names:
            complete = False
            rest = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
            verb = "is" if len(names) == 1 else "are"
            shown = in_short(", ".join(names[:SHOWN]))
            yield f"{shown}{rest} {verb} {text}."
    if complete and list(ids) != list(wanted):
        yield "the ids are not in the sample's order; sort the rows by it."


def sizes_of(run: RunFolder) -> Sizes:
    """Rows and columns of the files of a run's images.

    Raises
    ------
    UserError
        If it has no dataset.
    """
    places = file_masks.placements(run.dataset.read())
    return {name: place.file for name, place in places.items()}
