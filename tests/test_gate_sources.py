"""Maps of several runs: averaged alike for the gate, its outlines and the submission, or refused.

Every map is flat or has one bright square, so that means can be told by hand.
"""

import json
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from baseline.explanation import top_zone
from baseline.explanation.top_zone import TopZone
from baseline.gate.rules import Rule
from baseline.learning import scores
from cnn.gate import evaluate, outlines, sources
from cnn.submission import write
from features.reading import rle
from features.run.files import UserError, write_json

SHAPE = (16, 12)
FOLDS = {"a": 0, "b": 1, "t": -1, "u": -1}


def make_run(run: Path, maps: dict[str, np.ndarray], folds: dict[str, int]) -> Path:
    """A run with these maps of its U-Net and evidence of nothing; images in no fold are tested."""
    folder = run / "cnn" / "maps"
    folder.mkdir(parents=True)
    np.savez_compressed(folder / "part-0000.npz", maps=np.stack(list(maps.values())))
    judges = [folds.get(name, -1) for name in maps]
    places = pd.DataFrame(
        {"id": list(maps), "fold": judges, "part": 0, "row": np.arange(len(maps))}
    )
    places.to_csv(folder / "index.csv", index=False)
    fold = np.array(list(folds.values()))
    table = pd.DataFrame({"id": list(folds), "fold": fold, "rows": SHAPE[0], "columns": SHAPE[1]})
    table["split"] = np.where(fold < 0, "test", "train")
    table["mask"] = pd.array([None if k < 0 else "-1" for k in fold], dtype="string")
    table["label"] = np.where(fold < 0, np.nan, 0.0)
    table.to_parquet(run / "dataset.parquet")
    (run / "evidence").mkdir()
    cell = {"judge": 0, "row": 0, "column": 0, "probability": np.float32(0), "lung": np.float32(0)}
    dark = pd.DataFrame([{"id": name, **cell} for name in folds])
    dark.to_parquet(run / "evidence" / "map.parquet")
    return run


def flat(size: int, **levels: int) -> dict[str, np.ndarray]:
    return {name: np.full((size, size), level, np.uint8) for name, level in levels.items()}


def judged(run: Path, name: str, ids, folds, probability) -> None:
    """Verdicts as baseline.classifier.train writes them."""
    (run / "baseline").mkdir(exist_ok=True)
    table = pd.DataFrame({"id": ids, "patient": ids, "fold": folds, "probability": probability})
    told = table.assign(split="test" if name == "test" else "train", label="", weak="", raw=0.0)
    told.assign(kind=name).to_csv(run / "baseline" / f"{name}.csv", index=False)


@pytest.fixture(autouse=True)
def without_reasons(monkeypatch):
    """These runs have no verdict to explain, so its reasons point nowhere."""
    monkeypatch.setattr(top_zone, "read", lambda run: {})


@pytest.fixture
def pair(tmp_path) -> tuple[Path, Path]:
    """Two runs, the second with a smaller network and its images in another order.

    The mean of their levels is 128 on the test image t, where the gate of these tests cuts, and 13
    on u.
    """
    first = make_run(tmp_path / "first", flat(8, a=0, b=3, t=26, u=26), FOLDS)
    shuffled = {name: FOLDS[name] for name in ("t", "b", "u", "a")}
    second = make_run(tmp_path / "second", flat(4, t=230, a=5, u=0, b=4), shuffled)
    sample = pd.DataFrame({"ImageId": ["u", "q", "t"], "EncodedPixels": "-1"})
    sample.to_csv(first / "sample.csv", index=False)
    aside = pd.DataFrame({"id": ["q"], "path": "q.dcm", "reason": "truncated"})
    aside.to_csv(first / "quarantine.csv", index=False)
    judged(first, "test", ["t", "u"], -1, 0.5)
    return first, second


def write_gate(run: Path, **more) -> None:
    rules = {"unet": Rule("unet").to_json()}
    write_json(run / "gate.json", {"default": "unet", "also": [], "rules": rules, **more})


def spoken(run: Path) -> dict[str, int]:
    """Pixels of each mask in the written submission, in its order."""
    write.write(write.Write(run))
    table = pd.read_csv(run / "submission.csv", dtype=str)
    return {
        name: int(rle.decode(code, SHAPE).sum())
        for name, code in zip(table["ImageId"], table["EncodedPixels"], strict=True)
    }


def test_maps_of_networks_of_other_sizes_are_averaged_at_the_images_own(pair):
    first, second = pair
    rows = pd.DataFrame({"id": ["b", "t"], "rows": SHAPE[0], "columns": SHAPE[1]})
    runs = sources.together(first, [second])
    found = list(sources.stream(runs, rows))
    assert [maps["unet"].shape for maps in found] == [SHAPE, SHAPE]
    # b: (3 + 4) / 2, half a level up; t: (26 + 230) / 2, and with the dark evidence half of that.
    assert [set(maps["unet"].ravel()) for maps in found] == [{4}, {128}]
    assert [set(maps["joint"].ravel()) for maps in found] == [{2}, {64}]
    alone = list(sources.stream(sources.together(first), rows))
    assert [set(maps["unet"].ravel()) for maps in alone] == [{3}, {26}]


