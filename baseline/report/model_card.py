"""The model card: facts of a run about its data and its model, and their limits.

References
----------
Mitchell et al., "Model cards for model reporting", FAT* 2019.
"""

import platform
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import pandas as pd

from baseline.classifier.settings import UsedSettings, read_used
from baseline.evidence_map.results import read_settings
from baseline.explanation.trained_run import TrainedRun
from baseline.learning.scores import Estimate
from baseline.report import result_tables
from baseline.report.result_tables import counted
from features.phantom.dicom import is_phantom
from features.reading import rle
from features.run.version import VERSION

SOFTWARE = ("lightgbm", "shap", "scikit-learn", "numpy", "scikit-image", "pydicom")
SPLITS = {"train": "training images", "test": "test images"}


@dataclass(frozen=True)
class Facts:
    """Facts of the run about its data and its model, by the names used in checklists.toml.

    Parameters
    ----------
    run, version : str
        Name of the run folder, and the toolkit's version.
    images, groups : int
        Readable images, and their patient groups.
    phantoms, auxiliary_phantoms : int
        Phantoms among them, and those that only the evidence map learned from.
    known, positive, negative, weak : int
        Images with a true label that are scored, with and without pneumothorax, and those with a
        weak label.
    unlabelled, explained, deployed, quarantined : int
        Images without any label, images with a prediction, those of them that all fold models
        predict, and images that cannot be used.
    folds, features, families, trees : int
        Of the classifier.
    settings, software : str
    auc, brier : Estimate
        Out of fold.
    errors : int
        Wrong predictions at a probability of 50%.
    views : str
        How often each view comes.
    age_unknown, sex_unknown, view_unknown : int
        Images without this tag.
    """

    run: str
    version: str
    images: int
    groups: int
    phantoms: int
    auxiliary_phantoms: int
    known: int
    positive: int
    negative: int
    weak: int
    unlabelled: int
    explained: int
    deployed: int
    quarantined: int
    folds: int
    features: int
    families: int
    trees: int
    settings: str
    software: str
    auc: Estimate
    brier: Estimate
    errors: int
    views: str
    age_unknown: int
    sex_unknown: int
    view_unknown: int


@dataclass(frozen=True)
class Partition:
    """Training or test images: counts, age, sex, view and kind of label."""

    name: str
    images: int
    groups: int
    positive: int
    negative: int
    weak: int
    age: str
    sex: str
    view: str


def gather_facts(trained: TrainedRun) -> Facts:
    """Gather the facts of a run."""
    run, dataset, predicted = trained.run, trained.dataset, trained.predicted
    outcomes = result_tables.confusion(trained)
    names = trained.explanation.names
    scores = trained.metrics.out_of_fold
    return Facts(
        run=run.root.resolve().name,
        version=VERSION,
        images=len(dataset),
        groups=dataset["patient"].nunique(),
        phantoms=int(dataset["path"].map(is_phantom).sum()),
        auxiliary_phantoms=auxiliary_phantoms(trained),
        known=len(result_tables.known(trained)),
        positive=int((dataset["label"] == 1).sum()),
        negative=int((dataset["label"] == 0).sum()),
        weak=int(dataset["weak"].notna().sum()),
        unlabelled=len(dataset) - len(predicted),
        explained=len(predicted),
        deployed=int((predicted["kind"] != "oof").sum()),
        quarantined=len(run.quarantine.read()) if run.quarantine.exists() else 0,
        folds=len(trained.boosters),
        features=len(names),
        families=len({name.split(".")[0] for name in names}),
        trees=sum(booster.num_trees() for booster in trained.boosters),
        settings=settings_in_words(read_used(run)),
        software=software(),
        auc=scores.auc,
        brier=scores.brier,
        errors=outcomes["false positive"] + outcomes["false negative"],
        views=counted(dataset["view"]),
        age_unknown=int(dataset["age"].isna().sum()),
        sex_unknown=int(dataset["sex"].isna().sum()),
        view_unknown=int(dataset["view"].isna().sum()),
    )


