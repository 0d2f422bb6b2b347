"""Atomic writing: whole or absent."""

import pytest

from features import files
from features.files import UserError


def test_a_failed_write_leaves_the_old_file_and_no_temporary(tmp_path):
    target = tmp_path / "a.txt"
    files.write_text(target, "old")
    with pytest.raises(RuntimeError, match="half way"), files.atomic(target) as temporary:
        temporary.write_text("half")
        raise RuntimeError("half way")
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


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
    with pytest.raises(UserError, match=r"e\.parquet: no such file"):
        files.read_table(tmp_path / "e.parquet")


def test_a_folder_that_cannot_be_written_is_a_sentence(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UserError, match=r"a\.txt: could not be written"):
        files.write_text(tmp_path / "file" / "a.txt", "x")
