"""How real phantoms are: by what can be learned from them, and by how they differ from X-rays.

Both run folders hold dataset.parquet and features.parquet, as `make measure` writes them. Printed
are: the AUC on the real true labels of a classifier that learned from phantoms alone, and that
among phantoms; for each feature the Kolmogorov distance between negatives of both kinds; the AUC of
a classifier that tells phantoms from X-rays, and the features it uses most; and, where the images
can be read, their spectrum, grey levels and noise.

    .venv/bin/python tests/benchmarks/phantom_realism.py <run of phantoms> <run of real X-rays>

Real negatives are images whose mask is known to be empty; `--weak` adds those that the weak labels
call negative (probability below 0.1).
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
from arguments import arguments_or_help
from numpy.typing import NDArray
from scipy import fft, ndimage, stats

from baseline.classifier.fit import fit_model, out_of_fold
from baseline.classifier.settings import TrainingSettings
from baseline.learning import scores
from baseline.learning.estimator import Classifier
from baseline.learning.training_rows import training_rows
from features.dataset import folds
from features.families.table import read as read_features
from features.reading import images
from features.run.folder import RunFolder

MODELS = 3  # boosters whose log-odds are averaged
NEAR = 0.35  # a Kolmogorov distance below it counts as near
SHOWN = 20  # features that are named as the worst
USED = 15  # features named of the classifier that tells phantoms from X-rays
PICTURES = 120  # images of each kind that are opened

Numbers = NDArray[np.float64]


def load(run: RunFolder) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The dataset, indexed by image id, and the features of the images that have been measured."""
    dataset = run.check().dataset.read().set_index("id", drop=False)
    table = read_features(run)
    return dataset.loc[table.index.intersection(dataset.index)], table


def negatives(dataset: pd.DataFrame, weak: bool) -> pd.Index:
    """Ids of images without pneumothorax: by their mask and, on request, by the weak label."""
    chosen = dataset["label"] == 0
    if weak:
        chosen |= dataset["label"].isna() & (dataset["weak"] < 0.1)
    return dataset.index[chosen]


def auc_on(rows: pd.DataFrame, raw: Numbers) -> scores.Estimate:
    """AUC of log-odds on the true labels of some rows of a dataset."""
    labels, patients = rows["label"].to_numpy(float), rows["patient"].to_numpy(object)
    return scores.bootstrap(lambda drawn: scores.auc(labels[drawn], raw[drawn]), patients)


def transfer(
    phantoms: pd.DataFrame,
    phantom_features: pd.DataFrame,
    real: pd.DataFrame,
    real_features: pd.DataFrame,
) -> scores.Estimate:
    """AUC on the true real labels of a classifier that learned from phantoms alone."""
    training = training_rows(phantoms[phantoms["label"].notna()].assign(fold=0))
    features = phantom_features.loc[training["id"]]
    models = [fit_model(features, training, TrainingSettings(), seed) for seed in range(MODELS)]
    tested = real[real["label"].notna()]
    tested_features = real_features.loc[tested["id"]]
    raw = np.mean([model.decision_function(tested_features) for model in models], axis=0)
    return auc_on(tested, raw)


def among_phantoms(phantoms: pd.DataFrame, table: pd.DataFrame) -> scores.Estimate:
    """AUC of the classifier among phantoms themselves, out of fold: how hard they are."""
    training = training_rows(phantoms[phantoms["label"].notna()])
    raw = out_of_fold(table.loc[training["id"]], training, training["fold"].to_numpy(), 0)
    return auc_on(training, raw)


def distances(phantoms: pd.DataFrame, real: pd.DataFrame) -> pd.DataFrame:
    """Kolmogorov distance of every feature, its family, and the median of either kind."""
    return pd.DataFrame(
        {
            "family": [name.split(".")[0] for name in phantoms.columns],
            "distance": [
                float(stats.ks_2samp(phantoms[name], real[name], method="asymp").statistic)
                for name in phantoms.columns
            ],
            "phantoms": phantoms.median().to_numpy(),
            "real": real.median().to_numpy(),
        },
        index=phantoms.columns,
    )


