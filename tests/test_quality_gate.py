"""The quality gate on phantoms as they are, spoilt ones, and what is no chest."""

from pathlib import Path

import numpy as np
import pytest

from features.lungs.fields import LungFields
from features.lungs.prepared import prepare
from features.phantom.radiograph import phantom
from features.quality import gate, measures
from features.quality.copies import copies
from features.reading import images
from features.reading.study import Study
from tests.helpers.quality_pictures import blank, noise, text_page

STUDY = Study("x", Path("x.dcm"), 512, 512)
# No seed of these is drawn by features.quality.fit, which spawns its own.
SEEDS = range(40, 48)
SPOILT = tuple(kind for kind, _ in copies(np.zeros((6, 6), np.float32)))[1:]


@pytest.fixture(scope="module")
def phantoms() -> list[np.ndarray]:
    return [phantom(seed, size=512).pixels.astype(np.float32) / 255 for seed in SEEDS]


def judged(pixels: np.ndarray) -> gate.Quality:
    pixels = np.ascontiguousarray(pixels, np.float32)
    return gate.examine(STUDY, pixels, prepare(pixels).lungs)


def test_clean_phantoms_are_not_flagged(phantoms):
    qualities = [judged(pixels) for pixels in phantoms]
    assert [quality.flagged for quality in qualities] == [False] * len(qualities)
    assert max(quality.probability for quality in qualities) < gate.FLAGGED_FROM
    assert {quality.sentence for quality in qualities if quality.kind == gate.GOOD} == {""}


@pytest.mark.parametrize("kind", SPOILT)
def test_spoilt_phantoms_are_flagged_and_called_by_name(phantoms, kind):
    qualities = [judged(dict(copies(pixels))[kind]) for pixels in phantoms]
    if kind == gate.MIRRORED:
        assert not any(quality.flagged for quality in qualities)
        assert sum(quality.kind == kind for quality in qualities) >= len(qualities) // 2
        return
    # A cut leaves some lungs that could be whole ones; most of real X-rays are caught.
    missed = len(qualities) // 2 if kind.startswith("cut") else 1
    assert sum(quality.flagged for quality in qualities) >= len(qualities) - missed
    named = [quality.kind for quality in qualities if quality.flagged]
    # The lungs that a cut leaves look much alike, whether it took the top or the bottom.
    alike = [name[:3] == kind[:3] if kind.startswith("cut") else name == kind for name in named]
    assert kind in named and sum(alike) >= len(named) - 2
    flagged = next(quality for quality in qualities if quality.kind == kind)
    assert flagged.sentence.startswith(f"Image quality: {gate.WORDS[kind]} (probability ")
    assert flagged.sentence.endswith("; nothing may rest on it.")


@pytest.mark.parametrize("draw", [blank, noise, text_page])
@pytest.mark.parametrize("seed", range(4))
def test_what_is_no_chest_is_flagged(draw, seed):
    assert judged(draw(seed, 256)).flagged


def test_one_grey_and_burnt_exposures_are_named(phantoms):
    assert judged(np.full((256, 256), 0.4)).kind == gate.BLANK
    lungs = prepare(phantoms[0]).lungs
    inside = lungs.right | lungs.left
    for kind, grey in ((gate.OVEREXPOSED, 0.0), (gate.UNDEREXPOSED, 1.0)):
        burnt = np.where(inside, np.float32(grey), phantoms[0])
        quality = gate.examine(STUDY, burnt, lungs)
        assert quality.kind == kind and quality.flagged and quality.probability == 1


def test_gain_and_offset_change_no_verdict(phantoms):
    plain = judged(phantoms[0])
    scaled = judged(0.25 + 0.5 * phantoms[0])
    assert scaled.kind == plain.kind
    assert scaled.probability == pytest.approx(plain.probability, abs=0.02)


def test_notes_of_the_tags_are_told_and_flag_nothing(phantoms):
    study = Study("x", Path("x.dcm"), 512, 512, notes=("its tags say KNEE.",))
    quality = gate.examine(study, phantoms[0], prepare(phantoms[0]).lungs)
    assert not quality.flagged and quality.words.endswith("its tags say KNEE")
    assert quality.sentence == f"Image quality: {quality.words}."


def test_log_odds_and_kind_by_hand():
    kinds = ("good", "inverted", "other")
    scores = np.log([0.3, 0.5, 0.2])
    assert gate.log_odds(kinds, scores) == pytest.approx(np.log(0.7 / 0.3))
    assert gate.classify(kinds, scores, 0.0).kind == gate.GOOD  # below the limit
    mirrored = gate.classify(kinds, scores, gate.HEART_LIMIT + 0.1)
    assert mirrored.kind == "mirrored" and not mirrored.flagged and mirrored.words
    scores[1] += gate.LIMIT + 1
    for heart in (-9.0, 9.0):
        quality = gate.classify(kinds, scores, heart)
        assert quality.flagged and quality.kind == "inverted"


def test_a_model_is_written_and_read_alike(tmp_path):
    rng = np.random.default_rng(0)
    numbers = rng.normal(size=measures.CLASSIFIED), rng.uniform(1, 2, measures.CLASSIFIED)
    terms = gate.expanded(np.zeros(measures.CLASSIFIED), *numbers)
    weights = rng.normal(size=(len(terms), 2))
    heart = rng.normal(size=measures.COUNT - measures.CLASSIFIED)
    model = gate.GateModel(("good", "other"), *numbers, weights, np.ones(2), heart)
    first, second = tmp_path / "a.npz", tmp_path / "b.npz"
    gate.write_model(first, model)
    gate.write_model(second, gate.load(first))
    assert first.read_bytes() == second.read_bytes()
    assert gate.load(second).kinds == model.kinds
    np.testing.assert_allclose(gate.load(second).weights, model.weights, atol=1e-4)
    np.testing.assert_allclose(gate.load(second).heart, model.heart, atol=1e-5)


def test_the_shipped_model_knows_every_kind_that_pixels_show():
    model = gate.load()
    others = {gate.BLANK, gate.OVEREXPOSED, gate.UNDEREXPOSED, gate.MIRRORED}
    assert set(model.kinds) == set(gate.WORDS) - others
    assert model.centre.shape == (measures.CLASSIFIED,)
    assert model.weights.shape[1] == len(model.kinds)


def test_measures_are_finite_whatever_the_lungs():
    half = np.zeros((128, 128), bool)
    half[:, :64] = True
    for picture in (np.zeros((128, 128), np.float32), np.eye(128, dtype=np.float32)):
        values = measures.measure(picture, LungFields(half, ~half, 0.0), 1.0)
        assert values.shape == (measures.COUNT,) and np.isfinite(values).all()


def test_real_files(shared_data):
    """Chests pass; the inverted one, the dog and the teeth are flagged."""
    for name, flagged in (
        ("966_fixed.dcm", False),
        ("RG1_J2KI.dcm", False),
        ("CR-MONO1-10-chest", False),
        ("Fake_MONOHR1.dcm", True),
        ("dx_image.dcm", True),
        ("CR-ModalitySequenceLUT.dcm", True),
    ):
        study, pixels = images.read(shared_data / "radiographs" / name)
        assert gate.examine(study, pixels, prepare(pixels).lungs).flagged == flagged, name
