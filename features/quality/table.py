"""The table of the quality gate's qualities: one row for each measured image."""

from collections.abc import Sequence

import pandas as pd

from features.quality.gate import GOOD, Quality
from features.run.folder import RunFolder


def rows_of(ids: Sequence[str], qualities: Sequence[Quality]) -> pd.DataFrame:
    """Rows of `RunFolder.quality` for some images, none of them set aside."""
    columns = ("probability", "kind", "words", "flagged")
    rows = pd.DataFrame([[getattr(quality, name) for name in columns] for quality in qualities])
    rows.columns = pd.Index(columns)
    rows.insert(0, "id", list(ids))
    return rows.assign(flagged=rows["flagged"].astype("int64"), aside=0)


def join(run: RunFolder, parts: Sequence[pd.DataFrame], strict: bool) -> None:
    """Write the run's table; where it is strict, what is flagged is set aside."""
    rows = pd.concat(parts, ignore_index=True)
    run.quality.write(rows.assign(aside=rows["flagged"] if strict else 0))


def summary(rows: pd.DataFrame) -> str:
    """Counts by kind in a line."""
    flagged, noted = rows[rows["flagged"] == 1], rows[rows["flagged"] == 0]
    text = f"{len(flagged)} of {len(rows)} images may be no frontal chest X-ray, upright and whole"
    if len(flagged):
        what = "set aside" if flagged["aside"].all() else "kept; --strict sets them aside"
        text += f" ({_counts(flagged['kind'])}): {what}"
    odd = noted[noted["kind"] != GOOD]
    if len(odd):
        text += f"; noted: {_counts(odd['kind'])}"
    return text + " (quality.parquet)"


def _counts(kinds: pd.Series) -> str:
    counts = kinds.value_counts(sort=False).sort_index().sort_values(ascending=False, kind="stable")
    return ", ".join(f"{count} {kind}" for kind, count in counts.items())
