"""What answers on single X-rays are worth on images of known truth: ``--run`` or the shipped model.

``python -m tests.benchmarks.shipped_model DATASET_RUN`` answers on every truly labelled training
image of a run folder of which only the dataset must be there (``make dataset DATA=...``), by the
model that ships. Printed are AUC, Dice, what the gate earns, how often the foretold Dice is
reached, how wide the range of the probability is and where the truth lies, triage, and times. With
``--model RUN`` a trained run answers instead; where it is the same run, each image is answered by
models that have not seen it. ``--aloud 10`` prints the words of some answers. ``--network`` prints
the Dice on positives, share by share, of the evidence map, of the network that ships for training
(`cnn.weights.pretrained`) and of their mean.
"""

import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import tyro
from numpy.typing import NDArray
from rich.console import Console

from baseline.gate.rules import SOURCES
from baseline.learning import conformal, scores
from cnn.gate import masks, sources
from cnn.network.unet import outline
from cnn.prediction.networks import Networks
from cnn.study import cli, ranking
from cnn.study.drawing import draw
from cnn.study.model import DrawingRun
from cnn.study.predictor import Examination, Predictor
from cnn.weights import pretrained, tensors
from cnn.weights.network_kind import network_of
from features.reading import rle
from features.run import command
from features.run.files import UserError
from features.run.folder import RunFolder

# Images of a row of the table of ranges.
BIN = 30
# A mask of a lower Dice is wrong.
WRONG = 0.5


@dataclass(frozen=True)
class Settings:
    """Score answers on single X-rays of known truth."""

    run: tyro.conf.Positional[Path]
    """Run folder with a dataset whose truly labelled training images are answered."""
    model: Path | None = None
    """Trained run that answers; without it the model that ships."""
    aloud: int = 0
    """Answers to print in words."""
    seed: int = 0
    """Which of them."""
    network: bool = False
    """Print what the network that ships for training would draw."""


def true_mask(code: str, examined: Examination) -> NDArray[np.bool_]:
    """The annotated mask on the picture's own grid."""
    shape = examined.grey.shape[0], examined.grey.shape[1]
    return rle.decode(code, shape)


def pretrained_network() -> DrawingRun:
    """The network that ships, which has learned from phantoms alone."""
    arrays, info = tensors.load(pretrained.SHIPPED)
    config, flip = network_of(info, pretrained.SHIPPED, pretrained.RESTORE)
    single = {name: array.astype(np.float32) for name, array in arrays.items()}
    params = tensors.restore(outline(config), single, pretrained.SHIPPED)
    return DrawingRun(Networks(config, (params,), flip, ""))


def by_source(
    network: DrawingRun, examined: Examination, truth: NDArray[np.bool_]
) -> dict[str, NDArray[np.float64]]:
    """Dice at each of the gate's shares, by the map that the mask is cut from."""
    square = draw(network, examined.pixels, replace(examined.explained, fold=None))
    shape = (truth.shape[0], truth.shape[1])
    grey = sources.draw((square,), examined.explained.evidence_map, shape)
    nowhere = np.zeros(shape, bool)
    return {name: masks.measure(grey[name], nowhere, truth, 0.0).dice[0] for name in SOURCES}


def row(predictor: Predictor, image: pd.Series) -> tuple[dict[str, float], Examination]:
    """The numbers of one image, and the answer they come from."""
    begin = time.perf_counter()
    examined = predictor.examine(image["path"])
    seconds = time.perf_counter() - begin
    answer, truth = examined.answer, true_mask(image["mask"], examined)
    gate, known = predictor.model.gate, predictor.model.models.known(examined.explained.fold)
    drawn = masks.cut(examined.grey, gate.rules[gate.default].mask_share)
    expected, at_least = answer.mask.expected_dice, answer.mask.dice_at_least
    return {
        "label": float(truth.any()),
        "probability": answer.probability,
        "low": answer.probability_range.low,
        "high": answer.probability_range.high,
        "ungated": scores.dice(drawn, truth),
        "gated": scores.dice(examined.mask, truth),
        "kept": float(answer.mask.kept),
        "expected": np.nan if expected is None else expected,
        "at_least": np.nan if at_least is None else at_least,
        "ruled": float(conformal.triage(np.array([examined.explained.raw]), *known)[0]),
        "doubt": ranking.doubt(examined),
        "seconds": seconds,
    }, examined


