"""How real phantoms are, by what can be learned from them and by what tells them from X-rays.

Both run folders hold dataset.parquet and features.parquet, as `make features` writes them. Printed
are: the AUC on the real true labels of a verdict that learned from phantoms alone, and that among
phantoms; per feature the Kolmogorov distance between negatives of both kinds; a classifier that
tells them apart, and by what; and, where the images can be read, their spectrum, grey levels and
noise.

    .venv/bin/python tests/benchmarks/phantom_realism.py <run of phantoms> <run of real X-rays>

Real negatives are images whose mask is known to be empty; `--weak` adds those that the weak labels
call negative (probability below 0.1).
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import fft, ndimage, stats

from baseline.classifier.fit import fit_model
from baseline.classifier.settings import TrainingSettings
from baseline.learning import scores
from baseline.learning.estimator import Classifier
from baseline.learning.training_rows import training_rows
from features.families.table import read as read_features
from features.reading import folds, images
from features.run import files

MODELS = 3  # boosters whose log-odds are averaged
NEAR = 0.35  # a Kolmogorov distance below it counts as near
SHOWN = 20  # features that are named as the worst
USED = 15  # features named of the classifier that tells phantoms from X-rays
PICTURES = 120  # images of each kind that are opened

Numbers = NDArray[np.float64]


def load(run: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The dataset, indexed by image id, and the features of the images that have been measured."""
    dataset = files.read_table(run / "dataset.parquet").set_index("id", drop=False)
    table = read_features(run)
    return dataset.loc[table.index.intersection(dataset.index)], table


def negatives(dataset: pd.DataFrame, weak: bool) -> pd.Index:
    """Ids of images without pneumothorax: by their mask and, on request, by the weak label."""
    chosen = dataset["label"] == 0
    if weak:
        chosen |= dataset["label"].isna() & (dataset["weak"] < 0.1)
    return dataset.index[chosen]


def transfer(
    phantoms: pd.DataFrame, table: pd.DataFrame, real: pd.DataFrame, other: pd.DataFrame
) -> scores.Estimate:
    """AUC on the true real labels of a verdict taught by phantoms alone."""
    taught = training_rows(phantoms[phantoms["label"].notna()].assign(fold=0))
    judged = real[real["label"].notna()]
    models = [
        fit_model(table.loc[taught["id"]], taught, TrainingSettings(), k) for k in range(MODELS)
    ]
    raw = np.mean([model.decision_function(other.loc[judged["id"]]) for model in models], axis=0)
    labels, patients = judged["label"].to_numpy(float), judged["patient"].to_numpy(object)
    return scores.bootstrap(lambda rows: scores.auc(labels[rows], raw[rows]), patients)


def among_phantoms(phantoms: pd.DataFrame, table: pd.DataFrame) -> scores.Estimate:
    """AUC of the verdict among phantoms themselves, out of fold: how hard they are."""
    taught = training_rows(phantoms[phantoms["label"].notna()])
    raw = np.empty(len(taught))
    fold = taught["fold"].to_numpy()
    for k in np.unique(fold):
        part = taught[fold != k]
        model = fit_model(table.loc[part["id"]], part, TrainingSettings(), int(k))
        raw[fold == k] = model.decision_function(table.loc[taught["id"][fold == k]])
    labels, patients = taught["label"].to_numpy(float), taught["patient"].to_numpy(object)
    return scores.bootstrap(lambda rows: scores.auc(labels[rows], raw[rows]), patients)


def distances(one: pd.DataFrame, other: pd.DataFrame) -> pd.DataFrame:
    """Kolmogorov distance of every feature, its family, and the median of either kind."""
    found = [
        float(stats.ks_2samp(one[name], other[name], method="asymp").statistic)
        for name in one.columns
    ]
    family = [name.split(".")[0] for name in one.columns]
    return pd.DataFrame(
        {
            "family": family,
            "distance": found,
            "phantoms": one.median().to_numpy(),
            "real": other.median().to_numpy(),
        },
        index=one.columns,
    )


def told_apart(
    one: pd.DataFrame, other: pd.DataFrame, patients: NDArray[np.object_]
) -> tuple[scores.Estimate, pd.Series]:
    """AUC, out of fold, of telling phantoms from X-rays, and the share of gain of each feature."""
    table = pd.concat((one, other))
    labels = np.repeat([0.0, 1.0], (len(one), len(other)))
    fold = folds.assign(labels.astype(int), patients, 5, 0)
    raw, gain = np.empty(len(table)), np.zeros(table.shape[1])
    for k in range(5):
        here = fold == k
        model = Classifier(rounds=150, seed=k).fit(table[~here], labels[~here])
        raw[here] = model.decision_function(table[here])
        gain += model.booster_.feature_importance("gain")
    auc = scores.bootstrap(lambda rows: scores.auc(labels[rows], raw[rows]), patients)
    return auc, pd.Series(gain / gain.sum(), table.columns)


