"""Gate inputs, outlines and submission are the same however the images are spread."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from distributed import LocalCluster

from baseline.explanation import top_zone
from baseline.gate import rules
from baseline.gate.rules import GateInputs, Rule
from cnn.gate import evaluate, masks
from cnn.gate.sources import SourceMaps, draw_image
from cnn.submission import write
from features.reading import rle
from features.run import parallel
from features.run.folder import RunFolder
from tests.helpers.map_run import make_run, predictions

SHAPE = (32, 24)
NAMES = [f"i{number}" for number in range(9)]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunFolder:
    """Maps by chance of nine images, three of which are of no fold."""
    monkeypatch.setattr(top_zone, "read", lambda run: {})
    monkeypatch.setattr(parallel, "FEW", 2)
    rng = np.random.default_rng(0)
    maps = {name: rng.integers(0, 256, (8, 8), dtype=np.uint8) for name in NAMES}
    folds = {name: number % 2 if number < 6 else None for number, name in enumerate(NAMES)}
    codes = [rle.encode(rng.random(SHAPE) < 0.2) for _ in range(5)] + ["-1"]
    made = make_run(tmp_path, maps, folds, SHAPE, codes)
    made.oof.write(predictions(NAMES[:6], "oof", [folds[name] for name in NAMES[:6]]))
    made.test.write(predictions(NAMES[6:], "deployed", [None] * 3))
    return made


def same(one: dict[str, GateInputs], other: dict[str, GateInputs]) -> bool:
    return all(
        np.array_equal(getattr(one[source], field.name), getattr(other[source], field.name), True)
        for source in rules.SOURCES
        for field in dataclasses.fields(GateInputs)
    )


def test_processes_and_a_cluster_measure_the_same_in_the_same_order(run):
    rows = evaluate.scored_images.labelled(run)
    alone = evaluate.gate_inputs(SourceMaps((run,)), rows, "alone", jobs=1)
    by_hand = [inputs["unet"].dice[0] for _, inputs in SourceMaps((run,)).measure(rows)]
    np.testing.assert_array_equal(alone["unet"].dice, by_hand)
    assert len(np.unique(alone["unet"].entropy)) == 6
    assert same(alone, evaluate.gate_inputs(SourceMaps((run,)), rows, "processes", jobs=2))
    with LocalCluster(n_workers=1, processes=False, dashboard_address=":0") as cluster:
        address = cluster.scheduler_address
        spread = evaluate.gate_inputs(SourceMaps((run,)), rows, "cluster", scheduler=address)
    assert same(alone, spread)


def test_processes_write_the_same_codes(run, monkeypatch):
    gate = evaluate.Gate("unet", (), {"unet": Rule("unet")}, None)
    monkeypatch.setattr(write, "read_gate", lambda run: gate)
    alone, spread = (write.codes(run, None, jobs) for jobs in (1, 2))
    assert alone == spread and list(alone) == NAMES[6:]
    rows = write.scored_images.sized(run, run.test)
    images = SourceMaps((run,)).images(rows, ("unet",), to_measure=False)
    expected = [
        rle.encode(masks.cut(draw_image(image)["unet"], Rule.mask_share)) for image in images
    ]
    assert list(alone.values()) == expected


def test_items_are_taken_only_as_they_are_needed(monkeypatch):
    monkeypatch.setattr(parallel, "cores", lambda: 2)
    taken = []

    def items():
        for number in range(100):
            taken.append(number)
            yield number

    results = parallel.stream(abs, items(), "numbers", jobs=2, count=100)
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    assert len(taken) <= 3 + parallel.AHEAD * 2 + 1
    results.close()