def auxiliary_phantoms(trained: TrainedRun) -> int:
    """Number of phantoms that the evidence map learned from beside the run's own images."""
    if not trained.uses_evidence:
        return 0
    return read_settings(trained.run).auxiliary


def settings_in_words(settings: UsedSettings) -> str:
    """What the classifier was trained with: "seed 0, evidence map True, rounds 300"."""
    values = {"seed": settings.seed, "evidence map": settings.evidence, **vars(settings.training)}
    return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in values.items())


def software() -> str:
    """Python and the most important packages, with their versions."""
    packages = ", ".join(f"{name} {version(name)}" for name in SOFTWARE)
    return f"Python {platform.python_version()}, {packages}"


def partitions(dataset: pd.DataFrame, truth: pd.DataFrame | None) -> list[Partition]:
    """Training and test images side by side.

    Parameters
    ----------
    dataset : DataFrame
        Indexed by image id.
    truth : DataFrame or None
        The test images' true masks, where they are known.
    """
    if truth is not None:
        positive = truth.set_index("id")["mask"].ne(rle.EMPTY).astype(float)
        known = dataset["label"].fillna(positive.reindex(dataset.index))
        dataset = dataset.assign(label=known)
    parts = {name: dataset[dataset["split"] == split] for split, name in SPLITS.items()}
    return [
        Partition(
            name=name,
            images=len(part),
            groups=part["patient"].nunique(),
            positive=int((part["label"] == 1).sum()),
            negative=int((part["label"] == 0).sum()),
            weak=int(part["weak"].notna().sum()),
            age=quartiles(part["age"].dropna()),
            sex=counted(part["sex"]),
            view=counted(part["view"]),
        )
        for name, part in parts.items()
        if len(part)
    ]


def quartiles(age: pd.Series) -> str:
    """Median and quartiles in words: "51 (38 to 62)"."""
    if not len(age):
        return "unknown"
    return "{:.0f} ({:.0f} to {:.0f})".format(*age.quantile((0.5, 0.25, 0.75)))


def limitations(facts: Facts, shortcuts: dict[str, Any] | None) -> list[str]:
    """The limits that the run itself shows, in sentences.

    Parameters
    ----------
    facts : Facts
    shortcuts : dict or None
        From `evaluation_section.shortcuts`.
    """
    width = facts.auc.high - facts.auc.low
    limits = [
        f"Only {facts.positive} images with pneumothorax have a true label: the 95% interval of "
        f"the AUC is {width:.2f} wide.",
        origin_limit(facts),
    ]
    if facts.weak:
        limits.append(
            f"{facts.weak:,} training images have only a weak label. The model may repeat the "
            "mistakes of the classifier that gave these labels."
        )
    if facts.auxiliary_phantoms:
        limits.append(
            f"The evidence map also learned from {facts.auxiliary_phantoms:,} auxiliary phantoms, "
            "which are synthetic X-rays drawn by a program; they are never scored."
        )
    if shortcuts is None:
        return [*limits, "Shortcuts and subgroups were not checked."]
    if shortcuts["share_of_lead"] is not None:
        limits.append(
            f"A shortcut ({shortcuts['strongest'].name}) reaches "
            f"{shortcuts['share_of_lead']:.0%} of the classifier's lead over guessing."
        )
    few = sum(group.estimate is None for group in shortcuts["subgroups"])
    if few:
        limits.append(
            f"{few} of {len(shortcuts['subgroups'])} subgroups have too few images for an AUC."
        )
    return limits


def origin_limit(facts: Facts) -> str:
    """What the origin of the images means for the figures."""
    if facts.phantoms == facts.images:
        return (
            "All images are synthetic, drawn by a program: no figure says how good the classifier "
            "is on X-rays of people."
        )
    if facts.phantoms:
        return (
            f"{facts.phantoms:,} of {facts.images:,} images are synthetic, drawn by a program: the "
            "figures mix them with X-rays of people."
        )
    return (
        "All images come from one dataset; on images of another hospital the classifier may be "
        "worse."
    )
