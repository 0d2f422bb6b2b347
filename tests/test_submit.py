"""The submission doctor: a right file passes, each kind of wrong one is named."""

from pathlib import Path

import pandas as pd
import pytest

from cnn import submit
from features.files import UserError

IDS = ["c", "a", "b"]


def write_csv(path: Path, ids, codes) -> Path:
    pd.DataFrame({"ImageId": ids, "EncodedPixels": codes}).to_csv(path, index=False)
    return path


@pytest.fixture
def sample(tmp_path) -> Path:
    return write_csv(tmp_path / "sample.csv", IDS, ["-1"] * 3)


def test_a_right_submission_passes_and_is_scored(tmp_path, sample, capsys):
    good = write_csv(tmp_path / "good.csv", IDS, ["0 10", "-1", "5 2"])
    truth = write_csv(tmp_path / "truth.csv", IDS, ["0 10", "-1", "-1"])
    submit.check(submit.Check(good, sample, truth, side=64))
    printed = capsys.readouterr().out
    assert "nothing wrong" in printed and "33.3% of them without a mask" in printed
    assert "3 images with known truth: 0.667" in printed


@pytest.mark.parametrize(
    ("ids", "codes", "problem"),
    [
        (["c", "a"], ["-1", "-1"], "b is missing"),
        (["c", "a", "b", "d"], ["-1"] * 4, "d is not in the sample"),
        (["c", "a", "b", "a"], ["-1"] * 4, "a stands twice"),
        (["a", "b", "c"], ["-1"] * 3, "not in the sample's order"),
        (IDS, ["-1", "", "-1"], "a: run-length code ''"),
        (IDS, ["-1", "-1", "4095 2"], "b: .*beyond"),
        (IDS, ["-1", "-1", "7 0"], "b: .*at least 1"),
    ],
)
def test_wrong_submissions_are_named(tmp_path, sample, ids, codes, problem):
    bad = write_csv(tmp_path / "bad.csv", ids, codes)
    with pytest.raises(UserError, match=problem):
        submit.check(submit.Check(bad, sample, side=64))
