"""Tables with a schema: what is written comes back, and what does not fit is refused."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from features.run.files import UserError
from features.run.folder import FORMAT, RunFolder, measured
from features.run.tables import Schema, Table
from features.run.version import VERSION

KINDS = {
    "id": "str",
    "mask": "string",
    "age": "float64",
    "share": "float32",
    "rows": "int64",
    "row": "int16",
    "fold": "Int64",
}


def content() -> pd.DataFrame:
    """An id called "NA", an empty one, and a missing value of each kind that may miss."""
    return pd.DataFrame(
        {
            "id": ["NA", ""],
            "mask": ["1 2", None],
            "age": [50.0, np.nan],
            "share": [0.5, np.nan],
            "rows": [1, 2],
            "row": [3, 4],
            "fold": [0, None],
        }
    )


@pytest.mark.parametrize("suffix", ["parquet", "csv"])
def test_a_table_comes_back_as_it_was_written(tmp_path, suffix):
    table = Table(tmp_path / f"t.{suffix}", Schema(KINDS), "thing")
    table.write(content())
    read = table.read()
    pd.testing.assert_frame_equal(read, content().astype(KINDS))
    assert read["id"].tolist() == ["NA", ""] and read["fold"].isna().tolist() == [False, True]


def test_categories_and_rows_by_filter(tmp_path):
    table = Table(tmp_path / "t.parquet", Schema({"id": "category", "fold": "int64"}), "thing")
    table.write(pd.DataFrame({"id": ["a", "b", "a"], "fold": [0, 1, 1]}))
    assert table.read([("fold", "==", 1)])["id"].tolist() == ["b", "a"]


@pytest.mark.parametrize("suffix", ["parquet", "csv"])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.drop(columns="age"), "no column 'age'"),
        (lambda t: t[[*t.columns[::-1]]], "its columns are reordered"),
        (lambda t: t.assign(more=1), "an unknown column 'more'"),
        (lambda t: t.assign(rows="many"), "rows|many"),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path, suffix, change, message):
    table = Table(tmp_path / f"t.{suffix}", Schema(KINDS), "thing")
    wrong = change(content().astype(KINDS))
    with pytest.raises(ValueError, match=r".*"):
        table.write(wrong)
    assert not list(tmp_path.iterdir())
    if suffix == "csv":
        wrong.to_csv(table.path, index=False)
    else:
        wrong.to_parquet(table.path, index=False)
    with pytest.raises(
        UserError, match=rf"t\.{suffix}: not a table of this version \(.*({message})"
    ):
        table.read()


def test_a_table_that_is_missing_or_damaged_names_its_make_target(tmp_path):
    table = Table(tmp_path / "t.parquet", Schema(KINDS), "thing")
    with pytest.raises(UserError, match="no such file; run `make thing` first"):
        table.read()
    table.path.write_bytes(b"PAR1 and no more")
    with pytest.raises(UserError, match="run `make thing` again"):
        table.read()


def test_a_run_of_another_format_is_refused_by_name(tmp_path: Path):
    run = RunFolder(tmp_path / "r")
    with pytest.raises(UserError, match="no such run folder"):
        run.check()
    run.root.mkdir()
    with pytest.raises(UserError, match="is no run folder"):  # so nobody is told to delete it
        run.check()
    run.dataset.path.touch()
    with pytest.raises(
        UserError, match=f"of an older version, and this version reads format {FORMAT}"
    ):
        run.check()
    run.create()
    assert run.check() is run and VERSION in run.format.read_text()
    run.format.write_text('{"format": 9}')
    with pytest.raises(UserError, match="a run folder of format 9"):
        run.check()


def test_measured_images_are_those_of_a_fold_and_test_images():
    dataset = pd.DataFrame({"split": ["train", "test", "unlabelled", "test"]})
    dataset["fold"] = pd.array([0, None, None, 1], "Int64")
    assert measured(dataset).index.tolist() == [0, 1, 3]


def test_groups_are_read_as_they_were_written_and_those_of_other_values_left_out(tmp_path):
    table = Table(tmp_path / "a.parquet", Schema({"id": "str", "for_fold": "int64"}), "evidence")
    groups = [
        pd.DataFrame({"id": ["a", "b"], "for_fold": [0, 1]}),
        pd.DataFrame({"id": ["c"], "for_fold": [2]}),
        pd.DataFrame({"id": ["d", "e"], "for_fold": [1, 1]}),
    ]
    for noted in ((), ("for_fold",)):
        table.write_groups(groups, noted)
        read = list(table.read_groups())
        assert [list(group["id"]) for group in read] == [["a", "b"], ["c"], ["d", "e"]]
        ones = list(table.read_groups(for_fold=1))
        assert [list(group["id"]) for group in ones if len(group)] == [["b"], ["d", "e"]]
        # Without notes the second group has to be read to be left out.
        assert len(ones) == 3 - len(noted)


def test_groups_of_a_missing_or_damaged_table_are_a_sentence(tmp_path):
    table = Table(tmp_path / "a.parquet", Schema({"for_fold": "int64"}), "evidence")
    with pytest.raises(UserError, match=r"a\.parquet: no such file; run `make evidence` first"):
        next(table.read_groups())
    table.path.write_bytes(b"PAR1")
    with pytest.raises(UserError, match=r"a\.parquet: not a table of this version"):
        next(table.read_groups())
    pd.DataFrame({"for_fold": [-1]}).to_parquet(table.path)
    with pytest.raises(UserError, match="goes from -1 to -1"):
        next(table.read_groups())
    pd.DataFrame({"other": [1]}).to_parquet(table.path)
    with pytest.raises(UserError, match="no column 'for_fold'"):
        next(table.read_groups())
