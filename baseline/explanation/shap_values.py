"""SHAP values of every predicted image, computed once and read by all later stages.

In calibrated log-odds, so that base and values add up to the probability that is printed. Each
image is explained by the models that predict it, see `baseline.explanation.attributions`.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from baseline.explanation import attributions, trained_run
from baseline.explanation.attributions import TOLERANCE, Explanation
from baseline.explanation.trained_run import TrainedRun
from features.dataset.folds import by_fold
from features.run import command
from features.run.files import UserError
from features.run.folder import RunFolder


@dataclass(frozen=True)
class Settings:
    """Compute the SHAP values of RUN into RUN/baseline/shap.parquet."""

    run: Path
    """Run folder with a trained classifier."""


def explain_run(trained: TrainedRun) -> Explanation:
    """SHAP values of all predicted images, in calibrated log-odds."""
    raw = attributions.explain(trained.boosters, trained.features, trained.fold)
    slopes, intercepts = np.empty((2, len(trained.fold)))
    for fold, rows in by_fold(trained.fold):
        slopes[rows] = trained.calibrations[fold].slope
        intercepts[rows] = trained.calibrations[fold].intercept
    return attributions.calibrated(raw, slopes, intercepts)


def main(settings: Settings) -> None:
    """Write shap_by_place.parquet and shap.parquet."""
    run = RunFolder(settings.run).check()
    trained = trained_run.read(run)
    explanation = explain_run(trained)
    gap = np.abs(explanation.scores - trained.calibrated)
    if not gap.max(initial=0.0) <= TOLERANCE:
        raise UserError(
            f"{run.oof.path.parent}: the prediction of {explanation.ids[int(gap.argmax())]} is not "
            "that of the saved models; run `make classifier` again."
        )
    start = pd.DataFrame({"id": explanation.ids, "base": explanation.base})
    places = attributions.by_place(explanation, trained.right).reset_index(drop=True)
    values = pd.DataFrame(explanation.values, columns=list(explanation.names))
    run.shap.path.unlink(missing_ok=True)  # written last: the mark that both are there
    run.shap_by_place.write(pd.concat((start, places), axis=1))
    run.shap.write(pd.concat((start, values), axis=1))
    print(f"SHAP values of {len(start)} images and {values.shape[1]} features: {run.shap.path}")


if __name__ == "__main__":
    command.run(main)
