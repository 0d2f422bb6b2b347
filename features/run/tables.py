"""Tables with a schema: columns and types are checked when a table is written and when it is read.

A table of a run is a `Table`, a path beside its `Schema`. What does not fit the schema when it is
written is a fault of ours (ValueError); what does not fit when it is read was made by another
version or is damaged, and raises a `UserError`.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from features.run import memory
from features.run.files import UserError, atomic

# Kinds of columns: pandas types, of which these mark a missing value. An empty text is no missing
# one, since an image may be called "" or "NA".
MISSING = ("float64", "float32", "string", "Int64")
# More folds than anybody makes.
MOST_FOLDS = 1000


@dataclass(frozen=True)
class Schema:
    """Columns of a table, in their order.

    Parameters
    ----------
    columns : mapping of str to str
        pandas type by name: "str" (a text that is always there), "string" (one that may be
        missing), "float64", "float32", "int64", "int16", "int8", "Int64" (may be missing), "bool"
        or "category" (of texts).
    further : str, optional
        Type of any further columns, e.g. of features; none may follow if missing.
    """

    columns: Mapping[str, str]
    further: str | None = None

    def types(self, names: pd.Index) -> dict[str, str]:
        """Type of each column of a table with these names.

        Raises
        ------
        ValueError
            If a column is missing, out of its order or unknown.
        """
        wanted, present = list(self.columns), [str(name) for name in names]
        if present[: len(wanted)] != wanted:
            missing = [name for name in wanted if name not in present]
            raise ValueError(
                f"no column {missing[0]!r}" if missing else "its columns are reordered"
            )
        further = present[len(wanted) :]
        if further and self.further is None:
            raise ValueError(f"an unknown column {further[0]!r}")
        return {**self.columns, **dict.fromkeys(further, self.further or "")}


@dataclass(frozen=True)
class Table:
    """A table of a run folder.

    Parameters
    ----------
    path : Path
        A file ending in .parquet or .csv.
    schema : Schema
    maker : str
        The make target that writes it.
    """

    path: Path
    schema: Schema
    maker: str = field(compare=False)

    def exists(self) -> bool:
        """Whether the file is there."""
        return self.path.exists()

    def write(self, table: pd.DataFrame) -> None:
        """Write a table whole or not at all.

        Raises
        ------
        ValueError
            If it does not fit the schema.
        UserError
            If the disk takes no more.
        """
        typed = self._typed(table)
        with atomic(self.path) as temporary:
            if self.path.suffix == ".csv":
                typed.to_csv(temporary, index=False)
            else:
                typed.to_parquet(temporary, index=False)

    def write_groups(self, groups: Iterable[pd.DataFrame], noted: tuple[str, ...] = ()) -> None:
        """Write a parquet table group by group, so that only one of them is in memory.

        Least and greatest values are noted of the columns `noted` alone, by which `read_groups` may
        skip groups: what Parquet notes of every column of every group stays in memory until the
        file is closed.

        Raises
        ------
        ValueError
            If there is no group, or one does not fit the schema.
        UserError
            If the disk takes no more.
        """
        with atomic(self.path) as temporary, ExitStack() as stack:
            writer = None
            for group in groups:
                part = pa.Table.from_pandas(self._typed(group), preserve_index=False)
                if writer is None:
                    writer = pq.ParquetWriter(temporary, part.schema, write_statistics=list(noted))
                    stack.enter_context(writer)
                writer.write_table(part, row_group_size=max(len(group), 1))
            if writer is None:
                raise ValueError(f"{self.path}: no group of rows to write")

    def _typed(self, table: pd.DataFrame) -> pd.DataFrame:
        typed = table.astype(self.schema.types(table.columns))
        typed.attrs = dict(table.attrs)
        return typed

    def read(self, filters: list[tuple[str, str, object]] | None = None) -> pd.DataFrame:
        """Read the table, or the rows that pass all filters (column, relation, value; parquet).

        Raises
        ------
        UserError
            If the file is missing, is damaged, or does not fit the schema.
        """
        try:
            if self.path.suffix == ".csv":
                table = self._read_csv()
            else:
                table = pd.read_parquet(self.path, filters=filters)
                memory.give_back()
                self._check(table)
            _check_folds(table)
            return table
        except FileNotFoundError:
            raise UserError(f"{self.path}: no such file; run `make {self.maker}` first.") from None
        except (OSError, ValueError, pa.ArrowException) as error:
            raise self.refused(" ".join(str(error).split())) from None

    def read_groups(self, **wanted: int) -> Iterator[pd.DataFrame]:
        """Read a parquet table group by group as it was written, so that one of them is in memory.

        Parameters
        ----------
        **wanted : int
            Values of columns; rows with others are left out.

        Raises
        ------
        UserError
            As `read` does.
        """
        try:
            with pq.ParquetFile(self.path) as file:
                for number in range(file.num_row_groups):
                    if not _may_hold(file.metadata.row_group(number), wanted):
                        continue
                    table = file.read_row_group(number).to_pandas()
                    self._check(table)
                    _check_folds(table)
                    for name, value in wanted.items():
                        table = table[table[name] == value]
                    yield table
        except FileNotFoundError:
            raise UserError(f"{self.path}: no such file; run `make {self.maker}` first.") from None
        except (OSError, ValueError, KeyError, pa.ArrowException) as error:
            raise self.refused(" ".join(str(error).split())) from None

    def refused(self, reason: str) -> UserError:
        """The sentence for a table of another version, or a damaged one."""
        return UserError(
            f"{self.path}: not a table of this version ({reason}); delete it and run "
            f"`make {self.maker}` again."
        )

    def _check(self, table: pd.DataFrame) -> None:
        wanted = self.schema.types(table.columns)
        for name, kind in table.dtypes.items():
            if _kind(kind) != wanted[str(name)]:
                raise ValueError(f"column {str(name)!r} holds {kind} and not {wanted[str(name)]}")

    def _read_csv(self) -> pd.DataFrame:
        header = pd.read_csv(self.path, nrows=0).columns
        kinds = self.schema.types(header)
        empty = {name: [""] if kind in MISSING else [] for name, kind in kinds.items()}
        return pd.read_csv(self.path, dtype=kinds, keep_default_na=False, na_values=empty)


def _may_hold(group: pq.RowGroupMetaData, wanted: Mapping[str, int]) -> bool:
    """Whether a group may hold rows with these values, by what is noted of its columns."""
    for number in range(group.num_columns):
        column = group.column(number)
        value, noted = wanted.get(column.path_in_schema), column.statistics
        known = value is not None and noted is not None and noted.has_min_max
        if known and not noted.min <= value <= noted.max:
            return False
    return True


def _check_folds(table: pd.DataFrame) -> None:
    """Refuse folds that would be counted for hours."""
    for name in {"fold", "for_fold"} & set(table.columns):
        folds = table[name].dropna()
        if len(folds) and not 0 <= folds.min() <= folds.max() < MOST_FOLDS:
            raise ValueError(f"column {name!r} goes from {folds.min()} to {folds.max()}")


def _kind(dtype: object) -> str:
    """A pandas type by the name that schemas use; a category by that of its values."""
    if isinstance(dtype, pd.CategoricalDtype):
        return "category"
    if isinstance(dtype, pd.StringDtype):
        return "str" if dtype.na_value is np.nan else "string"
    return str(dtype)
