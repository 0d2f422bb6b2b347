"""A JPEG scan that ends early is seen, and a grey border is not taken for one."""

import io

import numpy as np
import pytest
from PIL import Image

from features.reading.cut_jpeg import FILLING, first_filled_row

SIDE = 96
END = b"\xff\xd9"
# How the colour of a JPEG is stored: as fine as the brightness, or with half as many columns, or
# half as many rows too.
COLOURS = {"grey": None, "4:4:4": 0, "4:2:2": 1, "4:2:0": 2}


def encoded(subsampling: int | None, picture: np.ndarray) -> bytes:
    """A baseline JPEG of a grey picture, in colour unless `subsampling` is None."""
    image, stream = Image.fromarray(picture), io.BytesIO()
    if subsampling is None:
        image.save(stream, "JPEG", quality=90)
    else:
        image.convert("RGB").save(stream, "JPEG", quality=90, subsampling=subsampling)
    return stream.getvalue()


def decoded(stream: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(stream)))


@pytest.mark.parametrize("colours", COLOURS)
def test_a_cut_scan_is_seen_wherever_it_ends(colours):
    picture = np.random.default_rng(0).integers(0, 255, (SIDE, SIDE)).astype(np.uint8)
    stream = encoded(COLOURS[colours], picture)
    whole = decoded(stream)
    assert first_filled_row(whole) is None
    scan = stream.index(b"\xff\xda")
    seen = []
    for share in np.arange(0.1, 0.95, 0.05):
        values = decoded(stream[: scan + int(share * (len(stream) - scan))] + END)
        row = first_filled_row(values)
        if row is None:  # it ends with a row of blocks, by chance
            rows = np.flatnonzero((values == FILLING).reshape(SIDE, -1).all(axis=1))
            assert len(rows) and rows[0] % 8 == 0
            continue
        seen.append(row)
        height = 16 if colours == "4:2:0" else 8
        # What comes before the row of blocks is as in the whole picture, up to smoothed colours.
        before = slice(0, max(row - height, 0))
        assert np.abs(values[before].astype(int) - whole[before]).max(initial=0) < 9
        assert (values[row + height :] == FILLING).all()
    assert len(seen) > 12 and seen == sorted(seen)


@pytest.mark.parametrize("border", ["bottom", "right", "both", "all", "all around", "none"])
@pytest.mark.parametrize("edge", [48, 51])
@pytest.mark.parametrize("colours", COLOURS)
def test_a_grey_border_is_no_cut(border, edge, colours):
    picture = np.random.default_rng(1).integers(0, 120, (SIDE, SIDE)).astype(np.uint8)
    if border in ("bottom", "both", "all around"):
        picture[edge:] = FILLING
    if border in ("right", "both", "all around"):
        picture[:, edge:] = FILLING
    if border == "all around":
        picture[: SIDE - edge], picture[:, : SIDE - edge] = FILLING, FILLING
    if border == "all":
        picture[:] = FILLING
    assert first_filled_row(decoded(encoded(COLOURS[colours], picture))) is None