def slope(pixels: Numbers) -> float:
    """Exponent of the power spectrum between 0.01 and 0.25 cycles a pixel, middle of the image."""
    h, w = pixels.shape
    side = min(h, w) // 4 * 2
    part = pixels[(h - side) // 2 :, (w - side) // 2 :][:side, :side]
    window = np.hanning(side)
    power = np.abs(fft.fft2((part - part.mean()) * window[:, None] * window)) ** 2
    frequency = np.hypot(fft.fftfreq(side)[:, None], fft.fftfreq(side))
    edges = np.geomspace(0.01, 0.25, 16)
    bins = np.digitize(frequency.ravel(), edges)
    mean = np.bincount(bins, power.ravel(), 17)[1:16] / np.bincount(bins, minlength=17)[1:16]
    return float(np.polyfit(np.log(np.sqrt(edges[1:] * edges[:-1])), np.log(mean), 1)[0])


def noise(pixels: Numbers) -> float:
    """Standard deviation of noise in grey levels of 255, after Immerkaer (CVIU 64:300, 1996).

    Of the flatter half of the picture, so that bones and text do not count, without its black part.
    """
    kernel = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], float)
    answer = np.abs(ndimage.convolve(pixels, kernel))
    steep = ndimage.gaussian_gradient_magnitude(pixels, 2)
    seen = (pixels > 2 / 255) & (pixels < 253 / 255)
    flat = seen & (steep <= np.median(steep[seen])) if seen.any() else seen
    return 255 * float(np.sqrt(np.pi / 2) * answer[flat].mean() / 6) if flat.any() else 0.0


def pictures(paths: pd.Series) -> pd.DataFrame:
    """Spectrum, noise, quantiles and histogram (64 bins, one column a bin) of images."""
    rows = []
    for path in paths:
        pixels = images.read(Path(path))[1].astype(float)
        row = {"spectrum slope": slope(pixels), "noise (of 255)": noise(pixels)}
        for q in (5, 25, 50, 75, 95):
            row[f"grey level, {q}%"] = 255 * float(np.percentile(pixels, q))
        row["black, share"] = float((pixels < 2 / 255).mean())
        row["white, share"] = float((pixels > 0.98).mean())
        shares = np.histogram(pixels, 64, (0, 1))[0] / pixels.size
        rows.append(row | {f"bin{k}": share for k, share in enumerate(shares)})
    return pd.DataFrame(rows)


def _some(ids: pd.Index) -> pd.Index:
    return ids[:: max(len(ids) // PICTURES, 1)][:PICTURES]


def print_pictures(one: pd.DataFrame, other: pd.DataFrame) -> None:
    """The middle 90% of either kind, and how far histograms lie from the mean real one."""
    bins = [name for name in one.columns if name.startswith("bin")]
    centre = other[bins].mean()
    for frame in (one, other):
        frame["histogram to mean real"] = 0.5 * (frame[bins] - centre).abs().sum(axis=1)
    print("\n| image measure | phantoms: 5%, median, 95% | real: 5%, median, 95% | inside |")
    print("|---|---|---|---|")
    for name in (name for name in one.columns if name not in bins):
        ranges = [frame[name].quantile([0.05, 0.5, 0.95]).to_numpy() for frame in (one, other)]
        inside = one[name].between(ranges[1][0], ranges[1][2]).mean()
        texts = [", ".join(f"{value:.3g}" for value in part) for part in ranges]
        print(f"| {name} | {texts[0]} | {texts[1]} | {inside:.0%} |")


def print_distances(found: pd.DataFrame) -> None:
    """Median, share near, the table by family, and the worst features."""
    print(
        f"\nKolmogorov distance of negatives, {len(found)} features: median "
        f"{found['distance'].median():.3f}, {(found['distance'] < NEAR).mean():.0%} below {NEAR}"
    )
    print("\n| family | features | median distance | below |\n|---|---|---|---|")
    for family, part in found.groupby("family"):
        near = (part["distance"] < NEAR).mean()
        print(f"| {family} | {len(part)} | {part['distance'].median():.3f} | {near:.0%} |")
    print("\n| worst features | distance | median phantom | median real |\n|---|---|---|---|")
    for row in found.sort_values("distance", ascending=False).head(SHOWN).itertuples():
        print(f"| {row.Index} | {row.distance:.3f} | {row.phantoms:.4g} | {row.real:.4g} |")


def main(phantom_run: Path, real_run: Path, weak: bool) -> None:
    """Measure and print."""
    (phantoms, table), (real, other) = load(phantom_run), load(real_run)
    shared = [name for name in table.columns if name in other.columns]
    table, other = table[shared], other[shared]
    print(f"transfer, learned from phantoms alone: AUC {transfer(phantoms, table, real, other)}")
    print(f"among phantoms, out of fold: AUC {among_phantoms(phantoms, table)}")
    ours, theirs = negatives(phantoms, False), negatives(real, weak)
    found = distances(table.loc[ours], other.loc[theirs])
    print_distances(found)
    owners = pd.concat((phantoms.loc[ours, "patient"].add("-phantom"), real.loc[theirs, "patient"]))
    auc, gain = told_apart(table.loc[ours], other.loc[theirs], owners.to_numpy(object))
    print(f"\nphantom or real, out of fold: AUC {auc}; it uses most (share of gain, distance):")
    for name in gain.nlargest(USED).index:
        print(f"  {gain[name]:.3f} {found.loc[name, 'distance']:.2f} {name}")
    paths = phantoms.loc[_some(ours), "path"], real.loc[_some(theirs), "path"]
    if all(Path(path).exists() for part in paths for path in part):
        print_pictures(*(pictures(part) for part in paths))


if __name__ == "__main__":
    given = [argument for argument in sys.argv[1:] if argument != "--weak"]
    if len(given) != 2:
        sys.exit(__doc__)
    main(Path(given[0]), Path(given[1]), "--weak" in sys.argv)
