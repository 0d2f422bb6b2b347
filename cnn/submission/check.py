"""The submission doctor: what is wrong with a submission file, image by image, and what it scores.

The challenge's code is relative, so many a mistake still reads as a code, of another mask. What a
mistake looks like is therefore asked of the numbers: starts where gaps belong end beyond the image,
and run in order inside it once they are read as starts.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import tyro
from numpy.typing import NDArray
from scipy.special import betaln, gammaln

from baseline.learning import scores
from features.reading import layouts, rle
from features.reading.layouts import ID, MASK
from features.run import files
from features.run.files import UserError

# Problems of one kind that are told one by one.
SHOWN = 10
# What table programs write where a text is missing.
BLANKS = {"", "nan", "none", "null", "na", "n/a", "<na>"}
# A share of masks outside this share of all sets like the training set is worth a warning.
SURE = 0.999

# The longest side of an image; a mask of that size still fits in memory.
LONGEST_SIDE = 16384

Sizes = dict[str, tuple[int, int]]


@dataclass(frozen=True)
class Check:
    """Check a submission file against a sample submission, and score it if the truth is known.

    Ends with status 0 if nothing is wrong, else with 2.
    """

    file: tyro.conf.Positional[Path]
    """Submission to check."""
    sample: Path
    """Sample submission: its ids in its order."""
    truth: Path | None = None
    """Annotations of the test images, to score the submission by."""
    train: Path | None = None
    """Annotations of the training images, to compare the share of empty masks with."""
    run: Path | None = None
    """Run folder whose dataset.parquet tells rows and columns of its images."""
    side: int = 1024
    """Rows and columns of the images that no run tells of."""


def examine(file: Path, sample: Path, sizes: Sizes) -> list[str]:
    """Everything wrong with a submission, one sentence each; of many alike, the first ten.

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
    wanted = read_sample(sample)
    problems = [f"{file}: {problem}" for problem in _wrong_ids(table[ID], wanted)]
    alike: dict[str, list[str]] = {}
    for name, code in zip(table[ID], table[MASK], strict=True):
        found = fault(code, sizes.get(name, (1024, 1024)))
        if found is not None:
            kind, sentence = found
            alike.setdefault(kind, []).append(f"{file}: image {name}: {sentence}")
    for kind, sentences in alike.items():
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
            f"{path}: {twice.iloc[0]} is there twice ({len(twice)} such rows); a sample submission "
            "has one row an image, so remove the others."
        )
    return wanted


def _wrong_ids(ids: pd.Series, wanted: pd.Series) -> Iterator[str]:
    """A sentence for each rule that the ids of a submission break."""
    right = True
    for odd, text in (
        (wanted[~wanted.isin(ids)], "missing; each id of the sample needs a row"),
        (ids[~ids.isin(wanted)], "not in the sample; remove these rows"),
        (ids[ids.duplicated()], "there twice; join an image's masks into one row"),
    ):
        names = list(dict.fromkeys(odd))
        if names:
            right = False
            more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
            be = "is" if len(names) == 1 else "are"
            yield f"{', '.join(names[:SHOWN])}{more} {be} {text}."
    if right and list(ids) != list(wanted):
        yield "the ids are not in the sample's order; sort the rows by it."


def fault(code: str, shape: tuple[int, int]) -> tuple[str, str] | None:
    """What is wrong with one run-length code: kind and sentence, or None.

    Parameters
    ----------
    code : str
        Pairs ``gap length``, or ``-1``.
    shape : (int, int)
        Rows and columns of the image.
    """
    try:
        rle.decode(code, shape)
    except UserError as error:
        return _diagnose(code, shape) or ("no run-length code", str(error))
    return None


