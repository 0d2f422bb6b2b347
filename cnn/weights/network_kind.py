"""The network that a file of weights describes."""

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from cnn.network.unet import UNetConfig
from features.run.files import UserError


def network_of(info: Mapping[str, Any], path: Path, repair: str) -> tuple[UNetConfig, bool]:
    """The network that weights belong to, and whether it is to see mirror images too.

    Parameters
    ----------
    info : mapping
        As `tensors.load` gives it.
    path : Path
        The file, for the sentence.
    repair : str
        What to do about another version's, for the sentence.

    Raises
    ------
    UserError
        If this version of the program knows no such network.
    """
    try:
        unet, flip = info["config"]["unet"], info["config"]["flip"]
        if different := {field.name for field in fields(UNetConfig)} ^ set(unet):
            raise KeyError(min(different))
        return UNetConfig(**{**unet, "widths": tuple(unet["widths"])}), bool(flip)
    except (KeyError, TypeError, ValueError, ZeroDivisionError) as error:
        raise UserError(
            f"{path}: weights of another version of this program (in their config: {error}); "
            f"{repair}."
        ) from error
