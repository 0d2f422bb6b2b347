"""The submission check: a right file passes, each kind of wrong one is named."""

import runpy
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.stats import betabinom, binom

from cnn.submission import check, empty_share
from cnn.submission.code_faults import fault
from cnn.submission.empty_share import shares
from cnn.submission.examine import examine
from cnn.submission.suspicions import suspicions
from features.reading import rle
from features.run.files import UserError
from features.run.folder import RunFolder
from tests.helpers.datasets import dataset

IDS = ["c", "a", "b"]
SHAPE = (8, 8)


def write_csv(path: Path, ids, codes) -> Path:
    pd.DataFrame({"ImageId": ids, "EncodedPixels": codes}).to_csv(path, index=False)
    return path


@pytest.fixture
def sample(tmp_path) -> Path:
    return write_csv(tmp_path / "sample.csv", IDS, ["-1"] * 3)


def test_a_right_submission_passes_and_is_scored(tmp_path, sample, capsys):
    good = write_csv(tmp_path / "good.csv", IDS, ["0 10", "-1", "5 2"])
    truth = write_csv(tmp_path / "truth.csv", IDS, ["0 10", "-1", "-1"])
    check.main(check.Settings(good, sample, truth, side=64))
    printed = capsys.readouterr().out
    assert "nothing wrong" in printed and "33.3% of them without a mask" in printed
    assert "3 images with known truth: 0.667" in printed


def test_ids_that_are_file_names_are_checked_and_scored_alike(tmp_path, capsys):
    """The sample's spelling is kept in a submission; the truth may spell them otherwise."""
    names = [f"{name}.dcm" for name in IDS]
    sample = write_csv(tmp_path / "sample.csv", names, ["-1"] * 3)
    good = write_csv(tmp_path / "good.csv", names, ["0 10", "-1", "5 2"])
    truth = write_csv(tmp_path / "truth.csv", IDS, ["0 10", "-1", "-1"])
    check.main(check.Settings(good, sample, truth, side=64))
    assert "3 images with known truth: 0.667" in capsys.readouterr().out
    beyond = write_csv(tmp_path / "beyond.csv", names, ["4095 2", "-1", "-1"])
    with pytest.raises(UserError, match=r"image c\.dcm: .*beyond the 4096"):
        check.main(check.Settings(beyond, sample, side=64))


@pytest.mark.parametrize(
    ("ids", "codes", "problem"),
    [
        (["c", "a"], ["-1", "-1"], "b is missing"),
        (["c", "a", "b", "d"], ["-1"] * 4, "d is not in the sample"),
        (["c", "a", "b", "a"], ["-1"] * 4, "a is there twice"),
        (["a", "b", "c"], ["-1"] * 3, "not in the sample's order"),
        (IDS, ["-1", "", "-1"], "image a: no code stands there"),
        (IDS, ["-1", "NaN", "-1"], "image a: no code stands there"),
        (IDS, ["-1", "-1.0", "-1"], "image a: .*only whole numbers"),
        (IDS, ["-1", "-1", "3 4 5"], r"image b: .*odd count of numbers \(3\).*final run was lost"),
        (IDS, ["-1", "-1", "4095 2"], "image b: .*ends at pixel 4097, beyond the 4096"),
        (IDS, ["-1", "-1", "7 0"], "image b: '7 0': run 1 has length 0"),
        # Run 1 is 10 to 14: a gap of -2 begins at 13, one of -7 at 8.
        (IDS, ["-1", "-1", "10 5 -2 4"], r"image b: .*run 2 overlaps run 1 \(gap -2\)"),
        (IDS, ["-1", "-1", "10 5 -7 4"], r"image b: .*run 2 begins before run 1 \(gap -7\)"),
        (IDS, ["-1", "-1", "-3 5"], "image b: .*run 1 begins before the image"),
    ],
)
def test_wrong_submissions_are_named(tmp_path, sample, ids, codes, problem):
    bad = write_csv(tmp_path / "bad.csv", ids, codes)
    with pytest.raises(UserError, match=problem):
        check.main(check.Settings(bad, sample, side=64))


