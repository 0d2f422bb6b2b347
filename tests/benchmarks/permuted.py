"""The verdict on permuted labels, its evidence map learned anew from them: is there a leak?

    .venv/bin/python tests/benchmarks/permuted.py RUN WORK [PHANTOMS] [--times N]

RUN is measured (make baseline); PHANTOMS is the run whose cells helped to teach its evidence map
(make names it: runs/teachers-300). Labels go with their masks from one truly labelled image to
another, and weak labels among the weakly labelled. Then cells, evidence map and verdict are made
anew in WORK, as make would. With nothing to be learned the verdict must fall back to guessing, AUC
0.5 on the permuted labels, in all but one of twenty tries within the interval that is printed. The
permuted labels of `make scrutiny` ask the same of the features alone.
"""

import argparse
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

from baseline.classifier import train
from baseline.evidence_map import train as evidence
from baseline.learning import predictions, scores
from features import measure
from features.run import files

MOVED = ["label", "weak", "mask"]


def permuted(dataset: pd.DataFrame, seed: int) -> pd.DataFrame:
    """The dataset with labels and masks dealt out anew among images of one kind and size."""
    rng = np.random.default_rng(seed)
    found = dataset.copy()
    teaches = dataset[dataset["fold"] >= 0]
    for _, part in teaches.groupby([teaches["label"].notna(), "rows", "columns"]):
        found.loc[part.index, MOVED] = part.loc[rng.permutation(part.index), MOVED].to_numpy()
    return found


def auc(run: Path, work: Path, phantoms: Path | None, seed: int) -> float:
    """Out-of-fold AUC of the whole verdict on permuted labels."""
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    shutil.copy(run / "features.parquet", work)
    dataset = permuted(files.read_table(run / "dataset.parquet"), seed)
    files.write_table(work / "dataset.parquet", dataset)
    measure.main(measure.Settings(work, only_cells=True))
    evidence.main(evidence.Settings(work, phantoms, seed=seed))
    train.main(train.Settings(run=work, seed=seed))
    known = predictions.read(work / "baseline" / "oof.csv").dropna(subset=["label"])
    return scores.auc(known["label"].to_numpy(), known["raw"].to_numpy())


def main(run: Path, work: Path, phantoms: Path | None, times: int) -> None:
    """Print the AUC of each permutation, and their mean with Student's interval."""
    found = [auc(run, work, phantoms, seed) for seed in range(times)]
    reach = float(stats.sem(found) * stats.t.ppf(0.975, times - 1))
    mean = float(np.mean(found))
    told = scores.Estimate(mean, mean - reach, mean + reach)
    print(f"AUC on permuted labels: {', '.join(f'{one:.3f}' for one in found)}; mean {told}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("phantoms", type=Path, nargs="?")
    parser.add_argument("--times", type=int, choices=range(2, 101), default=5, metavar="2-100")
    main(**vars(parser.parse_args()))