def show(table: pd.DataFrame) -> None:
    """Print all scores."""
    patients = table["patient"].to_numpy(object)
    labels, probability = table["label"].to_numpy(), table["probability"].to_numpy()
    auc = scores.bootstrap(lambda rows: scores.auc(labels[rows], probability[rows]), patients)
    positive, kept = labels == 1, table["kept"].to_numpy() == 1
    print(f"images: {len(table)}, of them {positive.sum()} with pneumothorax")
    print(f"AUC: {auc}")
    print(f"Dice on positives, no gate: {_mean(table, 'ungated', positive)}")
    print(f"Dice on positives, behind the gate: {_mean(table, 'gated', positive)}")
    print(f"mean Dice, behind the gate: {_mean(table, 'gated')}; all-empty {1 - labels.mean():.3f}")
    if table["expected"].notna().any():
        reached = (table["gated"] >= table["at_least"]).astype(float).to_numpy()
        print(
            f"kept masks: {kept.sum()}; Dice {_mean(table, 'gated', kept)}, foretold "
            f"{table['expected'][kept].mean():.3f}; the lower bound is reached by "
            f"{scores.share(reached[kept], patients[kept])}"
        )
    wrong = (table["gated"] < WRONG).to_numpy(float)
    doubt = table["doubt"].to_numpy()
    in_doubt = scores.bootstrap(lambda rows: scores.auc(wrong[rows], doubt[rows]), patients)
    print(f"doubt tells the {wrong.sum():.0f} answers of a Dice below {WRONG}: AUC {in_doubt}")
    for decision, word in ((conformal.RULE_OUT, "out"), (conformal.RULE_IN, "in")):
        ruled = (table["ruled"] == decision).to_numpy()
        among = positive if word == "out" else ~positive
        print(
            f"a triage of 10% errors rules {word} {ruled.mean():.0%} of all, "
            f"{scores.share(ruled[among].astype(float), patients[among])} of those it must not"
        )
    print("\n| images, by probability | range, mean | of them with pneumothorax |\n|---|---|---|")
    for part in np.array_split(np.argsort(probability), max(len(table) // BIN, 1)):
        low, high = table["low"].iloc[part].mean(), table["high"].iloc[part].mean()
        share = labels[part].mean()
        interval = " to ".join(f"{float(end):.2f}" for end in scores.wilson(share, len(part)))
        print(f"| {len(part)} | {low:.2f} to {high:.2f} | {share:.2f} [{interval}] |")
    print(f"\nseconds an image: median {table['seconds'].median():.3f}")


def _mean(
    table: pd.DataFrame, column: str, chosen: NDArray[np.bool_] | None = None
) -> scores.Estimate:
    rows = table if chosen is None else table[chosen]
    return scores.mean(rows[column].to_numpy(), rows["patient"].to_numpy(object))


def main(settings: Settings) -> None:
    """Answer on all images, then print."""
    images = RunFolder(settings.run).check().images()
    known = images[images["label"].notna() & images["mask"].notna()].reset_index(drop=True)
    if known.empty:
        raise UserError(f"{settings.run}: no truly labelled image; give a run with annotations.")
    predictor = Predictor.load(settings.model)
    aloud = np.random.default_rng(settings.seed).permutation(len(known))[: settings.aloud]
    rows, spoken, by_share = [], [], []
    network = pretrained_network() if settings.network else None
    for number, image in enumerate(
        command.progress([image for _, image in known.iterrows()], "answering")
    ):
        values, examined = row(predictor, image)
        rows.append(values)
        if network is not None and values["label"]:
            by_share.append(by_source(network, examined, true_mask(image["mask"], examined)))
        if number in aloud:
            spoken.append((image["mask"] != rle.EMPTY, examined.answer))
    show(pd.DataFrame(rows).assign(patient=known["patient"]))
    for name in SOURCES if by_share else ():
        dice = np.mean([of_image[name] for of_image in by_share], axis=0)
        print(f"{name}, Dice on positives by share: {' '.join(f'{value:.3f}' for value in dice)}")
    for has_lesion, answer in spoken:
        print(f"\n--- truth: {'pneumothorax' if has_lesion else 'none'}")
        cli.show(answer, Console(width=100))


if __name__ == "__main__":
    command.run(main, writes=False)
