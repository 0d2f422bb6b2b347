"""The classifier on permuted labels, its evidence map learned anew from them: is there a leak?

    .venv/bin/python tests/benchmarks/permuted.py RUN WORK [AUXILIARY] [--times N] [--network]

RUN is measured (make measure); AUXILIARY is the run of the auxiliary phantoms that help to train
its evidence map (make names it: runs/auxiliary-300). Labels go with their masks from one truly
labelled image to another, and weak labels with theirs among the weakly labelled. Then cells,
evidence map and classifier are made anew in WORK, as make would. There is nothing to be learned,
so the classifier must fall back to guessing: AUC 0.5 on the permuted labels lies within the printed
interval in all but one of twenty tries. With --network the U-Net (profile lite) is trained anew,
too, and the top score of its map must say as little of who is ill. The permuted labels of
`make shortcuts` test the features alone in the same way. WORK keeps the last permutation; after
``python -m baseline.explanation.shap_values --run WORK`` its reasons can be scored by
``python -m tests.benchmarks.saliency RUN --reasons-of WORK``.
"""

import argparse
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from baseline.classifier import train as classifier
from baseline.evidence_map import train as evidence_map
from baseline.explanation import shap_values
from baseline.gate import rules
from baseline.learning import scores
from cnn.gate import evaluate, scored_images
from cnn.gate.sources import SourceMaps
from cnn.prediction import predict
from cnn.training import train as training
from cnn.training.settings import Settings as NetworkSettings
from features import measure
from features.run.folder import RunFolder

MOVED = ["label", "weak", "mask", "weak_mask"]


def permuted(dataset: pd.DataFrame, seed: int) -> pd.DataFrame:
    """The dataset with labels and masks dealt out anew among images of one kind and size."""
    rng = np.random.default_rng(seed)
    result = dataset.copy()
    training = dataset[dataset["fold"].notna()]
    for _, part in training.groupby([training["label"].notna(), "rows", "columns"]):
        result.loc[part.index, MOVED] = part.loc[rng.permutation(part.index), MOVED].to_numpy()
    return result


def auc(run: RunFolder, work: RunFolder, auxiliary: Path | None, seed: int) -> scores.Estimate:
    """Out-of-fold AUC of the whole classifier on permuted labels."""
    shutil.rmtree(work.root, ignore_errors=True)
    work.create()
    shutil.copy(run.features.path, work.features.path)
    work.dataset.write(permuted(run.dataset.read(), seed))
    measure.main(measure.Settings(work.root, only_cells=True))
    evidence_map.main(evidence_map.Settings(work.root, auxiliary, seed=seed))
    classifier.main(classifier.Settings(run=work.root, seed=seed))
    known = work.oof.read().dropna(subset=["label"])
    return estimate(known, known["raw"].to_numpy())


def estimate(known: pd.DataFrame, values: NDArray[np.float64]) -> scores.Estimate:
    """AUC of values of images with a permuted label, with its interval over patients."""
    return scores.auc_estimate(
        known["label"].to_numpy(float), values, known["patient"].to_numpy(object)
    )


def auc_of_network(run: RunFolder, work: RunFolder, seed: int) -> scores.Estimate:
    """The same of the U-Net's top score, trained after evidence map and classifier."""
    # What the network sees of the X-rays has not changed.
    shutil.copytree(run.root / "squares", work.root / "squares")
    training.main(NetworkSettings(run=work.root, profile="lite", seed=seed))
    predict.main(predict.Settings(work.root))
    shap_values.main(shap_values.Settings(work.root))  # the gate looks at the reasons, too
    known = scored_images.labelled(work)
    inputs = evaluate.gate_inputs(SourceMaps((work,)), known, "top scores")["unet"]
    return estimate(known, inputs.top[:, rules.TOP])


def main(run: Path, work: Path, auxiliary: Path | None, times: int, network: bool) -> None:
    """Print the AUC of each permutation, and the mean of several with Student's interval."""
    folders = RunFolder(run).check(), RunFolder(work)
    aucs: dict[str, list[float]] = {"classifier": [], "U-Net": []}
    for seed in range(times):
        of_seed = {"classifier": auc(*folders, auxiliary, seed)}
        if network:
            of_seed["U-Net"] = auc_of_network(*folders, seed)
        for name, of_one in of_seed.items():
            aucs[name].append(of_one.value)
            print(f"AUC on permuted labels, {name}, seed {seed}: {of_one}", flush=True)
    for name, values in aucs.items():
        if len(values) > 1:
            reach = float(stats.sem(values) * stats.t.ppf(0.975, times - 1))
            mean = float(np.mean(values))
            print(f"mean, {name}: {scores.Estimate(mean, mean - reach, mean + reach)}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("auxiliary", type=Path, nargs="?")
    parser.add_argument("--network", action="store_true")
    parser.add_argument("--times", type=int, choices=range(1, 101), default=5, metavar="1-100")
    main(**vars(parser.parse_args()))
