"""Where masks may come from: the U-Net's map, the handcrafted evidence map, or both.

All are brought to the X-ray's own size as levels of 1/255, so that one gate serves them alike. The
U-Net's map may be the mean of several runs' (`together`); who chooses the gate's rule, who shows
its masks and who submits them all read the maps here, so that they speak of the same ones.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import logit

from baseline.evidence_map import maps as heat
from baseline.explanation import top_zone
from baseline.gate import rules as gate
from baseline.gate.rules import GateInputs, Rule
from cnn.gate import masks
from cnn.prediction.store import judges_of, stream_maps
from features.reading import rle
from features.run import files
from features.run.files import UserError

SOURCES = {
    "unet": "U-Net's masks",
    "evidence": "Handcrafted masks",
    "joint": "Masks of both maps",
}
# The evidence is a product of two probabilities and seldom near one; its odds are raised by this
# factor, so that it spreads over the gate's levels. No ranking changes.
EVIDENCE_ODDS = 8.0

Levels = NDArray[np.uint8]


def need_folder(run: Path) -> Path:
    """A run, unless it is a file.

    Raises
    ------
    UserError
        If it is one.
    """
    if run.exists() and not run.is_dir():
        raise UserError(f"run = {run}: it is a file; give the run folder that it lies in.")
    return run


def together(run: Path, also: Sequence[Path | str] = ()) -> tuple[Path, ...]:
    """A run and those whose U-Net maps are averaged with its own, checked to belong together.

    Parameters
    ----------
    run : Path
        Run folder whose verdict, evidence map and gate count.
    also : sequence of Path
        Further run folders.

    Returns
    -------
    tuple of Path
        `run`, then the others as absolute paths, so that they are found from any folder.

    Raises
    ------
    UserError
        If a run stands twice, or an image is in another fold of one, or was when its map was drawn:
        the mean would then come from networks that learned from the image they judge.
    """
    others = tuple(Path(other).resolve() for other in also)
    for place, other in enumerate(others):
        if other in (run.resolve(), *others[:place]):
            raise UserError(
                f"{other}: stands twice among the runs to average; name each once, without RUN."
            )
        _check_folds(run, other)
    for one in (run, *others):
        _check_maps(one)
    return (run, *others)


@dataclass(frozen=True)
class Gate:
    """What RUN/gate.json holds.

    Parameters
    ----------
    default : str
        The policy that speaks unless another is asked for.
    rules : dict of str to Rule
        By policy.
    runs : tuple of Path
        Runs whose maps the rules were chosen on, as `together` gives them.
    """

    default: str
    rules: dict[str, Rule]
    runs: tuple[Path, ...]


def read_gate(run: Path) -> Gate:
    """Read the gate of a run.

    Raises
    ------
    UserError
        If there is none, it is not as `cnn.gate.evaluate` writes it, or its runs are gone or no longer
        belong together.
    """
    path = run / "gate.json"
    content = files.read_json(path)
    try:
        rules = {name: gate.from_json(rule) for name, rule in content["rules"].items()}
        also = [Path(other) for other in content["also"]]
        default = content["default"]
        if default not in rules:
            raise KeyError(default)
    except (KeyError, TypeError, AttributeError):
        raise UserError(
            f"{path}: not a gate, with its rules, default and runs; delete it and run make again."
        ) from None
    return Gate(default, rules, together(run, also))


def _check_folds(run: Path, other: Path) -> None:
    """Refuse a run whose networks learned from other images than the same folds' of `run`."""
    own, theirs = _folds(run), _folds(other)
    # A test image that only the other run has is none that it learned from.
    wanted = [*own, *(name for name, fold in theirs.items() if fold >= 0 and name not in own)]
    odd = [name for name in wanted if own.get(name) != theirs.get(name)]
    if odd:
        there, here = (_place(folds.get(odd[0])) for folds in (theirs, own))
        raise UserError(
            f"{other / 'dataset.parquet'}: image {odd[0]!r} is {there}, but in {run} it is {here} "
            f"({len(odd)} such images); only runs of the same images and folds are averaged, or a "
            "network would judge images that it learned from, so make that run with the same DATA, "
            "FOLDS, SEED and PATIENTS."
        )


