"""Damage to the files of a run, for `fuzz_run.py`: of any file, of JSON and of tables."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd


def damage(path: Path, like: list[Path], rng: np.random.Generator) -> str:
    """Damage a file in place. Says how."""
    kinds: list[Callable[[], str]] = [lambda: _bytes(path, rng), lambda: _swap(path, like, rng)]
    weights = [0.4, 0.1]
    if path.suffix == ".json":
        kinds, weights = [*kinds, lambda: _json(path, rng)], [0.3, 0.1, 0.6]
    elif path.suffix in (".csv", ".parquet"):
        kinds, weights = [*kinds, lambda: _table(path, rng)], [0.2, 0.1, 0.7]
    elif path.suffix in (".f16", ".safetensors", ".npy"):
        kinds, weights = [*kinds, lambda: _not_a_number(path, rng)], [0.5, 0.2, 0.3]
    pick = rng.choice(len(kinds), p=np.array(weights) / sum(weights))
    return kinds[int(pick)]()


def _bytes(path: Path, rng: np.random.Generator) -> str:
    content = bytearray(path.read_bytes())
    kind = rng.choice(["cut", "flip", "empty", "zeros", "twice", "utf-16", "insert", "noise"])
    place = int(rng.integers(0, len(content) + 1))
    if kind == "cut":
        content = content[:place]
    elif kind == "flip":
        for at in rng.integers(0, max(len(content), 1), int(rng.integers(1, 20))):
            content[at : at + 1] = bytes([content[at] ^ int(rng.integers(1, 256))])
    elif kind == "empty":
        content = bytearray()
    elif kind == "zeros":
        content[place : place + 4096] = bytes(len(content[place : place + 4096]))
    elif kind == "twice":
        content = content + content
    elif kind == "utf-16":
        content = bytearray(content.decode("latin-1").encode("utf-16"))
    elif kind == "insert":
        content[place:place] = bytes(rng.integers(0, 256, 7, dtype=np.uint8))
    else:
        content = bytearray(rng.integers(0, 256, max(len(content), 10), dtype=np.uint8).tobytes())
    path.write_bytes(content)
    return str(kind)


def _swap(path: Path, like: list[Path], rng: np.random.Generator) -> str:
    other = like[int(rng.integers(len(like)))]
    shutil.copy(other, path)
    return f"replaced by {other.name}"


WRONG: list[Any] = [None, True, -1, 0, 10**400, 1e308, -1e308, "", "x" * 10_000, "\x1b[31m", [], {}]
WRONG += [[[[]]], {"a": None}, "../../etc/passwd", 2**63, 0.5, "=cmd", "nan", "\ud800"]


def _json(path: Path, rng: np.random.Generator) -> str:
    content = json.loads(path.read_text("utf-8"))
    places: list[tuple[Any, Any]] = []

    def walk(node: Any) -> None:
        items = node.items() if isinstance(node, dict) else enumerate(node)
        for key, value in list(items):
            places.append((node, key))
            if isinstance(value, (dict, list)):
                walk(value)

    if isinstance(content, (dict, list)):
        walk(content)
    kind = rng.choice(["wrong", "wrong", "wrong", "wrong", "drop", "more", "NaN", "deep", "whole"])
    value = WRONG[int(rng.integers(len(WRONG)))]
    node, key = places[int(rng.integers(len(places)))] if places else (content, "x")
    if kind == "whole" or not places:
        content = value
    elif kind == "drop":
        del node[key]
    elif kind == "more" and isinstance(node, dict):
        node["more"] = value
    elif kind == "deep":
        node[key] = "DEEP"
    else:
        node[key] = float("nan") if kind == "NaN" else value
    text = json.dumps(content).replace('"DEEP"', "[" * 100_000 + "]" * 100_000)
    path.write_text(text, encoding="utf-8", errors="surrogatepass")
    return f"{kind} {key}: {str(value)[:20]!r}"


TABLE_KINDS = [
    "drop", "rename", "order", "text", "whole", "missing", "infinite", "huge", "negative", "twice",
    "unknown", "none", "shuffle", "more", "fewer", "swap", "zero",
]  # fmt: skip


def _table(path: Path, rng: np.random.Generator) -> str:
    is_csv = path.suffix == ".csv"
    table = pd.read_csv(path, dtype=str, keep_default_na=False) if is_csv else pd.read_parquet(path)
    attrs = dict(table.attrs)
    name = str(rng.choice(table.columns))
    kind = str(rng.choice(TABLE_KINDS))
    rows = rng.integers(0, max(len(table), 1), max(1, len(table) // 10))
    if kind in ("missing", "infinite", "huge", "negative", "unknown", "zero"):
        numeric = is_csv or pd.api.types.is_numeric_dtype(table[name])
        value = {"missing": None, "infinite": np.inf, "huge": 3e4, "negative": -7, "zero": 0}.get(
            kind
        )
        if kind == "huge":
            value = float(rng.choice([3e4, 1e300, 2**62, 2**40]))
        if kind == "unknown":
            name, value = next((c for c in table.columns if "id" in c.lower()), name), "nobody"
            numeric = False
        before = table[name].dtype
        if isinstance(before, pd.CategoricalDtype):
            table[name] = table[name].astype(str)
        column = table[name].astype(object)
        if len(table):
            column.iloc[rows] = ("" if value is None else str(value)) if is_csv else value
        try:
            with np.errstate(all="ignore"):
                table[name] = (
                    column
                    if is_csv
                    else column.astype(before)
                    if numeric
                    else column.astype(str if kind == "unknown" else before).astype(
                        before if not isinstance(before, pd.CategoricalDtype) else "category"
                    )
                )
        except (ValueError, TypeError, OverflowError):
            table[name] = column
    elif kind == "drop":
        table = table.drop(columns=name)
    elif kind == "rename":
        table = table.rename(columns={name: f"{name}x"})
    elif kind == "order":
        table = table[[*rng.permutation(table.columns)]]
    elif kind == "text":
        table[name] = table[name].astype(str) + "x"
    elif kind == "whole":
        table[name] = np.arange(len(table))
    elif kind == "twice":
        table = pd.concat((table, table.iloc[rows[:3]]))
    elif kind == "none":
        table = table[:0]
    elif kind == "shuffle":
        table = table.iloc[rng.permutation(len(table))]
    elif kind == "more":
        table["more"] = 1
    elif kind == "fewer":
        table = table.drop(index=table.index[np.unique(rows)])
    elif kind == "swap" and len(table):
        table[name] = rng.permutation(table[name])
    table.attrs = attrs
    try:
        if is_csv:
            table.to_csv(path, index=False)
        else:
            table.to_parquet(path, index=False)
    except Exception:  # pyarrow takes no mixed columns
        path.write_bytes(b"")
        return f"{kind} {name}: empty instead"
    return f"{kind} {name}"


def _not_a_number(path: Path, rng: np.random.Generator) -> str:
    content = bytearray(path.read_bytes())
    width = 4 if path.suffix == ".safetensors" else 2
    pattern = b"\xff" * width  # NaN in either precision
    for _ in range(8):
        at = len(content) - width * int(rng.integers(1, max(2, len(content) // (2 * width))))
        content[at : at + width] = pattern
    path.write_bytes(content)
    return "not a number"
