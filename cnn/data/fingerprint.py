"""Short hashes by which two sets of images are known to be the same."""

import hashlib

import pandas as pd

from features.squares.store import ChosenSquares

# Squares hashed at once.
PART = 256


def fingerprint(*columns: pd.Series) -> str:
    """Hash of some columns of a table, row by row."""
    lines = "\n".join("\t".join(map(str, row)) for row in zip(*columns, strict=True))
    return hashlib.sha256(lines.encode()).hexdigest()[:16]


def of_pixels(squares: ChosenSquares) -> str:
    """Hash of the pixels of some squares, in order."""
    digest = hashlib.sha256()
    for start in range(0, len(squares), PART):
        digest.update(squares[start : start + PART].tobytes())
    return digest.hexdigest()[:16]