def discrimination(
    phantoms: pd.DataFrame, real: pd.DataFrame, patients: NDArray[np.object_]
) -> tuple[scores.Estimate, pd.Series]:
    """AUC, out of fold, of telling phantoms from X-rays, and the share of gain of each feature."""
    table = pd.concat((phantoms, real))
    labels = np.repeat([0.0, 1.0], (len(phantoms), len(real)))
    fold = folds.assign(labels.astype(int), patients, 5, 0)
    raw, gain = np.empty(len(table)), np.zeros(table.shape[1])
    for k in range(5):
        held_out = fold == k
        model = Classifier(rounds=150, seed=k).fit(table[~held_out], labels[~held_out])
        raw[held_out] = model.decision_function(table[held_out])
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
    response = np.abs(ndimage.convolve(pixels, kernel))
    steep = ndimage.gaussian_gradient_magnitude(pixels, 2)
    grey = (pixels > 2 / 255) & (pixels < 253 / 255)
    flat = grey & (steep <= np.median(steep[grey])) if grey.any() else grey
    return 255 * float(np.sqrt(np.pi / 2) * response[flat].mean() / 6) if flat.any() else 0.0


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


def print_pictures(phantoms: pd.DataFrame, real: pd.DataFrame) -> None:
    """The middle 90% of either kind, and how far histograms lie from the mean real one."""
    bins = [name for name in phantoms.columns if name.startswith("bin")]
    centre = real[bins].mean()
    for frame in (phantoms, real):
        frame["histogram to mean real"] = 0.5 * (frame[bins] - centre).abs().sum(axis=1)
    print("\n| image measure | phantoms: 5%, median, 95% | real: 5%, median, 95% | inside |")
    print("|---|---|---|---|")
    for name in (name for name in phantoms.columns if name not in bins):
        ranges = [frame[name].quantile([0.05, 0.5, 0.95]).to_numpy() for frame in (phantoms, real)]
        inside = phantoms[name].between(ranges[1][0], ranges[1][2]).mean()
        texts = [", ".join(f"{value:.3g}" for value in part) for part in ranges]
        print(f"| {name} | {texts[0]} | {texts[1]} | {inside:.0%} |")


def print_distances(table: pd.DataFrame) -> None:
    """Median, share near, the table by family, and the worst features."""
    print(
        f"\nKolmogorov distance of negatives, {len(table)} features: median "
        f"{table['distance'].median():.3f}, {(table['distance'] < NEAR).mean():.0%} below {NEAR}"
    )
    print("\n| family | features | median distance | below |\n|---|---|---|---|")
    for family, part in table.groupby("family"):
        near = (part["distance"] < NEAR).mean()
        print(f"| {family} | {len(part)} | {part['distance'].median():.3f} | {near:.0%} |")
    print("\n| worst features | distance | median phantom | median real |\n|---|---|---|---|")
    for row in table.sort_values("distance", ascending=False).head(SHOWN).itertuples():
        print(f"| {row.Index} | {row.distance:.3f} | {row.phantoms:.4g} | {row.real:.4g} |")


def main(phantom_run: RunFolder, real_run: RunFolder, weak: bool) -> None:
    """Measure and print."""
    phantoms, phantom_features = load(phantom_run)
    real, real_features = load(real_run)
    shared = [name for name in phantom_features.columns if name in real_features.columns]
    phantom_features, real_features = phantom_features[shared], real_features[shared]
    auc = transfer(phantoms, phantom_features, real, real_features)
    print(f"transfer, learned from phantoms alone: AUC {auc}")
    print(f"among phantoms, out of fold: AUC {among_phantoms(phantoms, phantom_features)}")
    phantom_ids, real_ids = negatives(phantoms, False), negatives(real, weak)
    drawn, taken = phantom_features.loc[phantom_ids], real_features.loc[real_ids]
    distance = distances(drawn, taken)
    print_distances(distance)
    patients = (phantoms.loc[phantom_ids, "patient"].add("-phantom"), real.loc[real_ids, "patient"])
    auc, gain = discrimination(drawn, taken, pd.concat(patients).to_numpy(object))
    print(f"\nphantom or real, out of fold: AUC {auc}; it uses most (share of gain, distance):")
    for name in gain.nlargest(USED).index:
        print(f"  {gain[name]:.3f} {distance.loc[name, 'distance']:.2f} {name}")
    paths = phantoms.loc[_some(phantom_ids), "path"], real.loc[_some(real_ids), "path"]
    if all(Path(path).exists() for part in paths for path in part):
        print_pictures(*(pictures(part) for part in paths))


if __name__ == "__main__":
    words = arguments_or_help(__doc__ or "", 2)
    folders = [RunFolder(Path(word)) for word in words if word != "--weak"]
    if len(folders) != 2:
        sys.exit(__doc__)
    main(*folders, "--weak" in words)