def test_the_mean_of_maps_is_numpys():
    rng = np.random.default_rng(0)
    for count in (1, 2, 3, 7):
        maps = rng.integers(0, 256, (count, 5, 4), dtype=np.uint8)
        found = sources.mean(list(maps))
        assert found.dtype == np.uint8
        np.testing.assert_array_equal(found, np.floor(maps.mean(axis=0) + 0.5))
    np.testing.assert_array_equal(sources.mean([np.full((2, 2), 255, np.uint8)] * 300), 255)


@pytest.mark.parametrize(
    ("folds", "problem"),
    [
        (
            {"a": 1, "b": 0, "t": -1, "u": -1},
            r"second/dataset\.parquet: image 'a' is in fold 1, but in",
        ),
        (
            {"a": 0, "b": 1, "t": 0, "u": -1},
            "image 't' is in fold 0, but in .*first it is in no fold",
        ),
        ({"a": 0, "b": 1, "t": -1}, "image 'u' is missing, but in .*first it is in no fold"),
        ({"a": 0, "t": -1, "u": -1}, "image 'b' is missing, but in .*first it is in fold 1"),
        # More to learn from may be of a patient that the first run holds out.
        (FOLDS | {"c": 0}, "image 'c' is in fold 0, but in .*first it is missing"),
    ],
)
def test_runs_of_other_folds_are_refused(pair, tmp_path, folds, problem):
    first, _ = pair
    second = make_run(tmp_path / "other" / "second", flat(4, a=0), folds)
    with pytest.raises(UserError, match=problem):
        sources.together(first, [second])
    with pytest.raises(UserError, match="only runs of the same images and folds are averaged"):
        evaluate.main(evaluate.Settings(first, (second,)))
    assert not (first / "metrics.json").exists() and not (first / "gate.json").exists()


def test_a_test_image_of_the_other_run_alone_does_no_harm(pair, tmp_path):
    first, _ = pair
    other = make_run(tmp_path / "other", flat(4, a=0), FOLDS | {"v": -1})
    assert sources.together(first, [other]) == (first, other)


def test_no_run_counts_twice(pair, monkeypatch):
    first, second = pair
    for also in ([first], [second, second], [second, second / ".." / "second"]):
        with pytest.raises(UserError, match="stands twice"):
            sources.together(first, also)
    # However it is named, it is found again from elsewhere.
    monkeypatch.chdir(second.parent)
    assert sources.together(Path("first"), [Path("second")]) == (Path("first"), second)


def test_the_submission_is_drawn_from_the_runs_that_the_gate_was_chosen_on(pair, capsys):
    first, second = pair
    write_gate(first, also=[])
    assert spoken(first) == {"u": 0, "q": 0, "t": 0}
    write_gate(first, also=[str(second)])
    assert spoken(first) == {"u": 0, "q": 0, "t": 16 * 12}
    printed = capsys.readouterr().out
    assert "3 images, 1 with a mask; checked" in printed
    assert "without a mask: 66.7% of 3 images, 100.0% of the 2 training images" in printed


def test_a_dataset_without_test_images_gets_a_submission_without_rows(pair, capsys):
    first, _ = pair
    write_gate(first, also=[])
    (first / "sample.csv").write_text("ImageId,EncodedPixels\n")
    assert spoken(first) == {}
    assert "0 images, 0 with a mask; checked" in capsys.readouterr().out


def test_a_run_of_the_gate_that_is_gone_is_a_sentence(pair, tmp_path):
    first, second = pair
    write_gate(first, also=[str(second)])
    second.rename(tmp_path / "elsewhere")
    with pytest.raises(UserError, match=r"second/dataset\.parquet: no such file"):
        write.write(write.Write(first))
    assert not (first / "submission.csv").exists()


def test_maps_that_networks_of_other_folds_drew_are_refused(pair):
    """As after `make dataset` with other folds, before `make cnn`."""
    first, second = pair
    index = second / "cnn" / "maps" / "index.csv"
    table = pd.read_csv(index)
    table.assign(fold=table["fold"].replace({0: 1, 1: 0})).to_csv(index, index=False)
    with pytest.raises(
        UserError, match=r"second/cnn/maps: image 'a' was in fold 1 .* in fold 0 now"
    ):
        sources.together(first, [second])
    with pytest.raises(UserError, match="2 such images"):
        sources.together(second)