def _diagnose(code: str, shape: tuple[int, int]) -> tuple[str, str] | None:
    """The mistake behind a code that cannot be decoded, if it can be told."""
    start = repr(code if len(code) <= 40 else f"{code[:40]}...")
    if code.strip().lower() in BLANKS:
        return "no code", (
            f"no code stands there ({start}); an image without a mask has '-1', and an encoder "
            "that loses a run at the last pixel leaves nothing."
        )
    try:
        numbers = [int(part) for part in code.split()]
    except ValueError:
        return None
    if len(numbers) % 2:
        return "a lost run", (
            f"{start}: an odd count of numbers ({len(numbers)}) makes no pairs 'gap length'; the "
            "final run was lost or cut off, so write its length too."
        )
    gaps, lengths = numbers[0::2], numbers[1::2]
    if min(lengths) < 1:
        run = next(k for k, length in enumerate(lengths) if length < 1)
        return "a run without pixels", (
            f"{start}: run {run + 1} has length {lengths[run]}; a run has at least one pixel, so "
            "leave it out."
        )
    return _misplaced(start, gaps, lengths, shape)


def _misplaced(
    start: str, gaps: list[int], lengths: list[int], shape: tuple[int, int]
) -> tuple[str, str] | None:
    """The mistake in where the runs of a code lie; `start` is how the code begins."""
    size = shape[0] * shape[1]
    begins, end = [], 0
    for gap, length in zip(gaps, lengths, strict=True):
        begins.append(end + gap)
        end += gap + length
    if min(gaps) < 0:
        kind, where = _disorder(begins, lengths) or (
            "runs before the image",
            "run 1 begins before the image",
        )
        gap = next(gap for gap in gaps if gap < 0)
        return kind, (
            f"{start}: {where} (gap {gap}); sort the runs, join those that overlap, and count each "
            "gap from the end of the run before."
        )
    last = max(gap + length for gap, length in zip(gaps, lengths, strict=True))
    beyond = f"{start}: its last run ends at pixel {end}, beyond the {size} pixels of a "
    beyond += f"{shape[0]}x{shape[1]} image"
    # Starts counted from 1 may end one pixel later. One run alone looks the same in both codes.
    if len(gaps) > 1 and last <= size + (gaps[0] > 0):
        wrong = _disorder(gaps, lengths)
        if wrong is None:
            return "absolute starts", (
                f"{beyond}; read as absolute starts, its runs are in order and inside, so write "
                "gaps from the end of the run before instead, in every row of the file."
            )
        beyond += f" (read as absolute starts its runs lie inside, but {wrong[1]})"
    return "runs beyond the image", (
        f"{beyond}; encode the mask at the image's own size, with gaps from the end of the run "
        "before."
    )


def _disorder(begins: list[int], lengths: list[int]) -> tuple[str, str] | None:
    """Kind and place of the first run that begins before the end of the one before it, if any."""
    for k in range(1, len(begins)):
        if begins[k] < begins[k - 1]:
            return "unsorted runs", f"run {k + 1} begins before run {k}"
        if begins[k] < begins[k - 1] + lengths[k - 1]:
            return "overlapping runs", f"run {k + 1} overlaps run {k}"
    return None


def shares(spoken: int, images: int, positives: int, labelled: int) -> str:
    """The share of empty masks beside the training set's, and a warning where they are far apart.

    Far is what 999 of 1,000 sets of that size would not be, were they drawn like the training set,
    whose own share is uncertain too (beta-binomial, Jeffreys' prior).

    Parameters
    ----------
    spoken, images : int
        Images with a mask and images of the submission.
    positives, labelled : int
        Images with a mask and annotated images of the training set.
    """
    text = (
        f"without a mask: {1 - spoken / images:.1%} of {images} images, "
        f"{1 - positives / labelled:.1%} of the {labelled} training images"
    )
    low, high = _expected(images, positives, labelled)
    if low <= spoken <= high:
        return text
    what = (
        "so few masks cost nothing where the gate is meant to be shy, but see that none was lost"
        if spoken < low
        else "each false mask costs a whole image, so see that no empty one is spoken"
    )
    return (
        f"{text}\nwarning: {spoken} of the images have a mask, where {low} to {high} are to be "
        f"expected from the training set's share; {what}."
    )


