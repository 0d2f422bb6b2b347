"""Runs whose maps are averaged: of the same images and folds, each once, or refused."""

from pathlib import Path

import pytest

from cnn.gate import evaluate
from cnn.gate.runs import together
from features.run.files import UserError
from features.run.folder import RunFolder
from tests.helpers.map_run import FOLDS, flat, make_pair, make_run

Pair = tuple[RunFolder, RunFolder]


@pytest.fixture
def pair(tmp_path: Path) -> Pair:
    return make_pair(tmp_path)


@pytest.mark.parametrize(
    ("folds", "problem"),
    [
        (
            {"a": 1, "b": 0, "t": None, "u": None},
            r"second/dataset\.parquet: image 'a' is in fold 1, but in .*first it is in fold 0",
        ),
        (
            {"a": 0, "b": 1, "t": 0, "u": None},
            "image 't' is in fold 0, but in .*first it is in no fold",
        ),
        ({"a": 0, "b": 1, "t": None}, "image 'u' is missing, but in .*first it is in no fold"),
        ({"a": 0, "t": None, "u": None}, "image 'b' is missing, but in .*first it is in fold 1"),
        # More to learn from may be of a patient that the first run holds out.
        (FOLDS | {"c": 0}, "image 'c' is in fold 0, but in .*first it is missing"),
    ],
)
def test_runs_of_other_folds_are_refused(pair, tmp_path, folds, problem):
    first, _ = pair
    second = make_run(tmp_path / "other" / "second", flat(4, a=0), folds)
    with pytest.raises(UserError, match=problem):
        together(first, [second.root])
    with pytest.raises(UserError, match="only runs of the same images and folds are averaged"):
        evaluate.main(evaluate.Settings(first.root, (second.root,)))
    assert not first.metrics.exists() and not first.gate.exists()


def test_a_test_image_of_the_other_run_alone_does_no_harm(pair, tmp_path):
    first, _ = pair
    other = make_run(tmp_path / "other", flat(4, a=0), FOLDS | {"v": None})
    assert together(first, [other.root]) == (first, other)


def test_no_run_counts_twice(pair, monkeypatch):
    first, second = (run.root for run in pair)
    for also in ([first], [second, second], [second, second / ".." / "second"]):
        with pytest.raises(UserError, match="stands twice"):
            together(pair[0], also)
    # However it is named, it is read again from elsewhere.
    monkeypatch.chdir(second.parent)
    relative = RunFolder(Path("first"))
    assert together(relative, [Path("second")]) == (relative, pair[1])


def test_maps_that_networks_of_other_folds_drew_are_refused(pair):
    """As after `make dataset` with other folds, before `make cnn`."""
    first, second = pair
    index = second.maps.read()
    second.maps.write(index.assign(fold=index["fold"].replace({0: 1, 1: 0})))
    with pytest.raises(
        UserError, match=r"second/cnn/maps: image 'a' was in fold 1 .* in fold 0 now"
    ):
        together(first, [second.root])
    with pytest.raises(UserError, match="2 such images"):
        together(second)


def test_a_run_that_is_gone_or_of_another_version_is_a_sentence(pair, tmp_path):
    first, second = pair
    second.format.unlink()
    with pytest.raises(UserError, match="second: a run folder of an older version"):
        together(first, [second.root])
    second.root.rename(tmp_path / "elsewhere")
    with pytest.raises(UserError, match="second: no such run folder"):
        together(first, [second.root])
