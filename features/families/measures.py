"""What a feature family measures: the names, sentences and units of its measures."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Measure:
    """What a family measures in each of its zones.

    Parameters
    ----------
    name : str
        Last part of the feature's name.
    text : str
        What it is and what moves it, as half a sentence.
    unit : str
        Unit, or empty for a pure number.
    """

    name: str
    text: str
    unit: str
