"""The model card and the reporting checklists: what a run can say of itself, and what stays open.

The sentences stand beside the templates in checklists.toml and are filled in from the facts of the
run. An item that the run cannot answer is listed as open, never dropped.

References
----------
Mitchell et al., "Model cards for model reporting", FAT* 2019.
"""

import platform
import tomllib
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd

from baseline.explanation.trained_run import Inputs
from baseline.report import rendering, result_tables, which_cases
from features.families import registry
from features.phantom.dicom import is_phantom
from features.reading import rle
from features.run import files

SOFTWARE = ("lightgbm", "shap", "scikit-learn", "numpy", "scikit-image", "pydicom")
PARTS = {"train": "training images", "test": "test images"}


@dataclass(frozen=True)
class Item:
    """An item of a checklist.

    Parameters
    ----------
    number, topic : str
        Which item, in a few words.
    text : str
        What the run says of it, or, where it is open, what is missing.
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


def facts(run: Path, inputs: Inputs) -> dict[str, Any]:
    """What the run says of its data and its model, by the names used in checklists.toml."""
    dataset, predicted = inputs.dataset, inputs.predicted
    settings = files.read_json(run / "baseline" / "settings.json")
    teachers = 0
    if inputs.has_evidence:
        teachers = int(files.read_json(run / "evidence" / "settings.json")["phantoms"])
    score = result_tables.estimates(inputs.metrics["out_of_fold"])
    outcomes = result_tables.confusion(inputs)
    folds = len(inputs.calibrations) - 1
    boosters = [run / "baseline" / f"fold{fold}.txt" for fold in range(folds)]
    names = inputs.explanation.names
    return {
        "run": run.resolve().name,
        "version": version("pneumothorax-reasons"),
        "images": len(dataset),
        "groups": dataset["patient"].nunique(),
        "phantoms": int(dataset["path"].map(is_phantom).sum()),
        "teachers": teachers,
        "known": len(result_tables.known(inputs)),
        "positive": int((dataset["label"] == 1).sum()),
        "negative": int((dataset["label"] == 0).sum()),
        "weak": int(dataset["weak"].notna().sum()),
        "unlabelled": len(dataset) - len(predicted),
        "explained": len(predicted),
        "deployed": int((predicted["kind"] != "oof").sum()),
        "quarantined": quarantined(run),
        "folds": folds,
        "features": len(names),
        "families": len({name.split(".")[0] for name in names}),
        "all_families": len(registry.FAMILIES),
        "trees": sum(path.read_text("utf-8").count("\nTree=") for path in boosters),
        "settings": ", ".join(f"{k} {v}" for k, v in settings.items() if k != "run"),
        "software": f"Python {platform.python_version()}, "
        + ", ".join(f"{name} {version(name)}" for name in SOFTWARE),
        "auc": score["auc"],
        "brier": score["brier"],
        "errors": outcomes["false positive"] + outcomes["false negative"],
        "views": counted(dataset["view"]),
        **{f"{key}_unknown": int(dataset[key].isna().sum()) for key in ("age", "sex", "view")},
    }


def quarantined(run: Path) -> int:
    """Number of images that could not be read."""
    path = run / "quarantine.csv"
    return len(pd.read_csv(path, dtype=str)) if path.exists() else 0


def counted(column: pd.Series) -> str:
    """How often each value comes: "AP 83, PA 64, unknown 2"."""
    named = column.astype(object).where(column.notna(), "unknown")
    return ", ".join(f"{value} {count}" for value, count in named.value_counts().items())


def partitions(dataset: pd.DataFrame, truth: pd.DataFrame | None) -> list[dict[str, Any]]:
    """Training and test images side by side: counts, age, sex, view and kind of label.

    Parameters
    ----------
    dataset : DataFrame
    truth : DataFrame or None
        The test images' true masks, where they were given.
    """
    if truth is not None:
        given = truth.set_index("id")["mask"].ne(rle.EMPTY).astype(float)
        known = dataset["label"].fillna(given.reindex(dataset.index))
        dataset = dataset.assign(label=known)
    rows = []
    for split, name in PARTS.items():
        part = dataset[dataset["split"] == split]
        if len(part):
            age = part["age"].dropna()
            quartiles = "{:.0f} ({:.0f} to {:.0f})".format(*age.quantile((0.5, 0.25, 0.75)))
            rows.append(
                {
                    "name": name,
                    "images": len(part),
                    "groups": part["patient"].nunique(),
                    "positive": int((part["label"] == 1).sum()),
                    "negative": int((part["label"] == 0).sum()),
                    "weak": int(part["weak"].notna().sum()),
                    "age": quartiles if len(age) else "unknown",
                    "sex": counted(part["sex"]),
                    "view": counted(part["view"]),
                }
            )
    return rows


def checklists(values: dict[str, Any], held: set[str]) -> list[dict[str, Any]]:
    """The checklists with every item filled in or open.

    Parameters
    ----------
    values : dict
        From `facts`.
    held : set of str
        Which of the optional findings the run holds: "questions", "faith".
    """
    content = tomllib.loads((rendering.TEMPLATES / "checklists.toml").read_text("utf-8"))
    found = []
    for checklist in content["lists"]:
        items = [_item(entry, values, held) for entry in checklist["items"]]
        found.append({"name": checklist["name"], "what": checklist["what"], "items": items})
    return found


def _item(entry: dict[str, str], values: dict[str, Any], held: set[str]) -> Item:
    needs = entry.get("needs")
    filled = "text" in entry and (needs is None or needs in held)
    if filled:
        # Plain text: the page escapes it when it shows it.
        text = rendering.plain(entry["text"], values)
    else:
        commands = {"questions": "make scrutiny report", "faith": "make faithfulness report"}
        text = commands[needs] if needs else rendering.plain(entry["open"], values)
    see = entry.get("see", "") if filled else ""
    return Item(entry["number"], entry["topic"], text, see, filled)


def limitations(values: dict[str, Any], questions: dict[str, Any] | None) -> list[str]:
    """What the run itself shows of its limits, in sentences."""
    width = values["auc"].high - values["auc"].low
    found = [
        f"{values['positive']} images with pneumothorax bear a true label: the interval of the AUC "
        f"is {width:.2f} wide.",
        origin_limit(values),
    ]
    if values["weak"]:
        found.append(
            f"{values['weak']:,} images taught by a weak label, which repeats the mistakes of what "
            "gave it."
        )
    if values["teachers"]:
        found.append(
            f"The evidence map learned where air lies from {values['teachers']:,} phantoms too, "
            "drawn by a program; they are never scored."
        )
    if questions is None:
        found.append("Shortcuts and subgroups were not examined.")
    else:
        if questions["share"] is not None:
            found.append(
                f"A shortcut, {questions['strongest']['name']}, has {questions['share']:.0%} of "
                "the verdict's lead over guessing."
            )
        few = sum(line.estimate is None for line in questions["subgroups"])
        if few:
            found.append(f"Too small to judge: {few} of {len(questions['subgroups'])} subgroups.")
    return found


def origin_limit(values: dict[str, Any]) -> str:
    """What it means for the figures where the images come from."""
    if values["phantoms"] == values["images"]:
        return (
            "All images are synthetic, drawn by a program: no figure says how good the verdict is "
            "on X-rays of people."
        )
    if values["phantoms"]:
        return (
            f"{values['phantoms']:,} of {values['images']:,} images are synthetic, drawn by a "
            "program: the figures mix them with X-rays of people."
        )
    return "All images come from one dataset; another hospital's may fare worse."


def profile(inputs: Inputs, areas: dict[str, float]) -> list[dict[str, Any]]:
    """Whom the errors strike: age, sex, view and size of the lesion by outcome.

    Parameters
    ----------
    inputs : Inputs
    areas : dict of str to float
        Share of each image in its true mask.
    """
    rows = result_tables.known(inputs)
    outcomes = rows.apply(lambda row: which_cases.outcome(row["probability"], row["label"]), axis=1)
    studies = inputs.dataset.loc[rows["id"]].assign(
        outcome=outcomes.to_numpy(), area=rows["id"].map(areas).to_numpy()
    )
    found = []
    for name in which_cases.OUTCOMES:
        part = studies[studies["outcome"] == name]
        line: dict[str, Any] = {"name": name, "images": len(part)}
        if len(part):
            line |= {
                "age": None if part["age"].isna().all() else float(part["age"].median()),
                "sex": counted(part["sex"]),
                "view": counted(part["view"]),
                "area": float(part["area"].median()) if name in which_cases.POSITIVE else None,
            }
        found.append(line)
    return found
