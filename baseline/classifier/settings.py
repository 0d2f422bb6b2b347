"""Settings of a training: what they may be, and how a file and options are brought together."""

from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TypeVar

import numpy as np

from baseline.learning.estimator import Parameters
from features.run import files
from features.run.files import UserError
from features.run.folder import RunFolder

# Smallest and largest value of each setting that LightGBM accepts.
RANGES = {
    "rounds": (1, np.inf),
    "patience": (0, np.inf),
    "learning_rate": (1e-6, 1.0),
    "leaves": (2, 131072),
    "leaf_size": (1, np.inf),
    "feature_share": (1e-6, 1.0),
    "row_share": (1e-6, 1.0),
    "l2": (0.0, np.inf),
    "weak_weight": (0.0, np.inf),
}


@dataclass(frozen=True, kw_only=True)
class TrainingSettings(Parameters):
    """What decides how the fold models are trained."""

    weak_weight: float = 0.5
    """Weight of a weakly labelled image in training; a truly labelled one has 1."""


@dataclass(frozen=True)
class UsedSettings:
    """What baseline/settings.json holds: what the models of a run were trained with.

    Parameters
    ----------
    version : str
        Version of the toolkit.
    run : str
        Name of the run folder.
    seed : int
    evidence : bool
        Whether the models use the evidence map.
    training : TrainingSettings
    texture : bool
        Whether they use what the map says by texture alone.
    """

    version: str
    run: str
    seed: int
    evidence: bool
    training: TrainingSettings
    texture: bool = True


Options = TypeVar("Options", bound=TrainingSettings)


def read_used(run: RunFolder) -> UsedSettings:
    """The settings that a run's models were trained with.

    Raises
    ------
    UserError
        If they are missing or of another form.
    """
    return files.read_record(run.classifier_settings, UsedSettings)


def training_settings(options: TrainingSettings) -> TrainingSettings:
    """The training settings alone, without further options such as the run and the seed."""
    names = [field.name for field in fields(TrainingSettings)]
    return TrainingSettings(**{name: getattr(options, name) for name in names})


def resolve(options: Options, path: Path | None) -> Options:
    """Fill in what a settings file sets.

    Parameters
    ----------
    options : TrainingSettings
        As given on the command line.
    path : Path or None
        JSON object of some training settings; None for no file.

    Raises
    ------
    UserError
        If the file is missing, holds something else, or sets what an option sets too, or if a
        number is out of its range.
    """
    if path is None:
        return in_range(options)
    content = files.read_json(path)
    known = [field.name for field in fields(TrainingSettings)]
    if not isinstance(content, dict) or not set(content) <= set(known):
        odd = min(set(content) - set(known)) if isinstance(content, dict) else content
        raise UserError(f"{path}: {odd!r} is no setting; known are {', '.join(known)}.")
    for name, value in content.items():
        default = getattr(TrainingSettings, name)
        if isinstance(value, bool) or not isinstance(value, (int, type(default))):
            raise UserError(f"{path}: {name} = {value!r}; it is a number such as {default}.")
        if getattr(options, name) not in (default, value):
            raise UserError(f"{path}: {name} is set here and by an option; set it once.")
    return in_range(replace(options, **content))


def in_range(options: Options) -> Options:
    """The same settings, if LightGBM accepts them.

    Raises
    ------
    UserError
        If a number is out of its range.
    """
    for name, (low, high) in RANGES.items():
        value = getattr(options, name)
        if not (low <= value <= high and np.isfinite(value)):
            most = f"from {low:g} to {high:g}" if np.isfinite(high) else f"at least {low:g}"
            raise UserError(f"--{name.replace('_', '-')} is {value}, but must be {most}.")
    return options
