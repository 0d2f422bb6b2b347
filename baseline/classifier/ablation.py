"""How much each feature family adds: each family alone, and all but each family.

Every variant is trained and scored out of fold on several splits by patient. What a family gives
alone shows how much it knows; what is lost without it shows how much of that no other family knows.
A family's asymmetries between the lungs are counted with it.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from baseline.classifier.fit import out_of_fold
from baseline.learning import scores
from baseline.learning.training_rows import read_checked, training_rows
from features.dataset.folds import assign, strata
from features.families import registry
from features.run import command
from features.run.files import UserError
from features.run.folder import RunFolder


@dataclass(frozen=True)
class Settings:
    """Score feature families alone and left out; write RUN/ablation.csv."""

    run: Path
    """Run folder with features.parquet."""
    seeds: int = 3
    """Number of splits into folds."""
    folds: int = 5
    """Number of patient-disjoint folds of each split."""
    families: tuple[str, ...] = ()
    """Families to weigh; all that were measured if empty."""


def family_of(name: str) -> str:
    """The family whose measure a feature is, also where it compares the two lungs."""
    family, _, measure = name.split(".")
    return measure.partition("_")[0] if family == "asymmetry" else family


def variants(table: pd.DataFrame, families: tuple[str, ...] = ()) -> dict[str, list[str]]:
    """Columns of each variant of the table: all, each family alone, all but each family."""
    family = {name: family_of(name) for name in table.columns}
    measured = [name for name in registry.MEASURED if name in family.values()]
    chosen = [name for name in measured if not families or name in families]
    columns = {"all families": list(table.columns)}
    for name in chosen:
        columns[f"{name} alone"] = [column for column in family if family[column] == name]
    for name in chosen:
        columns[f"all but {name}"] = [column for column in family if family[column] != name]
    others = [column for column in family if not column.startswith("asymmetry.")]
    if len(others) < len(family):
        columns["all but asymmetry"] = others
    return {variant: names for variant, names in columns.items() if names}


def ablate(settings: Settings) -> pd.DataFrame:
    """One row a variant, as `RunFolder.ablation` has them.

    auc_0, auc_1, ... are the AUCs of the splits on true labels; weak_0, weak_1, ... on weak labels,
    where there are weak labels of two classes.
    """
    dataset, table = read_checked(RunFolder(settings.run))
    rows = training_rows(dataset)
    features = table.measured.loc[rows["id"]]
    label, weak = rows["label"].to_numpy(float), rows["weak"].to_numpy(float)
    known, soft = ~np.isnan(label), np.isnan(label) & ~np.isnan(weak)
    patients = rows["patient"].to_numpy(object)
    splits = [
        assign(strata(rows), patients, settings.folds, seed) for seed in range(settings.seeds)
    ]
    columns = variants(features, settings.families)
    result: dict[str, dict[str, float]] = {variant: {} for variant in columns}
    jobs = [(variant, seed) for variant in columns for seed in range(settings.seeds)]
    for variant, seed in command.progress(jobs, "training without families", unit="models"):
        raw = out_of_fold(features[columns[variant]], rows, splits[seed], 100 * seed)
        result[variant][f"auc_{seed}"] = scores.auc(label[known], raw[known])
        if len(np.unique(weak[soft] > 0.5)) == 2:
            agreement = scores.auc((weak[soft] > 0.5).astype(float), raw[soft])
            result[variant][f"weak_{seed}"] = agreement
    return pd.DataFrame(
        {"variant": variant, "features": len(columns[variant])} | values
        for variant, values in result.items()
    )


def main(settings: Settings) -> None:
    """Print the table and write ablation.csv."""
    run = RunFolder(settings.run).check()
    registry.check(settings.families or registry.FAMILIES)
    if settings.seeds < 1:
        raise UserError(f"--seeds is {settings.seeds}, but at least 1 split is scored.")
    table = ablate(settings)
    run.ablation.write(table)
    print("| features of | number | AUC, mean of splits (least to most) | weak labels |")
    print("|---|---|---|---|")
    for _, row in table.iterrows():
        auc = [row[name] for name in table.columns if name.startswith("auc_")]
        weak = [row[name] for name in table.columns if name.startswith("weak_")]
        span = f"{np.mean(auc):.3f} ({min(auc):.3f} to {max(auc):.3f})"
        agreement = f"{np.mean(weak):.3f}" if weak else ""
        print(f"| {row['variant']} | {row['features']} | {span} | {agreement} |")


if __name__ == "__main__":
    command.run(main)
