"""Finds out from the numbers of a run-length code what is wrong with it.

The challenge's code is relative: many wrong codes can still be decoded, to another mask. Absolute
starts instead of gaps are recognised like this: read as gaps they end beyond the image, but read as
starts their runs are in order and inside it.
"""

from features.reading import rle
from features.run.files import UserError

# What table programs write where a text is missing.
BLANKS = {"", "nan", "none", "null", "na", "n/a", "<na>"}


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
    """The mistake behind a code that cannot be decoded, if the numbers show it."""
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
