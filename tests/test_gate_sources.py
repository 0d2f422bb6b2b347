"""Maps of several runs, averaged alike for the gate and its outlines."""

from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from baseline.evidence_map import maps as evidence_maps
from baseline.explanation import top_zone
from baseline.explanation.top_zone import TopZone
from baseline.gate.results import read_gate, read_metrics
from baseline.learning import scores
from cnn.gate import evaluate, scored_images, sources
from cnn.gate.runs import together
from cnn.gate.sources import SourceMaps
from features.reading import rle
from features.run.files import UserError
from features.run.folder import RunFolder
from tests.helpers.map_run import FOLDS, SHAPE, make_pair, make_run, predictions

Pair = tuple[RunFolder, RunFolder]


@pytest.fixture(autouse=True)
def _without_shap(monkeypatch):
    """These runs have no SHAP values, so no zone is the top one."""
    monkeypatch.setattr(top_zone, "read", lambda run: {})


@pytest.fixture
def pair(tmp_path) -> Pair:
    return make_pair(tmp_path)


def test_maps_of_networks_of_other_sizes_are_averaged_at_the_images_own(pair):
    first, second = pair
    rows = pd.DataFrame({"id": ["b", "t"], "rows": SHAPE[0], "columns": SHAPE[1]})
    drawn = list(SourceMaps(together(first, [second.root])).stream(rows))
    assert [maps["unet"].shape for maps in drawn] == [SHAPE, SHAPE]
    # b: (3 + 4) / 2, half a level up; t: (26 + 230) / 2, and with the dark evidence half of that.
    assert [set(maps["unet"].ravel()) for maps in drawn] == [{4}, {128}]
    assert [set(maps["joint"].ravel()) for maps in drawn] == [{2}, {64}]
    alone = list(SourceMaps((first,)).stream(rows))
    assert [set(maps["unet"].ravel()) for maps in alone] == [{3}, {26}]


@pytest.mark.parametrize(
    "wanted", [("unet",), ("evidence",), ("joint",), ("joint", "unet"), ("evidence", "unet")]
)
def test_maps_of_some_sources_are_the_same(pair, wanted):
    first, second = pair
    rows = pd.DataFrame({"id": ["b", "t"], "rows": SHAPE[0], "columns": SHAPE[1]})
    maps = SourceMaps((first, second))
    for some, all_of_them in zip(maps.stream(rows, wanted), maps.stream(rows), strict=True):
        assert tuple(some) == wanted
        for source in wanted:
            np.testing.assert_array_equal(some[source], all_of_them[source])


def test_a_source_without_the_network_needs_no_maps_of_it(pair):
    first, _ = pair
    first.maps.path.unlink()
    rows = pd.DataFrame({"id": ["b", "t"], "rows": SHAPE[0], "columns": SHAPE[1]})
    assert len(list(SourceMaps((first,)).stream(rows, ("evidence",)))) == 2
    with pytest.raises(UserError, match=r"index\.csv: no such file; run `make cnn` first"):
        next(SourceMaps((first,)).stream(rows, ("joint",)))


def test_the_mean_of_maps_is_numpys():
    rng = np.random.default_rng(0)
    for count in (1, 2, 3, 7):
        maps = rng.integers(0, 256, (count, 5, 4), dtype=np.uint8)
        mean = sources.mean(list(maps))
        assert mean.dtype == np.uint8
        np.testing.assert_array_equal(mean, np.floor(maps.mean(axis=0) + 0.5))
    np.testing.assert_array_equal(sources.mean([np.full((2, 2), 255, np.uint8)] * 300), 255)


def test_an_image_without_a_map_in_one_of_the_runs_is_a_sentence(pair):
    second = pair[1]
    second.maps.write(second.maps.read().query("id != 't'"))
    rows = pd.DataFrame({"id": ["t"], "rows": SHAPE[0], "columns": SHAPE[1]})
    with pytest.raises(UserError, match=r"second/cnn/maps/index\.csv: image 't' has no map"):
        next(SourceMaps(pair).stream(rows))


