"""The written submission: by the gate's rule, from the gate's maps, each id of the sample once."""

from dataclasses import asdict
from pathlib import Path

import pandas as pd
import pytest

from baseline.explanation import top_zone
from baseline.gate.results import Gate
from baseline.gate.rules import Rule
from cnn.submission import write
from features.reading import rle
from features.run import files
from features.run.files import UserError
from features.run.folder import RunFolder
from features.run.schemas import QUALITY
from tests.helpers.map_run import SHAPE, make_pair, predictions, write_sample

Pair = tuple[RunFolder, RunFolder]


@pytest.fixture
def pair(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pair:
    """Two runs without SHAP values, so that no zone is the top one."""
    monkeypatch.setattr(top_zone, "read", lambda run: {})
    return make_pair(tmp_path)


def write_gate(run: RunFolder, also: tuple[RunFolder, ...] = (), **rules: Rule) -> None:
    """A gate whose default is the ungated U-Net, where its map reaches the middle level at all."""
    roots = tuple(str(other.root) for other in also)
    unet = Rule("unet", least_area=0.001)
    files.write_record(run.gate, Gate("unet", roots, {"unet": unet} | rules))


def submit(run: RunFolder, policy: str | None = None) -> dict[str, int]:
    """Pixels of each mask in the written submission, in its order."""
    write.main(write.Settings(run.root, policy))
    table = (run.submission_of(policy) if policy else run.submission).read()
    return {
        name: int(rle.decode(code, SHAPE).sum())
        for name, code in zip(table["ImageId"], table["EncodedPixels"], strict=True)
    }


def test_the_submission_is_drawn_from_the_runs_that_the_gate_was_chosen_on(pair, capsys):
    first, second = pair
    write_gate(first)
    assert submit(first) == {"u": 0, "q": 0, "t": 0}
    write_gate(first, (second,))
    assert submit(first) == {"u": 0, "q": 0, "t": 16 * 12}
    printed = capsys.readouterr().out
    assert "3 images, 1 with a mask; checked" in printed
    assert "without a mask: 66.7% of 3 images, 100.0% of the 2 training images" in printed


def test_an_image_that_was_set_aside_keeps_its_row_without_a_mask(pair, capsys):
    first, second = pair
    write_gate(first, (second,))
    rows = [("t", 0.9, "inverted", "its greys may be inverted", 1, 0), ("u", 0.0, "good", "", 0, 0)]
    table = pd.DataFrame(rows, columns=list(QUALITY.columns))
    first.quality.write(table)
    assert submit(first) == {"u": 0, "q": 0, "t": 16 * 12}  # flagged and kept
    first.quality.write(table.assign(aside=table["flagged"]))
    capsys.readouterr()
    assert submit(first) == {"u": 0, "q": 0, "t": 0}
    assert "because the image may be no frontal chest X-ray: 1, see " in capsys.readouterr().out


def test_rows_of_quarantined_images_are_counted(pair, capsys):
    first, _ = pair
    write_gate(first)
    submit(first)
    printed = capsys.readouterr().out
    assert "rows that are -1 because the image is quarantined: 1, see " in printed
    assert str(first.quarantine.path) in printed
    write_sample(first, ["u", "t"])
    submit(first)
    assert "is quarantined" not in capsys.readouterr().out


def test_a_dataset_without_test_images_gets_a_submission_without_rows(pair, capsys):
    first, _ = pair
    write_gate(first)
    write_sample(first, [])
    assert submit(first) == {}
    assert "0 images, 0 with a mask; checked" in capsys.readouterr().out


def test_a_run_of_the_gate_that_is_gone_is_a_sentence(pair, tmp_path):
    first, second = pair
    write_gate(first, (second,))
    second.root.rename(tmp_path / "elsewhere")
    with pytest.raises(UserError, match="second: no such run folder"):
        write.main(write.Settings(first.root))
    assert not first.submission.exists()


def test_an_image_without_a_map_in_one_of_the_runs_is_a_sentence(pair):
    first, second = pair
    second.maps.write(second.maps.read().query("id != 't'"))
    write_gate(first, (second,))
    with pytest.raises(UserError, match=r"second/cnn/maps/index\.csv: image 't' has no map"):
        write.main(write.Settings(first.root))


@pytest.mark.parametrize(
    ("wanted", "problem"),
    [
        (["u", "q", "t", "z"], r"sample\.csv: z is no image of .*dataset\.parquet"),
        (["u", "q", "t", "a"], r"sample\.csv: a has no prediction in .*test\.csv"),
    ],
)
def test_an_id_without_image_or_prediction_is_not_taken_for_healthy(pair, wanted, problem):
    first, _ = pair
    write_gate(first)
    write_sample(first, wanted)
    with pytest.raises(UserError, match=problem):
        write.main(write.Settings(first.root))
    assert not first.submission.exists()


def test_a_gate_that_is_none_is_a_sentence(pair):
    first, _ = pair
    damaged = asdict(Gate("unet", (), {"unet": Rule("unet", mask_share=99)}))
    for content in ({}, [], damaged):
        files.write_json(first.gate, content)
        with pytest.raises(UserError, match=r"gate\.json: .*; delete it and run .*again"):
            write.main(write.Settings(first.root))
    first.gate.unlink()
    with pytest.raises(UserError, match=r"gate\.json: no such file"):
        write.main(write.Settings(first.root))
    assert not first.submission.exists()


def test_another_policy_is_written_beside_the_default(pair, capsys):
    first, _ = pair
    write_gate(first, unet=Rule("unet"), empty=Rule("empty"))
    # Whatever their area, both test images are drawn whole.
    assert submit(first) == {"u": 192, "q": 0, "t": 192}
    whole = first.submission.path.read_bytes()
    assert submit(first, "empty") == {"u": 0, "q": 0, "t": 0}
    assert first.submission.path.read_bytes() == whole
    assert "submission_empty.csv: 3 images, 0 with a mask; checked" in capsys.readouterr().out
    with pytest.raises(UserError, match="policy = loud: known policies are unet, empty"):
        write.main(write.Settings(first.root, "loud"))
    assert not first.submission_of("loud").exists()


def test_the_classifier_empties_masks_of_a_gated_policy(pair):
    first, _ = pair
    write_gate(first, gated=Rule("gated", cutoff=0.0))
    first.test.write(predictions(["t", "u"], "deployed", [None] * 2, probability=[0.4, 0.6]))
    assert submit(first, "gated") == {"u": 192, "q": 0, "t": 0}


def test_a_sample_that_names_an_image_twice_is_a_sentence(pair):
    first, _ = pair
    write_gate(first)
    write_sample(first, ["u", "t", "u"])
    with pytest.raises(UserError, match=r"first/sample\.csv: u is there twice"):
        write.main(write.Settings(first.root))
    assert not first.submission.exists()


def test_a_run_that_is_a_file_is_a_sentence(tmp_path):
    file = tmp_path / "gate.json"
    file.write_text("{}")
    with pytest.raises(UserError, match=r"gate\.json: is a file where a folder belongs"):
        write.main(write.Settings(file))


def test_the_samples_spelling_of_ids_is_kept(pair):
    first, _ = pair
    write_gate(first)
    table = first.sample.read()
    first.sample.write(table.assign(ImageId=table["ImageId"] + ".dcm"))
    assert submit(first) == {"u.dcm": 0, "q.dcm": 0, "t.dcm": 0}
