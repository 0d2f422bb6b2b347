"""How a training is watched: scores, summary and picture."""

from dataclasses import asdict, replace

import numpy as np
import pandas as pd
import pytest

from cnn.data import training_images
from cnn.training import panel, steps
from cnn.training.history import summary
from cnn.weights.initial_weights import initial_weights
from tests.helpers.tiny_run import TINY


def test_a_training_is_watched_by_the_challenges_score(run, monkeypatch):
    """Fold 0 has one image with a lesion and two without, which score 1 where no mask is drawn."""
    dice = np.zeros((len(steps.CUTS), 3))
    dice[4] = 0.6, 0.0, 0.0  # at 0.5: 0.2 on average
    dice[7] = 0.3, 1.0, 0.0
    dice[8] = 0.0, 1.0, 0.0
    made_up = np.concatenate([[[1.0, 2.0, 3.0], [0.5, 0.0, 0.0]], dice])
    padding = np.zeros((len(made_up), TINY.batch - 3))
    monkeypatch.setattr(steps, "eval_step", lambda *rest: np.concatenate([made_up, padding], 1))
    scores = steps.validate(None, training_images.read(run, 32), 0, TINY)
    expected = {"bce": 2, "soft_dice": 0.5, "dice": 0.6, "score": 1.3 / 3}
    assert asdict(scores) == pytest.approx(expected)


@pytest.mark.parametrize(("most", "scored"), [(None, 3), (3, 3), (2, 2), (1, 1)])
def test_of_a_large_fold_some_images_are_scored(run, monkeypatch, most, scored):
    rows = []
    real = steps.eval_step
    monkeypatch.setattr(steps, "eval_step", lambda *rest: rows.append(rest[1]) or real(*rest))
    images = training_images.read(run, 32)
    data = replace(images, evidence=images.images)
    params = initial_weights(TINY, 0, 0, data)
    steps.validate(params, data, 0, TINY, most)
    assert sum(len(np.unique(part, axis=0)) for part in rows) == scored


def test_the_summary_holds_the_dice_of_the_weights_that_are_kept(run):
    images = training_images.read(run, 32)
    for fold in range(3):  # one positive each
        curves = {"epoch": range(4), "loss": 0.5, "val_dice": [0.1, 0.3 * fold, 0.8, 0.9]}
        curves |= {"stop_score": [0.0, 0.7, 0.7, 0.6]}
        run.unet_fold(fold).history.write(pd.DataFrame(curves))
    text = summary(run, range(3), images, replace(TINY, patience=2))
    assert "0.100 before" in text and "0.300 in the epochs that early stopping keeps" in text
    assert "0.900 after the last epoch" in summary(run, range(3), images, TINY)


def test_the_panel_shows_truth_and_mask():
    image = np.full((8, 8), 100, np.uint8)
    true, predicted = np.zeros((2, 8, 8), bool)
    true[1:6, 1:6] = True
    predicted[1:6, 1:4] = True
    picture = panel.outlined(image, true, predicted)
    assert tuple(picture[1, 1]) == (255, 255, 255)
    assert tuple(picture[1, 5]) == (255, 255, 0)
    assert tuple(picture[3, 3]) == (0, 255, 255)
    assert tuple(picture[3, 4]) == tuple(picture[7, 7]) == (100, 100, 100)
