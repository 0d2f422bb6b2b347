"""Packs a run as the model that ships: ``python -m cnn.study.ship --run RUN``.

The run has learned from phantoms alone. Its masks are cut from the evidence map, at the share of
its top score at which they agree best with the phantoms' own, and kept by the rule that is best for
the phantoms; both are chosen on predictions out of fold. ``make pretrained`` makes it.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from baseline.explanation import trained_run
from baseline.gate import choose, rules
from baseline.gate.rules import GateInputs, Rule
from cnn.gate import scored_images
from cnn.gate.sources import SourceMaps
from cnn.study import shipped_model
from features.run import command
from features.run.files import UserError
from features.run.folder import RunFolder

POLICY = "handcrafted"
SOURCE = rules.source(POLICY)


@dataclass(frozen=True)
class Settings:
    """Pack a run as the model that ships with the program."""

    run: Path
    """Run folder on phantoms that has come as far as its SHAP values."""
    out: Path = shipped_model.FOLDER
    """Folder to write."""


def rule_for(inputs: GateInputs) -> Rule:
    """The rule by which masks are kept, cut at the share that is best for those with a lesion."""
    share = int(inputs.dice[inputs.positive == 1].mean(axis=0).argmax())
    return replace(choose.choose(POLICY, inputs), mask_share=share)


def main(settings: Settings) -> None:
    """Write the folder and print its size.

    Raises
    ------
    UserError
        If the run is not one of phantoms.
    """
    run = RunFolder(settings.run).check()
    trained = trained_run.read(run)
    trained.check_models()
    path = Path(trained.dataset["path"].iloc[0])
    if not any((folder / "parameters.json").exists() for folder in path.parents):
        raise UserError(
            f"{run.root}: not made from phantoms, and a model that ships must know no patient; "
            "run `make pretrained`."
        )
    rows = scored_images.labelled(run)
    measured = SourceMaps((run,)).measure(rows, (SOURCE,))
    inputs = rules.join(
        [of_image[SOURCE] for _, of_image in command.progress(measured, "scoring", len(rows))]
    )
    rule = rule_for(inputs)
    dice = inputs.dice[inputs.positive == 1, rule.mask_share].mean()
    print(f"masks cut at {rules.MASK_SHARES[rule.mask_share]}% of the top score: Dice {dice:.3f}")
    print(f"behind the gate, all images: mean Dice {np.mean(rules.earned(rule, inputs)):.3f}")
    about = f"It has learned from {len(trained.oof)} phantoms alone, from no patient."
    size = shipped_model.pack(trained, rule, about, settings.out)
    print(f"{settings.out}: {size / 1e6:.2f} MB")


if __name__ == "__main__":
    command.run(main, writes=False)