def test_every_kind_is_named_and_of_one_kind_the_first_ten(tmp_path):
    names = [f"i{k:02d}" for k in range(40)]
    sample = write_csv(tmp_path / "sample.csv", names, ["-1"] * 40)
    # 30 absolute masks, one blank, one cut off; then 8 ids missing and 12 that are unknown.
    codes = ["40 2 50 2"] * 30 + ["", "1 2 3"]
    bad = write_csv(
        tmp_path / "bad.csv", names[:32] + [f"x{k}" for k in range(12)], codes + ["-1"] * 12
    )
    problems = examine(bad, sample, dict.fromkeys(names, SHAPE))
    assert problems[0] == (
        f"{bad}: i32, i33, i34, i35, i36, i37, i38, i39 are missing; each id of the sample needs a "
        "row."
    )
    assert "x8, x9 and 2 more are not in the sample" in problems[1]
    assert [sum(word in line for line in problems) for word in ("read as absolute", "no code")] == [
        10,
        1,
    ]
    assert sum("and 20 more images with absolute starts" in line for line in problems) == 1
    assert sum("i31: '1 2 3': an odd count" in line for line in problems) == 1
    assert len(problems) == 2 + 10 + 1 + 1 + 1


def test_runs_beyond_are_distinguished_from_absolute_starts():
    # 64 pixels. As gaps the runs end at 40 + 2 + 50 + 2 = 94; as starts they lie inside, in order.
    kind, sentence = fault("40 2 50 2", SHAPE)
    assert kind == "absolute starts" and "ends at pixel 94, beyond the 64 pixels" in sentence
    # Runs that touch are in order too.
    assert fault("40 2 42 2", SHAPE)[0] == "absolute starts"
    # The same, counted from 1, up to the last pixel; and one pixel further.
    assert fault("40 2 63 2", SHAPE)[0] == "absolute starts"
    assert fault("40 2 64 2", SHAPE)[0] == "runs beyond the image"
    # Counted from 0 a run at 63 has one pixel at most.
    assert fault("0 2 63 1", SHAPE)[0] == "absolute starts"
    assert fault("0 2 63 2", SHAPE)[0] == "runs beyond the image"
    # Inside as starts, but in no order: named, and not taken for starts.
    kind, sentence = fault("50 5 40 5", SHAPE)
    assert kind == "runs beyond the image" and "inside, but run 2 begins before run 1" in sentence
    kind, sentence = fault("40 5 44 5", SHAPE)
    assert kind == "runs beyond the image" and "inside, but run 2 overlaps run 1" in sentence
    # One run says the same in both codes.
    assert fault("60 5", SHAPE)[0] == "runs beyond the image"
    assert fault("60 4", SHAPE) is None


@given(hnp.arrays(bool, SHAPE), st.integers(0, 1))
def test_no_right_code_is_refused_and_absolute_ones_are_named(mask, first):
    code = rle.encode(mask)
    assert fault(code, SHAPE) is None
    spans = rle.runs(code)
    absolute = " ".join(f"{start + first} {length}" for start, length in spans)
    if len(spans) > 1:
        # Naive reading as gaps: whatever does not fit must be called by its name.
        inside = sum(int(number) for number in absolute.split()) <= mask.size
        problem = fault(absolute, SHAPE)
        assert problem is None if inside else problem[0] == "absolute starts"


@given(st.lists(st.integers(-20, 80), max_size=8), st.sampled_from(["", " "]))
def test_whatever_is_refused_gets_a_sentence(numbers, space):
    code = space + " ".join(map(str, numbers))
    try:
        rle.decode(code, SHAPE)
    except UserError:
        kind, sentence = fault(code, SHAPE)
        assert kind and sentence.endswith(".") and sentence.count("\n") == 0
    else:
        assert fault(code, SHAPE) is None


def test_the_share_of_empties_stands_beside_the_training_sets(tmp_path, sample, capsys):
    good = write_csv(tmp_path / "good.csv", IDS, ["0 10", "-1", "5 2"])
    # Two rows of one positive image count once: 1 of 4 images is positive.
    train = write_csv(
        tmp_path / "train.csv", ["p", "p", "q", "r", "s"], ["0 1", "5 1", "-1", "-1", "-1"]
    )
    check.main(check.Settings(good, sample, train=train, side=64))
    printed = capsys.readouterr().out
    assert "without a mask: 33.3% of 3 images, 75.0% of the 4 training images" in printed
    assert "warning" not in printed and "nothing wrong" in printed


