"""Freed memory goes back to the system."""

import sys
from pathlib import Path

import numpy as np
import pytest

from features.run import memory

PAGE = 4096


def resident() -> int:
    """Bytes of this process that are in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_what_small_pieces_took_goes_back_to_the_system():
    pieces = [np.ones(2000, np.uint8) for _ in range(100_000)]
    # The pieces between those that stay cannot be given back by moving the end of the heap.
    kept = pieces[::1000]
    full = resident()
    del pieces
    memory.give_back()
    assert full - resident() > 150e6
    assert all(piece.all() for piece in kept)
