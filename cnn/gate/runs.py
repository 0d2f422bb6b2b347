"""Runs whose U-Net maps are averaged, checked to belong together.

The gate's rule is chosen on the mean of these maps, so that the outlines and the submission must be
drawn from the same ones.
"""

from collections.abc import Sequence
from pathlib import Path

from cnn.prediction import store
from features.run.files import UserError
from features.run.folder import RunFolder, measured

# Fold by image id; None for images of no fold, whose maps are the mean of all networks'.
Folds = dict[str, int | None]


def together(run: RunFolder, also: Sequence[Path | str] = ()) -> tuple[RunFolder, ...]:
    """A run and those whose U-Net maps are averaged with its own.

    Parameters
    ----------
    run : RunFolder
        The run whose classifier, evidence map and gate count.
    also : sequence of Path
        Further run folders.

    Returns
    -------
    tuple of RunFolder
        `run`, then the others by their absolute paths, so that they are found from any folder.

    Raises
    ------
    UserError
        If a run is named twice, or an image is in different folds of two runs, or has changed its
        fold since its map was drawn: a network would then predict images that it learned from.
    """
    others = tuple(RunFolder(Path(path).resolve()) for path in also)
    for place, other in enumerate(others):
        if other.root in (run.root.resolve(), *(former.root for former in others[:place])):
            raise UserError(
                f"{other.root}: stands twice among the runs to average; name each once, without "
                "RUN."
            )
        _check_folds(run, other.check())
    for averaged in (run, *others):
        _check_maps(averaged)
    return (run, *others)


def _check_folds(run: RunFolder, other: RunFolder) -> None:
    """Refuse a run whose networks learned from other images than the same folds' of `run`."""
    here, there = _folds(run), _folds(other)
    # A test image that only the other run has does not matter: no network learned from it.
    further = [name for name, fold in there.items() if fold is not None and name not in here]
    odd = [
        name
        for name in [*here, *further]
        if name not in here or name not in there or here[name] != there[name]
    ]
    if odd:
        raise UserError(
            f"{other.dataset.path}: image {odd[0]!r} is {_place(there, odd[0])}, but in {run.root} "
            f"it is {_place(here, odd[0])} ({len(odd)} such images); only runs of the same images "
            "and folds are averaged, so make that run with the same DATA, FOLDS, SEED and PATIENTS."
        )


def _check_maps(run: RunFolder) -> None:
    """Refuse maps that were drawn before the folds changed."""
    then = store.folds_of_maps(run)
    now = _folds(run) if then else {}
    odd = [name for name, fold in then.items() if name in now and now[name] != fold]
    if odd:
        raise UserError(
            f"{run.maps.path.parent}: image {odd[0]!r} was {_place(then, odd[0])} when its map was "
            f"drawn and is {_place(now, odd[0])} now ({len(odd)} such images); networks would "
            "predict images that they learned from, so run `make cnn` for this run first."
        )


def _folds(run: RunFolder) -> Folds:
    """Fold of each image that is predicted."""
    table = measured(run.images())
    return store.by_id(table["id"], table["fold"])


def _place(folds: Folds, name: str) -> str:
    if name not in folds:
        return "missing"
    return "in no fold" if folds[name] is None else f"in fold {folds[name]}"