def test_a_share_far_from_the_training_sets_is_a_warning():
    assert "warning" not in shares(44, 200, 2200, 10000)
    low = shares(10, 200, 2200, 10000)
    assert "warning: 10 of the images have a mask" in low and "none was lost" in low
    assert "should be empty" in shares(100, 200, 2200, 10000)
    # So few images say nothing, whatever they are; nor does a training set of two.
    assert "warning" not in shares(3, 3, 2200, 10000)
    assert "warning" not in shares(0, 200, 1, 2)
    # No positive to learn from makes many masks odd, and none natural.
    assert "warning" not in shares(0, 50, 0, 100)
    assert "warning" in shares(40, 50, 0, 100)


@pytest.mark.parametrize(("images", "positives", "labelled"), [(60, 52, 147), (1377, 2669, 12047)])
def test_the_expected_range_agrees_with_scipy(images, positives, labelled):
    low, high = empty_share._expected(images, positives, labelled)
    law = betabinom(images, positives + 0.5, labelled - positives + 0.5)
    assert law.cdf(low - 1) < 0.0005 <= law.cdf(low)
    assert law.cdf(high - 1) < 0.9995 <= law.cdf(high)
    # A training set without end leaves the binomial law alone.
    many = 10**9
    assert empty_share._expected(images, many * positives // labelled, many) == tuple(
        binom.interval(0.999, images, positives / labelled)
    )


@pytest.mark.parametrize(("codes", "status"), [(["-1"] * 3, None), (["-1", "-1", "5"], 2)])
@pytest.mark.filterwarnings("ignore:.*found in sys.modules:RuntimeWarning")
def test_the_exit_status_says_pass_or_fail(tmp_path, sample, monkeypatch, capsys, codes, status):
    file = write_csv(tmp_path / "s.csv", IDS, codes)
    arguments = ["check", str(file), "--sample", str(sample), "--train", str(sample)]
    monkeypatch.setattr(sys, "argv", arguments)
    if status is None:
        runpy.run_module("cnn.submission.check", run_name="__main__", alter_sys=True)
        assert "nothing wrong" in capsys.readouterr().out
        return
    with pytest.raises(SystemExit, match="2"):
        runpy.run_module("cnn.submission.check", run_name="__main__", alter_sys=True)
    captured = capsys.readouterr()
    assert "final run was lost" in captured.err and "nothing wrong" not in captured.out


def test_files_without_rows_and_truth_of_others_are_refused(tmp_path, sample):
    empty = write_csv(tmp_path / "empty.csv", [], [])
    with pytest.raises(UserError, match="no row in it"):
        check.main(check.Settings(empty, sample))
    with pytest.raises(UserError, match="no annotation in it"):
        check.main(check.Settings(sample, sample, train=empty))
    other = write_csv(tmp_path / "other.csv", ["z"], ["-1"])
    with pytest.raises(UserError, match="none of the submission's images"):
        check.main(check.Settings(sample, sample, truth=other))


def test_a_sample_that_is_none_is_refused(tmp_path, sample):
    twice = write_csv(tmp_path / "twice.csv", [*IDS, "a"], ["-1"] * 4)
    with pytest.raises(UserError, match=r"twice\.csv: a is there twice \(1 such rows\)"):
        check.main(check.Settings(sample, twice))
    empty = write_csv(tmp_path / "empty.csv", [], [])
    with pytest.raises(UserError, match=r"empty\.csv: no id in it") as refused:
        check.main(check.Settings(sample, empty))
    assert "remove these rows" not in str(refused.value)


@pytest.mark.parametrize("side", [-3, 0, 16385, 100_000_000])
def test_a_side_that_no_image_has_is_refused(sample, side):
    with pytest.raises(UserError, match=f"side = {side}: an image has 1 to 16384 rows"):
        check.main(check.Settings(sample, sample, side=side))


