"""What the gate earns and what it costs, as the report shows it: curves, floors, disagreements.

`cnn.gate.evaluate` leaves the numbers in RUN/cnn/economics.json; a run without them has no such
section.
"""

from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import logit

from baseline.explanation import attributions
from baseline.explanation.trained_run import Inputs
from baseline.report import gate_curves
from features.run import files
from features.run.files import UserError

# What the file holds; another version's may lack some of it.
KEYS = (
    *("default", "images", "positives", "silence", "mean_log_odds", "source", "mask_probability"),
    *("top_probability", "least_area", "curves", "floors", "levels", "disagreements"),
)
# Cases of each kind of disagreement that are shown.
LISTED = 8

SOURCES = {
    "unet": "the U-Net’s map",
    "evidence": "the evidence map",
    "joint": "the mean of both maps",
}


def read(run: Path, inputs: Inputs) -> tuple[dict[str, Any] | None, str]:
    """The gate's economics as cnn.gate.evaluate left them.

    Returns
    -------
    found : dict or None
        None where there are none, or the verdict has changed since.
    state : {"", "fresh", "stale"}

    Raises
    ------
    UserError
        If the file lacks some of `KEYS`.
    """
    path = run / "cnn" / "economics.json"
    if not path.exists():
        return None, ""
    found = files.read_json(path)
    if not isinstance(found, dict) or not set(KEYS) <= set(found):
        raise UserError(f"{path}: not as this version writes it; run `make gate` again.")
    predicted = inputs.predicted[inputs.predicted["kind"] == "oof"]
    known = inputs.dataset.loc[predicted["id"], "mask"].notna().to_numpy()
    odds = logit(np.clip(predicted["probability"].to_numpy(float)[known], 1e-6, 1 - 1e-6))
    gap = abs(odds.mean() - found["mean_log_odds"])
    same = len(odds) == found["images"] and gap <= attributions.TOLERANCE
    return (found, "fresh") if same else (None, "stale")


def tables(found: dict[str, Any], what: str) -> list[tuple[str, list[dict[str, Any]]]]:
    """Tables of deletions with their titles: of the masks alone and, if any, under the rule.

    Parameters
    ----------
    found : dict
        Content of economics.json.
    what : {"floors", "levels"}

    Returns
    -------
    list of (str, list of dict)
        Each row as in the file, with its `name` and whether it is the one `chosen`.
    """
    titles = {"alone": "Every mask spoken", "gate": f"By the rule of {found['default']}"}
    # Without a gate no area was chosen.
    own = found["least_area"] if "gate" in found["floors"] else None
    result = []
    for part, rows in found[what].items():
        named = []
        for row in rows:
            if what == "floors":
                name = f"{100 * row['floor']:g}%" if row["floor"] else "none"
                chosen = row["floor"] == own
            else:
                name, chosen = f"{row['level']:.2f}", row["level"] == found["mask_probability"]
            named.append(row | {"name": name, "chosen": chosen})
        result.append((titles[part], named))
    return result


def listed(side: dict[str, Any], cases: dict[str, tuple[int, str]]) -> dict[str, Any]:
    """A kind of disagreement with its first cases, linked to the gallery where they are in it."""
    chosen = []
    for case in side["cases"][:LISTED]:
        number, anchor = cases.get(case["id"], (None, ""))
        chosen.append(case | {"number": number, "anchor": anchor})
    return side | {"listed": chosen}


def notes(found: dict[str, Any]) -> dict[str, str]:
    """What stands above the tables of deletions."""
    cut, level = SOURCES[found["source"]], f"{found['mask_probability']:.2f}"
    top = ""
    if "gate" in found["floors"] and found["top_probability"] != found["mask_probability"]:
        top = f" By the rule, that is the area above its top level, {found['top_probability']:.2f}."
    shared = "In brackets, the Dice that the lost masks earned; a false mask removed earns 1."
    return {
        "floor_note": f"Masks cut from {cut} at {level}: which of them would a smallest area, as a "
        f"share of the image, silence? 0.2% are 2,097 pixels of 1024 × 1024.{top} {shared}",
        "level_note": f"Masks cut from {cut}: which of those cut at the lowest threshold would "
        f"vanish at a higher one? {shared} Dice on lesions: all images with pneumothorax, every "
        "mask spoken.",
    }


def shown(found: dict[str, Any], cases: dict[str, tuple[int, str]]) -> dict[str, Any]:
    """What the template shows.

    Parameters
    ----------
    found : dict
        Content of economics.json.
    cases : dict of str to (int, str)
        Number and anchor of each case in the gallery, by image id.
    """
    scale, differ = gate_curves.common_scale(found), found["disagreements"]
    speaking = [curve for curve in found["curves"] if curve["policy"] != "empty"]
    values = {
        "panels": [gate_curves.panel(curve, found["silence"], scale) for curve in speaking],
        "ticks": scale.ticks(),
        "level": scale.place(found["silence"]),
        "floor_tables": tables(found, "floors"),
        "level_tables": tables(found, "levels"),
        "disagreements": {side: listed(differ[side], cases) for side in ("silenced", "added")},
        "against": differ["gate"],
    }
    return found | notes(found) | values