def _check_maps(run: Path) -> None:
    """Refuse maps that were drawn when the folds were others."""
    then = judges_of(run)
    now = _folds(run) if then else {}
    odd = [name for name, fold in then.items() if now.get(name, fold) != fold]
    if odd:
        raise UserError(
            f"{run / 'cnn' / 'maps'}: image {odd[0]!r} was {_place(then[odd[0]])} when its map was "
            f"drawn and is {_place(now[odd[0]])} now ({len(odd)} such images); networks "
            "would judge images that they learned from, so run make cnn for this run first."
        )


def _folds(run: Path) -> dict[str, int]:
    """Fold by id of the images that are scored, -1 for test images that are in none."""
    table = files.read_table(run / "dataset.parquet")
    table = table[(table["fold"] >= 0) | (table["split"] == "test")]
    return dict(zip(table["id"].astype(str), table["fold"].astype(int), strict=True))


def _place(fold: int | None) -> str:
    return "missing" if fold is None else "in no fold" if fold < 0 else f"in fold {fold}"


def stream(runs: Sequence[Path], rows: pd.DataFrame) -> Iterator[dict[str, Levels]]:
    """Yield the maps of each image by source, one image in memory at a time.

    Parameters
    ----------
    runs : sequence of Path
        Run folders as of `together`: the U-Net's maps of all are averaged, whatever their
        networks' sizes; the evidence map is the first one's.
    rows : DataFrame
        id, rows and columns of the images; fastest in the order of the dataset.

    Yields
    ------
    dict of (rows, columns) arrays of uint8
        One for each of `SOURCES`.
    """
    heats = heat.read(runs[0])
    ids = rows["id"].tolist()
    shapes = zip(rows["rows"].tolist(), rows["columns"].tolist(), strict=True)
    drawn = zip(*(stream_maps(run, ids) for run in runs), strict=True)
    for name, shape, squares in zip(ids, shapes, drawn, strict=True):
        unet = mean([masks.to_original(square, shape) for square in squares])
        handcrafted = to_levels(heat.paint(heat.of_one_lung(heats.get(name, heat.NONE)), shape))
        yield {"unet": unet, "evidence": handcrafted, "joint": join(unet, handcrafted)}


def weigh(
    runs: Sequence[Path], rows: pd.DataFrame
) -> Iterator[tuple[dict[str, Levels], dict[str, GateInputs]]]:
    """Yield the maps of each image as `stream` does, with what the gate may look at in each.

    Parameters
    ----------
    runs : sequence of Path
        Run folders as of `together`; the verdict is the first one's.
    rows : DataFrame
        id, probability, rows, columns, and mask (run-length code, missing where unknown).

    Yields
    ------
    maps : dict of (rows, columns) arrays of uint8
    evidence : dict of Evidence
        Of this one image.
    """
    zones = top_zone.read(runs[0])
    odds = logit(np.clip(rows["probability"].to_numpy(float), 1e-6, 1 - 1e-6))
    images = zip(rows["id"], rows["mask"], odds.tolist(), stream(runs, rows), strict=True)
    for name, code, one, maps in images:
        shape = (maps["unet"].shape[0], maps["unet"].shape[1])
        truth = None if pd.isna(code) else rle.decode(str(code), shape)
        zone = top_zone.paint(zones.get(name, top_zone.NONE), shape)
        yield maps, {key: masks.measure(levels, zone, truth, one) for key, levels in maps.items()}


def to_levels(evidence: NDArray[np.float32]) -> Levels:
    """Evidence in [0, 1] as levels, its odds raised by `EVIDENCE_ODDS`."""
    raised = EVIDENCE_ODDS * evidence
    return np.rint(255 * raised / (1 - evidence + raised)).astype(np.uint8)


def mean(maps: Sequence[Levels]) -> Levels:
    """The mean of maps of one size, half a level rounded up."""
    total = np.zeros(maps[0].shape, np.uint32)
    for one in maps:
        total += one
    return ((total + len(maps) // 2) // len(maps)).astype(np.uint8)


def join(unet: Levels, evidence: Levels) -> Levels:
    """The mean of both maps."""
    return mean([unet, evidence])