@pytest.mark.parametrize("code", ["rubbish", "", "1 2 3", "5 0"])
def test_training_annotations_without_sense_are_no_positives(tmp_path, sample, code):
    train = write_csv(tmp_path / "train.csv", ["p", "q"], ["-1", code])
    with pytest.raises(UserError, match=r"train\.csv: image q: run-length code"):
        check.main(check.Settings(sample, sample, train=train))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("ImageId,EncodedPixels,EncodedPixels \nc,-1,-1\n", "two columns 'EncodedPixels'"),
        ("ImageId,EncodedPixels\nc,-1\na,-1,\nb,-1\n", r"Expected 2 fields in line 3, saw 3\)\.$"),
        ("ImageId,EncodedPixels\nc,-1,\na,-1,\nb,-1,\n", "rows hold more values than its header"),
    ],
)
def test_columns_too_many_are_not_misread(tmp_path, sample, text, problem):
    odd = tmp_path / "odd.csv"
    odd.write_text(text)
    with pytest.raises(UserError, match=rf"odd\.csv: .*{problem}"):
        check.main(check.Settings(odd, sample))


def test_image_sizes_are_read_from_the_run(tmp_path, sample, capsys):
    run = RunFolder(tmp_path / "run")
    run.create()
    # b is of no run, and takes the side that is given.
    run.dataset.write(dataset(["c", "a"], rows=[10, 4], columns=[3, 50]))
    # c: 30 pixels, a: 200, b: 64. The code of a ends in its last column.
    good = write_csv(tmp_path / "good.csv", IDS, ["0 30", "199 1", "60 4"])
    truth = write_csv(tmp_path / "truth.csv", IDS, ["0 10", "199 1", "60 4"])
    check.main(check.Settings(good, sample, truth, run=run.root, side=8))
    # Dice of c is 2 * 10 / (10 + 30), of the others 1.
    assert "3 images with known truth: 0.833" in capsys.readouterr().out
    bad = write_csv(tmp_path / "bad.csv", IDS, ["0 31", "-1", "60 5"])
    with pytest.raises(UserError, match="beyond the 30 pixels of a 10x3 image") as refused:
        check.main(check.Settings(bad, sample, run=run.root, side=8))
    assert "beyond the 64 pixels of a 8x8 image" in str(refused.value)
    with pytest.raises(UserError, match="nowhere: no such run folder"):
        check.main(check.Settings(good, sample, run=tmp_path / "nowhere"))


def drawn_mask(side: int = 1024) -> np.ndarray:
    """A lesion beside the upper left of the midline."""
    mask = np.zeros((side, side), bool)
    mask[side // 6 : side // 3, side // 4 : side // 4 + side // 10] = True
    return mask


def test_valid_codes_of_another_order_or_size_are_suspected():
    size, mask = (1024, 1024), drawn_mask()
    right, mirrored = rle.encode(mask), rle.encode(mask.T)
    assert suspicions([right] * 6, [None] * 6, [size] * 6) == []
    (doubt,) = suspicions([mirrored] * 6, [None] * 6, [size] * 6)
    assert "likelier if the codes count along the rows" in doubt
    (doubt,) = suspicions([mirrored, "-1"], [right, None], [size] * 2)
    assert "mean Dice of 1.000 on the images with a true mask" in doubt
    assert suspicions([right], [right], [size]) == []
    for side in (256, 512):
        (doubt,) = suspicions([rle.encode(drawn_mask(side))], [right], [size])
        assert f"codes of an image of {side}x{side} pixels" in doubt
        assert suspicions([rle.encode(drawn_mask(side))], [None], [(side, side)]) == []
    (doubt,) = suspicions([f"0 {1024 * 1024}"], [None], [size])
    assert "1 of 1 masks cover more than 40% of their image" in doubt


@pytest.mark.parametrize("kind", ["row_major", "size256", "full_mask"])
def test_the_check_warns_of_the_fields_files(shared_data, capsys, kind):
    field = shared_data / "field"
    if not (field / f"doctor_{kind}.csv").exists():
        pytest.skip("no such files here")
    truth = field / "doctor_truth.csv"
    sample = field / "doctor_sample.csv"
    check.main(check.Settings(field / f"doctor_{kind}.csv", sample, truth))
    printed = capsys.readouterr().out
    words = {"row_major": "along the rows", "size256": "256x256", "full_mask": "100%"}
    assert "one thing looks wrong" in printed
    assert words[kind] in printed.split("warning: ")[1]


def test_no_sentence_is_longer_than_one_can_read(tmp_path, sample):
    wrong = write_csv(tmp_path / "w.csv", [*IDS, "x" * 14_000], ["-1"] * 4)
    with pytest.raises(UserError, match="not in the sample") as caught:
        check.main(check.Settings(wrong, sample, side=8))
    assert max(len(line) for line in str(caught.value).split("\n")) <= 400
