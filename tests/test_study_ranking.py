"""Which X-rays to outline next: doubt by hand, order, and what is left out."""

import csv
from types import SimpleNamespace

import numpy as np
import pytest

from cnn.study import ranking
from features.run.files import UserError


def examination(name: str, probability: float, grey: int, flagged: bool = False):
    answer = SimpleNamespace(
        id=name,
        file=f"{name}.dcm",
        probability=probability,
        headline=name,
        quality=SimpleNamespace(flagged=flagged),
    )
    return SimpleNamespace(answer=answer, grey=np.full((4, 4), grey, np.uint8))


def test_doubt_by_hand():
    """At 50% and a map of one half everywhere both entropies are a bit."""
    half = ranking.doubt(examination("a", 0.5, 128))
    assert half == pytest.approx(1.0, abs=1e-4)
    quarter = -(0.25 * np.log2(0.25) + 0.75 * np.log2(0.75))
    assert ranking.doubt(examination("a", 0.25, 128)) == pytest.approx(quarter, abs=1e-4)
    assert ranking.doubt(examination("a", 0.5, 0)) == 0
    assert ranking.doubt(examination("a", 1.0, 128)) == pytest.approx(0, abs=1e-6)


def test_the_most_doubtful_come_first_and_what_is_no_chest_stays_out(tmp_path):
    examinations = [
        examination("sure", 0.99, 128),
        examination("b", 0.5, 128),
        examination("a", 0.5, 128),
        examination("hand", 0.5, 128, flagged=True),
    ]
    images = [image for e in examinations if (image := ranking.ranked(e)) is not None]
    assert [image.id for image in ranking.in_order(images)] == ["a", "b", "sure"]
    ranking.write(images, tmp_path / "next.csv")
    rows = list(csv.DictReader((tmp_path / "next.csv").read_text().splitlines()))
    assert [row["ImageId"] for row in rows] == ["a", "b", "sure"]
    assert float(rows[0]["doubt"]) == pytest.approx(1.0, abs=1e-4)


def test_what_is_outlined_is_known_by_any_spelling(tmp_path):
    path = tmp_path / "outlines.csv"
    path.write_bytes("ImageId;EncodedPixels;reader\na.dcm;0 5;A\nb;-1;A\n".encode("utf-16"))
    assert ranking.outlined(path) == {"a", "b"}


def test_annotations_that_are_none_are_refused(tmp_path):
    with pytest.raises(UserError, match=r"a\.csv: no such file"):
        ranking.outlined(tmp_path / "a.csv")
    (tmp_path / "a.csv").write_text("name,code\n")
    with pytest.raises(UserError, match="its header must be 'ImageId,EncodedPixels'"):
        ranking.outlined(tmp_path / "a.csv")
