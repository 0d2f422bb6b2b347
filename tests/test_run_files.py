"""Atomic writing: whole or absent."""

import errno
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cnn.weights import tensors
from features.run import files
from features.run.files import UserError
from features.run.tables import Schema, Table
from tests.helpers.small_disk import small_disk

# Too much for a small disk, and nothing that could be compressed.
NOISE = np.random.default_rng(0).random(20_000)


def test_a_failed_write_leaves_the_old_file_and_no_temporary(tmp_path):
    target = tmp_path / "a.txt"
    files.write_text(target, "old")
    with pytest.raises(RuntimeError, match="half way"), files.atomic(target) as temporary:
        temporary.write_text("half")
        raise RuntimeError("half way")
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_what_a_killed_writer_left_goes_when_nobody_can_write_it_still(tmp_path):
    old, fresh, other = (tmp_path / f".{name}" for name in ("a[1]-x.txt", "a[1]-y.txt", "b-x.txt"))
    for path in (old, fresh, other):
        path.write_text("half")
    for path in (old, other):
        os.utime(path, (0, 0))
    files.write_text(tmp_path / "a[1].txt", "whole")
    assert not old.exists() and fresh.exists() and other.exists()


def test_a_missing_file_that_was_read_meanwhile_is_not_called_a_full_disk(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"), files.atomic(tmp_path / "a.txt"):
        (tmp_path / "nowhere").read_text()
    with (
        pytest.raises(UserError, match="could not be written"),
        files.atomic(tmp_path / "b") as temporary,
    ):
        raise PermissionError(13, "Permission denied", str(temporary))


def test_json_round_trip_and_mistakes(tmp_path):
    files.write_json(tmp_path / "a" / "b.json", {"x": [1, 2.5, None]})
    assert files.read_json(tmp_path / "a" / "b.json") == {"x": [1, 2.5, None]}
    with pytest.raises(ValueError, match="JSON"):
        files.write_json(tmp_path / "c.json", float("nan"))
    assert not (tmp_path / "c.json").exists()
    (tmp_path / "d.json").write_text("{")
    with pytest.raises(UserError, match=r"d\.json: not valid JSON"):
        files.read_json(tmp_path / "d.json")
    with pytest.raises(UserError, match=r"e\.json: no such file"):
        files.read_json(tmp_path / "e.json")


def test_a_folder_that_cannot_be_written_is_a_sentence(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UserError, match=r"a\.txt: could not be written"):
        files.write_text(tmp_path / "file" / "a.txt", "x")


def write_archive(path: Path) -> None:
    with files.atomic(path) as temporary:
        np.savez_compressed(temporary, maps=NOISE)


@pytest.mark.parametrize(
    "write",
    [
        # As the U-Net's weights and probability maps, the tables and texts are written.
        lambda path: tensors.save(path, {"w": NOISE}, {"epoch": 1}),
        write_archive,
        lambda path: Table(path, Schema({"x": "float64"}), "thing").write(
            pd.DataFrame({"x": NOISE})
        ),
        lambda path: files.write_csv(path, pd.DataFrame({"x": NOISE})),
        lambda path: files.write_json(path, NOISE.tolist()),
    ],
    ids=["weights", "archive", "table", "csv", "json"],
)
def test_a_disk_that_takes_no_more_is_a_sentence_and_the_old_file_stays(tmp_path, write):
    target = tmp_path / "weights.npz"
    target.write_text("old")
    with (
        small_disk(20_000),
        pytest.raises(UserError, match=r"weights\.npz: could not be written \(File too large\)"),
    ):
        write(target)
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]
    write(target)
    assert target.stat().st_size > 20_000


def test_a_full_disk_is_known_by_the_systems_words_whoever_wraps_them(tmp_path):
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    foreign = RuntimeError("Error while serializing: No space left on device (os error 28)")
    behind = ValueError("could not save")
    behind.__cause__ = full
    for error in (full, foreign, behind):
        with (
            pytest.raises(UserError, match=r"a\.bin: could not be written \(No space left"),
            files.atomic(tmp_path / "a.bin"),
        ):
            raise error
    # An error that is not of the disk, or is a sentence already, is raised as it is.
    for error in (ValueError("a bug"), UserError("x.csv: a sentence.")):
        with pytest.raises(type(error), match=str(error)), files.atomic(tmp_path / "a.bin"):
            raise error
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="the system cannot promise room")
def test_the_room_of_an_array_is_taken_before_it_is_filled(tmp_path, monkeypatch):
    path = tmp_path / "a.npy"
    array = files.open_array(path, (3, 500, 700), np.uint8)
    # A sparse file would have hardly a block.
    assert path.stat().st_blocks * 512 >= path.stat().st_size > 3 * 500 * 700
    array[1, 2, 3] = 7
    array.flush()
    stored = np.load(path, mmap_mode="r", allow_pickle=False)
    assert stored.shape == (3, 500, 700) and stored.dtype == np.uint8
    assert stored[1, 2, 3] == 7 and stored.sum() == 7

    def refuse(number: int) -> None:
        def full(*arguments: int) -> None:
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr(os, "posix_fallocate", full)

    refuse(errno.ENOSPC)
    with (
        pytest.raises(UserError, match=r"b\.npy: could not be written \(No space left"),
        files.atomic(tmp_path / "b.npy") as temporary,
    ):
        files.open_array(temporary, (3, 4), np.float32)
    assert list(tmp_path.iterdir()) == [path]
    refuse(errno.EOPNOTSUPP)
    assert files.open_array(path, (3, 4), np.float32).shape == (3, 4)
