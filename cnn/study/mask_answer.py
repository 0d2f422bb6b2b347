"""What is said of a mask: its size, its side, its zones, and the line that opens an answer."""

import numpy as np
from numpy.typing import NDArray

from baseline.explanation.wording import percent, place
from cnn.study.answer import MaskAnswer
from features.dataset import file_masks
from features.lungs.frames import area_resize
from features.lungs.prepared import Prepared, working_shape
from features.lungs.zones import NAMES, SIDES
from features.reading import rle
from features.reading.study import Study

# Share of a pixel of the working size from which it counts as mask.
HALF = 0.5
# The longer side of the smallest cassette for X-rays, 18 by 24 cm. By the pixel distance of
# SIIM-ACR's files, which is that of larger originals, chests would be 15 to 20 cm wide.
SMALLEST_PICTURE_MM = 240


def mask_answer(
    mask: NDArray[np.bool_], study: Study, prepared: Prepared, policy: str, source: str
) -> MaskAnswer:
    """Describe a mask.

    Parameters
    ----------
    mask : (rows, columns) array of bool
        On the picture's own grid; empty where the gate keeps none.
    study : Study
    prepared : Prepared
        The picture as it was measured.
    policy, source : str
        The gate's policy, and the map that the mask was cut from.
    """
    pixels = int(mask.sum())
    small = _small(mask) if pixels else np.zeros(prepared.lungs.right.shape, bool)
    sides = [small & lung for lung in (prepared.lungs.right, prepared.lungs.left)]
    counts = [int(side.sum()) for side in sides]
    side = int(np.argmax(counts))
    lung = (prepared.lungs.right, prepared.lungs.left)[side]
    touched = prepared.zones.finest[small]
    numbers, parts = np.unique(touched[touched >= 0], return_counts=True)
    return MaskAnswer(
        code=file_masks.encode(mask, study.place) if pixels else rle.EMPTY,
        kept=pixels > 0,
        policy=policy,
        source=source,
        area=pixels / mask.size,
        area_cm2=area_cm2(pixels, study),
        side=SIDES[side] if counts[side] else "",
        share_of_lung=counts[side] / max(int(lung.sum()), 1),
        zones=tuple(NAMES[number] for number in numbers[np.argsort(-parts, kind="stable")]),
    )


def area_cm2(pixels: int, study: Study) -> float | None:
    """Area of some pixels, or None where the file's pixel distance is missing or cannot be true."""
    spacing = study.spacing_mm
    if spacing is None or spacing * max(study.rows, study.columns) < SMALLEST_PICTURE_MM:
        return None
    return round(pixels * (spacing / 10) ** 2, 2)


def _small(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """A mask at the working size, at which lungs and zones are known."""
    shape = working_shape((mask.shape[0], mask.shape[1]))
    if mask.shape[0] <= shape[0]:
        rows, columns = (
            ((np.arange(new) + 0.5) * old / new).astype(int)
            for new, old in zip(shape, mask.shape, strict=True)
        )
        return mask[rows[:, None], columns]
    return area_resize(mask.astype(np.float32), shape) >= HALF


def headline(probability: float, triage: str | None, mask: MaskAnswer) -> str:
    """Probability, triage, side and place in one line of at most 20 words."""
    decision = "" if triage is None else f", {triage.partition(' (')[0]}"
    if not mask.kept:
        where = "no mask"
    elif not mask.zones:
        where = "mask outside the lungs"
    else:
        where = f"mask mostly on {place(mask.zones[0])}"
    return f"Pneumothorax {percent(probability)}{decision}; {where}."
