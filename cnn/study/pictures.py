"""Pictures of an answer: the page of the X-ray with its reasons, and the mask as a PNG."""

from pathlib import Path

import numpy as np
from PIL import Image

from baseline.gate import rules
from baseline.learning import scores
from baseline.report import gallery, study_page
from baseline.report.case_view import PredictedMask
from cnn.gate import masks
from cnn.study.predictor import Examination, Predictor
from features.reading import rle
from features.run import files


def write(examination: Examination, predictor: Predictor, folder: Path) -> None:
    """Write NAME.html and NAME.mask.png, the mask on the file's own grid (255 inside).

    Raises
    ------
    UserError
        If a file cannot be written.
    """
    answer, explained = examination.answer, examination.explained
    study_page.write_page(
        explained,
        answer.triage_class or None,
        Path(answer.file),
        len(predictor.model.models.boosters),
        folder / f"{answer.id}.html",
        _predicted_mask(examination, predictor),
    )
    mask = explained.study.place.to_file(examination.mask)
    with files.atomic(folder / f"{answer.id}.mask.png") as temporary:
        Image.fromarray(255 * mask.astype(np.uint8)).save(temporary)


def _predicted_mask(examination: Examination, predictor: Predictor) -> PredictedMask:
    """The mask as it is drawn, and whether the gate keeps it."""
    gate = predictor.model.gate
    share = gate.rules[gate.default].mask_share
    mask = masks.cut(examination.grey, share)
    truth = rle.decode(examination.explained.mask or rle.EMPTY, mask.shape)
    return PredictedMask(
        mask=rle.encode(mask),
        by=gallery.DRAWN_BY[rules.source(gate.default)],
        rule="the gate",
        kept=examination.answer.mask.kept,
        level=masks.cut_level(examination.grey, share) / 255,
        dice=scores.dice(mask, truth),
    )