def test_an_image_without_a_map_in_one_of_the_runs_is_a_sentence(pair):
    first, second = pair
    index = second / "cnn" / "maps" / "index.csv"
    pd.read_csv(index).query("id != 't'").to_csv(index, index=False)
    write_gate(first, also=[str(second)])
    with pytest.raises(UserError, match=r"second/cnn/maps/index\.csv: image 't' has no map"):
        write.write(write.Write(first))


def test_a_lost_or_damaged_part_of_a_runs_maps_is_a_sentence(pair):
    first, second = pair
    rows = pd.DataFrame({"id": ["t"], "rows": SHAPE[0], "columns": SHAPE[1]})
    part = second / "cnn" / "maps" / "part-0000.npz"
    whole = part.read_bytes()
    for content in (whole[: len(whole) // 2], b"", b"PK"):
        part.write_bytes(content)
        with pytest.raises(UserError, match=r"second/cnn/maps/part-0000\.npz: damaged"):
            next(sources.stream((first, second), rows))
    part.unlink()
    with pytest.raises(UserError, match=r"part-0000\.npz: no such file; delete .*index\.csv"):
        next(sources.stream((first, second), rows))


@pytest.mark.parametrize(
    ("wanted", "problem"),
    [
        (["u", "q", "t", "z"], r"sample\.csv: z is no image of .*dataset\.parquet"),
        (["u", "q", "t", "a"], r"sample\.csv: a has no verdict in .*test\.csv"),
    ],
)
def test_an_id_without_image_or_verdict_is_not_taken_for_healthy(pair, wanted, problem):
    first, _ = pair
    write_gate(first, also=[])
    pd.DataFrame({"ImageId": wanted, "EncodedPixels": "-1"}).to_csv(
        first / "sample.csv", index=False
    )
    with pytest.raises(UserError, match=problem):
        write.write(write.Write(first))
    assert not (first / "submission.csv").exists()


def test_a_verdict_on_an_image_that_is_not_there_is_a_sentence(pair):
    first, _ = pair
    judged(first, "oof", ["a", "b", "z"], [0, 1, 0], 0.5)
    with pytest.raises(UserError, match=r"oof\.csv: z is no image of .*\(1 such ids\)"):
        evaluate.read_sized(first, "oof")


def test_gate_scores_and_outlines_are_of_the_mean(tmp_path, monkeypatch):
    """Each run alone is blind to half of the lesions; only the mean draws them all."""
    # Few resamples will do: the intervals are not what is tested here.
    monkeypatch.setattr(scores, "bootstrap", partial(scores.bootstrap, replicates=20))
    names = [f"i{k:02d}" for k in range(24)]
    folds = {name: k % 3 for k, name in enumerate(names)} | {"t": -1}
    square = np.zeros((16, 16), np.uint8)
    square[4:12, 4:12] = 255
    blank = np.zeros_like(square)
    # Images 0 to 11 are positive; the first run sees the even ones, the second the odd ones.
    drawn = [
        {name: square if k < 12 and k % 2 == eye else blank for k, name in enumerate([*names, "t"])}
        for eye in (0, 1)
    ]
    first, second = (
        make_run(tmp_path / name, maps, folds) for name, maps in zip("xy", drawn, strict=True)
    )
    table = pd.read_parquet(first / "dataset.parquet").assign(rows=16, columns=16)
    truth = rle.encode(square > 0)
    table["mask"] = pd.array([truth] * 12 + ["-1"] * 12 + [None], dtype="string")
    table.to_parquet(first / "dataset.parquet")
    judged(first, "oof", names, [folds[name] for name in names], 0.5)
    dice = {}
    for also in ((), (second,)):
        evaluate.main(evaluate.Settings(first, also))
        metrics = json.loads((first / "metrics.json").read_text())
        chosen = json.loads((first / "gate.json").read_text())
        assert chosen["also"] == metrics["also"] == [str(run) for run in also]
        dice[len(also)] = metrics["out_of_fold"]["unet"]["dice"]["value"]
    assert dice == {0: pytest.approx(18 / 24), 1: 1.0}
    shown = pd.read_csv(first / "cnn" / "outlines.csv", keep_default_na=False, dtype={"mask": str})
    assert list(shown["mask"]) == [truth] * 12 + ["-1"] * 12
    assert list(shown["dice"]) == [1.0] * 24


def test_outlines_take_the_runs_of_the_gate(pair):
    first, second = pair
    rows = pd.DataFrame({"id": ["t"], "probability": 0.5, "rows": 16, "columns": 12, "mask": "-1"})
    for runs, mask in (((first,), "-1"), ((first, second), "0 192")):
        outlines.write(runs, rows, Rule("unet"), "unet", 0.5)
        shown = pd.read_csv(first / "cnn" / "outlines.csv", dtype={"mask": str})
        assert list(shown["mask"]) == [mask]


def test_the_gate_weighs_the_map_in_the_zone_that_the_reasons_point_at(pair, monkeypatch):
    """Of the 16 rows of t the first 8 are bright; the reasons point at some cells."""
    first, _ = pair
    square = np.zeros((8, 8), np.uint8)
    square[:4] = 255
    half = make_run(first.parent / "half", {"t": square, "u": square}, FOLDS)
    table = pd.DataFrame({"id": ["t", "u"], "probability": [0.5, 1.0], "rows": 16, "columns": 12})
    table["mask"] = [pd.NA, "-1"]
    # At 512 working rows a row of the image is 4 cells high: cells 28 to 35 are rows 7 and 8.
    rows, columns = np.divmod(np.arange(8 * 48), 48)
    monkeypatch.setattr(top_zone, "read", lambda run: {"t": TopZone(rows + 28, columns)})
    found = [evidence for _, evidence in sources.weigh((half,), table)]
    upper, lower = next(sources.stream((half,), table))["unet"][7:9].mean(axis=1) / 255
    assert upper > 0.5 > lower
    assert found[0]["unet"].agreement[0] == pytest.approx((upper + lower) / 2)
    # The evidence is dark everywhere, and of u no zone is known.
    assert found[0]["evidence"].agreement == found[1]["unet"].agreement == [0.0]
    assert found[0]["unet"].log_odds == [0.0] and found[1]["unet"].log_odds[0] > 13
    assert np.isnan(found[0]["unet"].positive) and found[1]["unet"].positive == [0.0]


@pytest.mark.parametrize(
    "content",
    [
        {},
        [],
        {"default": "unet", "rules": {"unet": Rule("unet").to_json()}},
        {"default": "fused", "also": [], "rules": {"unet": Rule("unet").to_json()}},
        {"default": ["unet"], "also": [], "rules": {"unet": Rule("unet").to_json()}},
        {"default": "unet", "also": [], "rules": []},
        {"default": "unet", "also": [7], "rules": {"unet": Rule("unet").to_json()}},
        {
            "default": "unet",
            "also": [],
            "rules": {"unet": Rule("unet").to_json() | {"mask_level": 99}},
        },
        {"default": "unet", "also": [], "rules": {"unet": {}}},
    ],
)
def test_a_gate_that_is_none_is_a_sentence(pair, content):
    first, _ = pair
    write_json(first / "gate.json", content)
    with pytest.raises(UserError, match=r"gate\.json: .*; delete it and run make again\."):
        write.write(write.Write(first))
    assert not (first / "submission.csv").exists()


def test_another_policy_is_written_beside_the_default(pair, capsys):
    first, _ = pair
    rules = {"unet": Rule("unet", 1, 1).to_json(), "empty": Rule("empty").to_json()}
    write_gate(first, rules=rules)
    # At the level of 26 both test images are drawn whole.
    assert spoken(first) == {"u": 192, "q": 0, "t": 192}
    whole = (first / "submission.csv").read_bytes()
    write.write(write.Write(first, "empty"))
    other = pd.read_csv(first / "submission_empty.csv", dtype=str)
    assert list(other["ImageId"]) == ["u", "q", "t"] and set(other["EncodedPixels"]) == {"-1"}
    assert (first / "submission.csv").read_bytes() == whole
    assert "submission_empty.csv: 3 images, 0 with a mask; checked" in capsys.readouterr().out
    with pytest.raises(UserError, match="policy = loud: known policies are unet, empty"):
        write.write(write.Write(first, "loud"))
    assert not (first / "submission_loud.csv").exists()


def test_a_sample_that_names_an_image_twice_is_a_sentence(pair):
    first, _ = pair
    write_gate(first)
    sample = pd.DataFrame({"ImageId": ["u", "t", "u"], "EncodedPixels": "-1"})
    sample.to_csv(first / "sample.csv", index=False)
    with pytest.raises(UserError, match=r"first/sample\.csv: u is there twice"):
        write.write(write.Write(first))
    assert not (first / "submission.csv").exists()


def test_a_run_that_is_a_file_is_a_sentence(tmp_path):
    file = tmp_path / "gate.json"
    file.write_text("{}")
    for stage in (
        lambda: write.write(write.Write(file)),
        lambda: write.summary(write.Summary(file)),
        lambda: evaluate.main(evaluate.Settings(file)),
    ):
        with pytest.raises(UserError, match=r"run = .*gate\.json: it is a file"):
            stage()


def test_labelled_images_of_one_fold_are_refused(pair):
    first, _ = pair
    judged(first, "oof", ["a", "b"], [1, 1], 0.5)
    with pytest.raises(UserError, match=r"dataset\.parquet: 2 images .* in 1 folds"):
        evaluate.main(evaluate.Settings(first))
    assert not (first / "gate.json").exists()
