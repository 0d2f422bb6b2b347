"""Which feature families carry the verdict: each family alone, and all but each family.

Every line is trained and scored out of fold on several splits by patient. What a family gives alone
tells how much it knows; what is lost without it tells how much of that nobody else knows. A
family's asymmetries between the lungs count as its own.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from baseline.classifier.train import out_of_fold
from baseline.learning import scores, training_table
from features.families import registry
from features.reading.dataset import strata
from features.reading.folds import assign
from features.run import command, files


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
    """Columns of each line of the table: all, each family alone, all but each family."""
    owner = {name: family_of(name) for name in table.columns}
    measured = [family for family in registry.MEASURED if family in owner.values()]
    chosen = [family for family in measured if not families or family in families]
    lines = {"all families": list(table.columns)}
    for family in chosen:
        lines[f"{family} alone"] = [name for name in owner if owner[name] == family]
    for family in chosen:
        lines[f"all but {family}"] = [name for name in owner if owner[name] != family]
    asymmetry = [name for name in owner if name.startswith("asymmetry.")]
    if asymmetry:
        lines["all but asymmetry"] = [name for name in owner if name not in set(asymmetry)]
    return {line: names for line, names in lines.items() if names}


def ablate(settings: Settings) -> pd.DataFrame:
    """One row a line: number of features, AUC of every split on the true and on the weak labels."""
    dataset, table = training_table.read(settings.run)
    rows = training_table.training_rows(dataset)
    table = table.loc[rows["id"]]
    label, weak = rows["label"].to_numpy(float), rows["weak"].to_numpy(float)
    known, soft = ~np.isnan(label), np.isnan(label) & ~np.isnan(weak)
    patients = rows["patient"].to_numpy(object)
    splits = [
        assign(strata(rows), patients, settings.folds, seed) for seed in range(settings.seeds)
    ]
    lines = variants(table, settings.families)
    jobs = [(line, seed) for line in lines for seed in range(settings.seeds)]
    found: dict[str, list[dict[str, float]]] = {line: [] for line in lines}
    for line, seed in command.progress(jobs, "training without families", unit="models"):
        raw = out_of_fold(table[lines[line]], rows, splits[seed], 100 * seed)
        result = {"auc": scores.auc(label[known], raw[known])}
        if len(np.unique(weak[soft] > 0.5)) == 2:
            result["weak"] = scores.auc((weak[soft] > 0.5).astype(float), raw[soft])
        found[line].append(result)
    return pd.DataFrame(
        {"line": line, "features": len(lines[line])}
        | {f"{key}_{seed}": value for seed, one in enumerate(results) for key, value in one.items()}
        for line, results in found.items()
    )


def main(settings: Settings) -> None:
    """Print the table and write ablation.csv."""
    registry.check(settings.families or registry.FAMILIES)
    if settings.seeds < 1:
        raise files.UserError(f"--seeds is {settings.seeds}, but at least 1 split is scored.")
    table = ablate(settings)
    files.write_csv(settings.run / "ablation.csv", table)
    print("| features of | number | AUC, mean of splits (least to most) | weak labels |")
    print("|---|---|---|---|")
    for _, row in table.iterrows():
        auc = [row[name] for name in table.columns if name.startswith("auc_")]
        weak = [row[name] for name in table.columns if name.startswith("weak_")]
        span = f"{np.mean(auc):.3f} ({min(auc):.3f} to {max(auc):.3f})"
        agreement = f"{np.mean(weak):.3f}" if weak else ""
        print(f"| {row['line']} | {row['features']} | {span} | {agreement} |")


if __name__ == "__main__":
    command.run(main)
