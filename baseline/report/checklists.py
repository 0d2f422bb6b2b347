"""The reporting checklists: what a run can answer of each item, and which items stay open.

The sentences stand in templates/checklists.toml and are filled in from the facts of the run. Every
item that the run cannot answer is listed as open.
"""

import tomllib
from dataclasses import dataclass

from baseline.report import rendering
from baseline.report.model_card import Facts

# What an item may need, and the commands that add it to a report.
NEEDED_STAGES = {
    "shortcuts": "make shortcuts report",
    "faithfulness": "make faithfulness report",
}


@dataclass(frozen=True)
class Item:
    """An item of a checklist.

    Parameters
    ----------
    number, topic : str
        Which item, in a few words.
    text : str
        The run's answer or, where the item is open, what is missing.
    see : str
        Section of the page that says more, "" for none.
    filled : bool
        False where the item is open.
    """

    number: str
    topic: str
    text: str
    see: str
    filled: bool


@dataclass(frozen=True)
class Checklist:
    """A checklist: its short name, its source, and its items."""

    name: str
    source: str
    items: list[Item]


def fill(facts: Facts, stages: set[str]) -> list[Checklist]:
    """The checklists with every item filled in or open.

    Parameters
    ----------
    facts : Facts
    stages : set of str
        Which of `NEEDED_STAGES` the run has results of.
    """
    content = tomllib.loads((rendering.TEMPLATES / "checklists.toml").read_text("utf-8"))
    return [
        Checklist(
            checklist["name"],
            checklist["source"],
            [_item(entry, facts, stages) for entry in checklist["items"]],
        )
        for checklist in content["lists"]
    ]


def _item(entry: dict[str, str], facts: Facts, stages: set[str]) -> Item:
    stage = entry.get("needs")
    filled = "text" in entry and (stage is None or stage in stages)
    if filled:
        # Plain text: the page escapes it when it shows it.
        text = rendering.plain(entry["text"], vars(facts))
    else:
        text = NEEDED_STAGES[stage] if stage else rendering.plain(entry["open"], vars(facts))
    see = entry.get("see", "") if filled else ""
    return Item(entry["number"], entry["topic"], text, see, filled)