def _expected(images: int, positives: int, labelled: int) -> tuple[int, int]:
    """Least and most masks among `images` that are still likely, given the training set."""
    a, b = positives + 0.5, labelled - positives + 0.5
    k = np.arange(images + 1)
    ways = gammaln(images + 1) - gammaln(k + 1) - gammaln(images - k + 1)
    below = np.cumsum(np.exp(ways + betaln(k + a, images - k + b) - betaln(a, b)))
    low, high = np.searchsorted(below, ((1 - SURE) / 2, (1 + SURE) / 2))
    return int(low), min(int(high), images)


def _annotated(path: Path) -> tuple[int, int]:
    """Images with a mask, and all images, of an annotation csv."""
    table = layouts.read_csv(path, (ID, MASK))
    if table.empty:
        raise UserError(f"{path}: no annotation in it; give the training set's, or leave it out.")
    for name, code in zip(table[ID], table[MASK], strict=True):
        try:
            rle.runs(code)
        except UserError as error:
            raise UserError(f"{path}: image {name}: {error}") from None
    positive = (table[MASK] != rle.EMPTY).groupby(table[ID]).any()
    return int(positive.sum()), len(positive)


def check(settings: Check) -> None:
    """Print what is wrong with a submission, or that nothing is, and its Dice.

    Raises
    ------
    UserError
        If anything is wrong.
    """
    file = settings.file
    table = layouts.read_csv(file, (ID, MASK))
    if read_sample(settings.sample).empty:
        raise UserError(
            f"{settings.sample}: no id in it; give the sample submission of these images."
        )
    if table.empty:
        raise UserError(f"{file}: no row in it; each id of {settings.sample} needs one.")
    sizes = _sizes(settings, table[ID])
    spoken = int((~table[MASK].str.lower().isin({*BLANKS, rle.EMPTY})).sum())
    if settings.train is not None:
        print(shares(spoken, len(table), *_annotated(settings.train)))
    problems = examine(file, settings.sample, sizes)
    if problems:
        raise UserError("\n       ".join(problems))
    empty = 1 - spoken / len(table)
    print(f"{file}: {len(table)} images, {empty:.1%} of them without a mask; nothing wrong")
    if settings.truth is not None:
        values = dices(table, settings.truth, sizes)
        # Without patients, each image counts as its own.
        mean = scores.mean(values, np.arange(len(values)).astype(object))
        print(f"mean Dice of {len(values)} images with known truth: {mean}")


def _sizes(settings: Check, ids: pd.Series) -> Sizes:
    """Rows and columns of the images, as the run tells or else as the settings do.

    Raises
    ------
    UserError
        If the side is no size of an image, or there is no such run.
    """
    side = settings.side
    if not 1 <= side <= LONGEST_SIDE:
        raise UserError(f"side = {side}: an image has 1 to {LONGEST_SIDE} rows; give its own.")
    sizes = dict.fromkeys(ids.tolist(), (side, side))
    return sizes if settings.run is None else sizes | of_run(settings.run)


def of_run(run: Path) -> Sizes:
    """Rows and columns of the images of a run.

    Raises
    ------
    UserError
        If it has no dataset.
    """
    dataset = files.read_table(run / "dataset.parquet")
    shapes = zip(dataset["rows"].tolist(), dataset["columns"].tolist(), strict=True)
    return dict(zip(dataset["id"].astype(str), shapes, strict=True))


def dices(table: pd.DataFrame, path: Path, sizes: Sizes) -> NDArray[np.float64]:
    """Dice of the images of a submission whose truth stands in an annotation csv.

    Raises
    ------
    UserError
        If no image's does.
    """
    truth = layouts.read_annotations(path, {name: sizes[name] for name in table[ID]})
    values = [
        scores.dice(rle.decode(code, sizes[name]), rle.decode(truth[name], sizes[name]))
        for name, code in zip(table[ID], table[MASK], strict=True)
        if name in truth
    ]
    if not values:
        raise UserError(f"{path}: none of the submission's images is in it; give the test set's.")
    return np.array(values)
