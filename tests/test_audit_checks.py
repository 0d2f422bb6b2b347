"""Each check of the audit on a tiny dataset whose answer can be worked out by hand."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from baseline.audit import (
    check_counts,
    check_duplicates,
    check_labels,
    check_lesions,
    check_masks,
    check_people,
    check_pictures,
    check_shift,
    check_shortcuts,
    predictors,
)
from baseline.audit_facts import duplicates, mask_facts, picture_facts
from baseline.audit_facts.duplicates import Pair
from baseline.audit_facts.facts import Facts
from features.run.schemas import QUALITY
from tests.helpers.datasets import dataset

QUARANTINE = pd.DataFrame({"id": [], "path": [], "reason": []}, dtype=str)


def thumbnails(count: int) -> np.ndarray:
    """Pictures of noise, all different."""
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (count, 128, 128), dtype=np.uint8)


def made(ids: list[str], given: dict[str, Any] | None = None, **columns: Any) -> Facts:
    """Facts of a dataset with these columns; `given` replaces whole fields."""
    table = dataset(ids, **columns)
    count = len(ids)
    pictures = pd.DataFrame({"contrast": [0.2] * count, "grey levels": [200.0] * count})
    fields: dict[str, Any] = {
        "table": table,
        "files": pd.DataFrame({"bytes": range(1000, 1000 + count)}),
        "pictures": pictures.assign(digest=ids),
        "thumbnails": thumbnails(count),
        "lungs": np.tile([0.1, 0.9, 0.1, 0.9], (count, 1)),
        "fits": {},
        "pairs": [],
        "annotations": {},
        "quarantine": QUARANTINE,
        "total": count,
    }
    return Facts(**(fields | (given or {})))


def named(finding) -> list[tuple[str, ...]]:
    return [item.ids for item in finding.items]


def test_counts_of_each_set():
    facts = made(list("abcd"), split=["train", "train", "train", "test"], label=[1, 0, 0, np.nan])
    finding = check_counts.counts(facts)
    assert finding.sentence.startswith("4 images of 4 patient groups: 3 images with a true label")
    assert ("train", "3", "3", "1", "2", "0", "0") in finding.tables[0].rows


def test_unlabelled_missing_and_unreadable_images_are_named():
    quarantine = pd.DataFrame({"id": ["q"], "path": ["q.dcm"], "reason": ["cut short"]})
    annotations = {"a": ["-1"], "q": ["-1"], "z": ["0 5"]}
    given = {"quarantine": quarantine, "annotations": annotations}
    facts = made(["a", "b"], given, split=["train", "unlabelled"])
    assert named(check_counts.unlabelled(facts)) == [("b",)]
    assert named(check_counts.without_image(facts)) == [("z",)]
    assert named(check_counts.unreadable(facts)) == [("q",)]


def test_impossible_ages_are_named_and_missing_ones_are_not():
    files = pd.DataFrame({"raw age": ["413", "038Y", None, "old", "122"]})
    facts = made(list("abcde"), {"files": files})
    assert named(check_people.ages(facts)) == [("a",), ("d",)]


def test_a_patient_of_two_sexes_or_two_ages_and_one_in_both_sets():
    facts = made(
        list("abcdef"),
        patient=["p", "p", "q", "q", "r", "r"],
        sex=["F", "M", "F", "F", "M", "M"],
        age=[50, 50, 20, 70, 30, 31],
        split=["train", "train", "train", "train", "train", "test"],
    )
    assert named(check_people.one_person(facts)) == [("a", "b"), ("c", "d")]
    assert named(check_people.both_sets(facts)) == [("e", "f")]


def test_dice_of_two_readers_is_worked_out_by_hand():
    # Pixels 0 to 3 and 2 to 5 of a column share 2 of 4 and 4: Dice 0.5.
    given = {"annotations": {"a": ["0 4", "2 4"]}}
    facts = made(["a"], given, mask=["0 6"], label=[1])
    finding = check_lesions.readers(facts)
    assert "their mean Dice is 0.50" in finding.sentence
    assert finding.tables[0].rows == (("2", "1"),)


def test_the_area_of_lesions_is_a_share_of_the_image():
    facts = made(["a", "b"], mask=["0 41", "-1"], label=[1, 0])
    finding = check_lesions.lesions(facts)
    assert "1.0%" in finding.sentence  # 41 of 4096 pixels
    assert finding.state == "pass" and len(finding.pictures) == 2


def pair(first: int, second: int) -> Pair:
    return Pair(first, second, True, 1.0, np.zeros((128, 128), np.uint8))


def test_duplicates_across_sets_and_with_two_labels():
    facts = made(
        list("abc"),
        {"pairs": [pair(0, 1), pair(0, 2)]},
        split=["train", "train", "test"],
        label=[1, 0, np.nan],
    )
    assert named(check_duplicates.duplicates(facts)) == [("a", "b"), ("a", "c")]
    assert named(check_duplicates.across_sets(facts)) == [("a", "c")]
    assert named(check_duplicates.other_label(facts)) == [("a", "b")]


def test_equal_shifted_and_different_pictures():
    rng = np.random.default_rng(1)
    from scipy import ndimage

    def smooth() -> np.ndarray:
        # Coarse and fine structure, as a chest has both.
        coarse, fine = (ndimage.gaussian_filter(rng.normal(0, 1, (128, 128)), s) for s in (10, 2))
        image = coarse / coarse.std() + 0.5 * fine / fine.std()
        return np.clip(128 + 40 * image, 0, 255).astype(np.uint8)

    pictures = [smooth() for _ in range(24)]
    shifted = np.roll(pictures[3], 2, axis=0)
    shown = [*pictures, pictures[0], shifted, pictures[0]]
    found = duplicates.find(np.stack(shown), [*map(str, range(24)), "0", "s", "0"])
    # Of several equal ones each is named with the first, and not as a mere likeness of another.
    pairs = [(0, 24, True), (0, 26, True), (3, 25, False)]
    assert [(p.first, p.second, p.exact) for p in found] == pairs
    assert found[2].correlation > 0.9


def test_confident_learning_by_hand():
    labels = np.array([0, 0, 0, 1, 1, 1.0])
    probabilities = np.array([0.1, 0.2, 0.9, 0.8, 0.9, 0.1])
    # Means: of the negatives 1 - p = 0.6, of the positives p = 0.6. The third is surely positive,
    # the last surely negative.
    wrong = check_labels.confident_errors(labels, probabilities)
    assert wrong.tolist() == [False, False, True, False, False, True]


def test_suspicious_labels_need_a_run():
    facts = made(list("ab"), label=[0, 1])
    assert check_labels.suspicious_labels(facts).state == "not applicable"
    oof = pd.DataFrame(
        {
            "id": list("abcd"),
            "kind": "oof",
            "label": [0, 0, 1, 1.0],
            "probability": [0.1, 0.9, 0.9, 0.8],
        }
    )
    facts = made(list("abcd"), {"oof": oof}, label=[0, 0, 1, 1])
    assert named(check_labels.suspicious_labels(facts)) == [("b",)]


def test_flags_of_the_quality_gate_are_shown_where_they_are():
    facts = made(list("ab"))
    assert check_labels.quality_flags(facts).state == "not applicable"
    quality = pd.DataFrame(
        [["a", 0.99, "inverted", "w", 1, 0], ["b", 0.1, "mirrored", "noted alone", 0, 0]],
        columns=list(QUALITY.columns),
    )
    assert named(check_labels.quality_flags(made(list("ab"), {"quality": quality}))) == [("a",)]


def test_blank_inverted_and_turned_pictures():
    y, x = np.mgrid[:128, :128]
    typical = (y + 40 * np.sin(x / 20) + 60).astype(np.uint8)
    shown = np.stack([typical] * 22)
    shown[3], shown[5] = 255 - typical, typical[::-1, ::-1]
    pictures = pd.DataFrame({"contrast": [0.2] * 22, "grey levels": [200.0] * 22})
    pictures.loc[7, "contrast"] = 0.0
    facts = made([f"i{n}" for n in range(22)], {"thumbnails": shown, "pictures": pictures})
    found = check_pictures.reasons(facts)
    assert sorted(found) == [3, 5, 7]
    # A vertical ramp upside down is an inverted one, too.
    assert found[3].startswith("inverted") and found[7].startswith("nothing")


def test_a_fact_that_is_the_label_is_found_and_noise_is_not():
    rng = np.random.default_rng(0)
    target = np.tile([0.0, 1.0], 60)
    patients = np.array([f"p{n}" for n in range(120)], object)
    columns = {
        "source": pd.Series(np.where(target == 1, "a", "b")),
        # Twenty stations each: those of odd numbers have the positives.
        "station": pd.Series([f"s{2 * rng.integers(20) + int(one)}" for one in target]),
        "tube voltage": pd.Series([f"{60 + rng.random() + 20 * one:.3f}" for one in target]),
        "noise": pd.Series(rng.normal(size=120)),
        "own value": pd.Series([f"v{n}" for n in range(120)]),
    }
    weighed = predictors.weigh(columns, target, patients)
    assert weighed is not None
    by_name = {one.name: one for one in weighed}
    assert by_name["source"].auc.value == 1 and by_name["source"].suspicious
    assert by_name["station"].auc.value > 0.9 and by_name["tube voltage"].auc.value == 1
    assert not by_name["noise"].suspicious
    # A value that only one image has says nothing of it.
    assert by_name["own value"].auc.value == pytest.approx(0.5, abs=0.02)


def test_shortcuts_name_the_file_size_and_too_few_images_are_said():
    label = np.tile([0, 1], 30)
    files = pd.DataFrame({"bytes": 1000 + 500 * label + np.arange(60)})
    facts = made([f"i{n}" for n in range(60)], {"files": files}, label=label)
    finding = check_shortcuts.shortcuts(facts)
    assert finding.state == "fail" and [i.subject for i in finding.items] == ["file size"]
    assert check_shortcuts.shortcuts(made(list("ab"), label=[0, 1])).state == "not applicable"


def test_a_test_set_of_another_maker_is_found_and_a_like_one_is_not():
    ids, split = [f"i{n}" for n in range(80)], np.tile(["train", "test"], 40)
    rng = np.random.default_rng(2)
    pictures = pd.DataFrame({"contrast": rng.normal(size=80), "digest": ids})
    for maker, state in (("A", "pass"), (None, "fail")):
        makers = [maker] * 80 if maker else list(np.where(split == "test", "B", "A"))
        files = pd.DataFrame({"manufacturer": makers})
        facts = made(ids, {"files": files, "pictures": pictures}, split=split)
        finding = check_shift.shift(facts)
        assert finding.state == state
        assert ("manufacturer" in [item.subject for item in finding.items]) == (state == "fail")


def test_a_small_test_set_is_told_from_a_sample_of_a_large_training_set(monkeypatch):
    monkeypatch.setattr(check_shift, "MOST", 30)
    ids, split = [f"i{n}" for n in range(400)], np.array(["train"] * 380 + ["test"] * 20)
    rng = np.random.default_rng(4)
    contrast = rng.normal(size=400) + 4 * (split == "test")
    pictures = pd.DataFrame({"contrast": contrast, "digest": ids})
    files = pd.DataFrame({"manufacturer": ["A"] * 400})
    finding = check_shift.shift(made(ids, {"files": files, "pictures": pictures}, split=split))
    assert finding.state == "fail"
    assert [item.subject for item in finding.items] == ["all coarse measures together"]


def fitting(count: int) -> np.ndarray:
    """Masks that fit as drawn and not as broken copies, (count, variants, measures)."""
    fits = np.random.default_rng(3).normal(0, 0.3, (count, 4, len(mask_facts.MEASURES)))
    fits[:, 0, mask_facts.MEASURES.index("fine detail")] -= 3
    fits[:, :, mask_facts.OUTSIDE] = 0.1
    fits[:, :, mask_facts.AREA] = np.log(0.02)
    return fits


def test_a_mirrored_a_whole_and_a_misplaced_mask_are_named():
    fits = fitting(30)
    fits[4, [0, 1]] = fits[4, [1, 0]]
    fits[5, 0, mask_facts.AREA] = np.log(0.99)
    fits[6, 0, mask_facts.OUTSIDE] = 0.95
    ids = [f"i{n:02}" for n in range(30)]
    given = {"fits": dict(zip(ids, fits, strict=True))}
    facts = made(ids, given, mask=["0 40"] * 30, label=[1] * 30)
    assert named(check_masks.turned(facts)) == [("i04",)]
    assert "mirrored" in check_masks.turned(facts).items[0].text
    assert sorted(named(check_masks.place_and_size(facts))) == [("i05",), ("i06",)]


def test_one_outline_under_two_ids_is_named_unless_the_pictures_are_copies():
    code = " ".join(["3 2"] * 12)
    given: dict[str, Any] = {"annotations": {"a": [code], "b": [code], "c": ["-1"]}}
    facts = made(list("abc"), given, mask=[code, code, "-1"], label=[1, 1, 0])
    assert named(check_masks.copied(facts)) == [("a", "b")]
    copies = made(list("abc"), given | {"pairs": [pair(0, 1)]}, mask=[code, code, "-1"])
    assert check_masks.copied(copies).state == "pass"


def test_borders_and_ink_of_a_picture():
    rng = np.random.default_rng(4)
    plain = rng.uniform(0.4, 0.6, (200, 100)).astype(np.float32)
    assert picture_facts.border(plain) == 0
    framed = plain.copy()
    framed[:, :10] = 0
    assert picture_facts.border(framed) == pytest.approx(0.1)
    assert picture_facts.ink(framed)["burnt-in signs"] == 0  # a border's edge is no sign
    marked = plain.copy()
    marked[5:8, 5:8] = 1
    signs = picture_facts.ink(marked)
    assert signs["burnt-in signs"] == signs["burnt-in signs, top left"] > 0
    assert signs["burnt-in signs, bottom right"] == 0