def test_a_lost_or_damaged_part_of_a_runs_maps_is_a_sentence(pair):
    rows = pd.DataFrame({"id": ["t"], "rows": SHAPE[0], "columns": SHAPE[1]})
    part = pair[1].map_part(0)
    whole = part.read_bytes()
    for content in (whole[: len(whole) // 2], b"", b"PK"):
        part.write_bytes(content)
        with pytest.raises(UserError, match=r"second/cnn/maps/part-0000\.npz: damaged"):
            next(SourceMaps(pair).stream(rows))
    part.unlink()
    with pytest.raises(UserError, match=r"part-0000\.npz: no such file; delete .*index\.csv"):
        next(SourceMaps(pair).stream(rows))


def test_a_prediction_of_an_image_that_is_not_there_is_a_sentence(pair):
    first, _ = pair
    first.oof.write(predictions(["a", "b", "z"], "oof", [0, 1, 0]))
    with pytest.raises(UserError, match=r"oof\.csv: z is no image of .*\(1 such ids\)"):
        scored_images.sized(first, first.oof)


def test_the_gate_measures_the_map_in_the_top_zone(pair, monkeypatch):
    """Of the 16 rows of t the first 8 are bright; the top zone is some cells."""
    square = np.zeros((8, 8), np.uint8)
    square[:4] = 255
    half = make_run(pair[0].root.parent / "half", {"t": square, "u": square}, FOLDS)
    table = pd.DataFrame({"id": ["t", "u"], "probability": [0.5, 1.0], "rows": 16, "columns": 12})
    table["mask"] = [pd.NA, "-1"]
    # At 512 working rows a row of the image is 4 cells high: cells 28 to 35 are rows 7 and 8.
    rows, columns = np.divmod(np.arange(8 * 48), 48)
    monkeypatch.setattr(top_zone, "read", lambda run: {"t": TopZone(rows + 28, columns)})
    maps = SourceMaps((half,))
    of_t, of_u = (inputs for _, inputs in maps.measure(table))
    upper, lower = next(maps.stream(table))["unet"][7:9].mean(axis=1) / 255
    assert upper > 0.5 > lower
    assert of_t["unet"].agreement[0] == pytest.approx((upper + lower) / 2)
    # The evidence is dark everywhere, and of u no zone is known.
    assert of_t["evidence"].agreement == of_u["unet"].agreement == [0.0]
    assert of_t["unet"].log_odds == [0.0] and of_u["unet"].log_odds[0] > 13
    assert np.isnan(of_t["unet"].positive) and of_u["unet"].positive == [0.0]


@pytest.fixture
def blind_pair(tmp_path, monkeypatch) -> tuple[Pair, str]:
    """Two runs, each of which draws another half of the lesions, and the code of all lesions."""
    # Few resamples will do: the intervals are not what is tested here.
    monkeypatch.setattr(scores, "bootstrap", partial(scores.bootstrap, replicates=20))
    names = [f"i{k:02d}" for k in range(24)]
    folds: dict[str, int | None] = {name: k % 3 for k, name in enumerate(names)} | {"t": None}
    square = np.zeros((16, 16), np.uint8)
    square[4:12, 4:12] = 255
    truth = rle.encode(square > 0)
    # Images 0 to 11 are positive; the first run draws the even ones, the second the odd ones.
    codes = [truth] * 12 + ["-1"] * 12
    first, second = (
        make_run(
            tmp_path / name,
            {
                image: square if k < 12 and k % 2 == parity else np.zeros_like(square)
                for k, image in enumerate([*names, "t"])
            },
            folds,
            (16, 16),
            codes,
        )
        for parity, name in enumerate("xy")
    )
    first.oof.write(predictions(names, "oof", [folds[name] for name in names]))
    return (first, second), truth


def test_gate_scores_and_outlines_are_of_the_mean(blind_pair):
    """Each run alone draws half of the lesions; only the mean draws them all."""
    (first, second), truth = blind_pair
    dice = {}
    for also in ((), (second.root,)):
        evaluate.main(evaluate.Settings(first.root, also))
        metrics, gate = read_metrics(first), read_gate(first)
        assert gate.also == metrics.also == tuple(str(root) for root in also)
        dice[len(also)] = metrics.out_of_fold.policies["unet"].dice.value
    assert dice == {0: pytest.approx(18 / 24), 1: 1.0}
    table = first.outlines.read()
    assert list(table["mask"]) == [truth] * 12 + ["-1"] * 12
    assert list(table["dice"]) == [1.0] * 24


def test_maps_are_measured_once_and_zones_and_evidence_read_once(blind_pair, monkeypatch):
    (first, _), _ = blind_pair
    # The truth of the test image is known, too.
    first.truth.write(pd.DataFrame({"id": ["t"], "mask": ["-1"]}))
    first.test.write(predictions(["t"], "deployed", [None]))
    calls: dict[str, int] = {"zones": 0, "evidence": 0, "measured": 0}

    def counted(name, function):
        def wrapped(*arguments):
            calls[name] += 1
            return function(*arguments)

        return wrapped

    monkeypatch.setattr(top_zone, "read", counted("zones", lambda run: {}))
    monkeypatch.setattr(evidence_maps, "read", counted("evidence", evidence_maps.read))
    monkeypatch.setattr(sources.masks, "measure", counted("measured", sources.masks.measure))
    evaluate.main(evaluate.Settings(first.root))
    assert calls == {"zones": 1, "evidence": 1, "measured": 25 * 3}


@pytest.mark.parametrize("part", ["outlines", "report_figures"])
def test_a_gate_that_is_stopped_amid_its_files_leaves_no_mark_that_all_are_there(
    blind_pair, monkeypatch, part
):
    (first, _), _ = blind_pair
    evaluate.main(evaluate.Settings(first.root))
    assert first.gate.exists()

    def stop(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(getattr(evaluate, part), "write", stop)
    with pytest.raises(KeyboardInterrupt):
        evaluate.main(evaluate.Settings(first.root))
    assert not first.gate.exists()


def test_labelled_images_of_one_fold_are_refused(pair):
    first, _ = pair
    first.oof.write(predictions(["a", "b"], "oof", [1, 1]))
    with pytest.raises(UserError, match=r"dataset\.parquet: 2 images .* in 1 folds"):
        evaluate.main(evaluate.Settings(first.root))
    assert not first.gate.exists()


def test_a_run_that_is_a_file_is_a_sentence(tmp_path: Path):
    file = tmp_path / "gate.json"
    file.write_text("{}")
    with pytest.raises(UserError, match=r"gate\.json: is a file where a folder belongs"):
        evaluate.main(evaluate.Settings(file))
