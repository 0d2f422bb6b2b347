"""What the gate writes down: its rules, the score of every policy, and what the report shows of it.

The files are written by `cnn.gate.evaluate`, which knows the masks. The records stand here, so that
the report, which knows no network, can read them.
"""

from dataclasses import dataclass

from baseline.gate.rules import POLICIES, SOURCES, Rule, fault
from baseline.learning.scores import Estimate
from features.run import files
from features.run.files import UserError
from features.run.folder import RunFolder


@dataclass(frozen=True)
class Gate:
    """Content of gate.json.

    Parameters
    ----------
    default : str
        The policy that is used unless another is asked for.
    also : tuple of str
        Further run folders whose U-Net maps were averaged with the run's own.
    rules : dict of str to Rule
        The rule of each policy, chosen on all labelled images.
    """

    default: str
    also: tuple[str, ...]
    rules: dict[str, Rule]


@dataclass(frozen=True)
class PolicyScores:
    """Mean Dice of a policy.

    Parameters
    ----------
    dice : Estimate
        Over all images.
    positives, negatives : Estimate or None
        Over those with and without pneumothorax; None where there is none.
    """

    dice: Estimate
    positives: Estimate | None
    negatives: Estimate | None


@dataclass(frozen=True)
class Scoreboard:
    """Scores of all policies on the same images.

    Parameters
    ----------
    images, positives, patients : int
        How many were scored.
    left_out : int
        Images that were not scored, since their patients have training images.
    policies : dict of str to PolicyScores
        By policy, in the order of `rules.POLICIES`.
    chosen_inside : PolicyScores or None
        Of the default policy, where the policy too is chosen on other images; None on the test set.
    """

    images: int
    positives: int
    patients: int
    left_out: int
    policies: dict[str, PolicyScores]
    chosen_inside: PolicyScores | None


@dataclass(frozen=True)
class MaskScores:
    """What the masks of one source are worth without any gate.

    Parameters
    ----------
    dice_on_positives : Estimate
        Mean Dice over the images with pneumothorax at their best level.
    dice_nested : Estimate
        The same, each image at the level that is best for the other folds.
    at_probability : float
        The best level, as a probability.
    top_score_auc : Estimate
        How well the map's top score tells the images with pneumothorax from those without.
    """

    dice_on_positives: Estimate
    dice_nested: Estimate
    at_probability: float
    top_score_auc: Estimate


@dataclass(frozen=True)
class GateMetrics:
    """Content of metrics.json.

    Parameters
    ----------
    default : str
        The default policy.
    also : tuple of str
        As in `Gate`.
    mask_alone : dict of str to MaskScores
        By source of the map, in the order of `rules.SOURCES`.
    out_of_fold : Scoreboard
        Of the labelled images, each under a rule that was chosen on other folds.
    test : Scoreboard or None
        Of the test images, where their truth is known.
    """

    default: str
    also: tuple[str, ...]
    mask_alone: dict[str, MaskScores]
    out_of_fold: Scoreboard
    test: Scoreboard | None


@dataclass(frozen=True)
class Curve:
    """Mean Dice of a policy against its threshold.

    Parameters
    ----------
    policy : str
    threshold : float or None
        The chosen one: an area as a share of the image for "unet", else log-odds. None for a rule
        that empties every mask.
    dice : float
        Mean Dice of the chosen rule on the images that it was chosen on.
    kept : int
        Images whose mask the chosen rule keeps.
    nested : Estimate
        Mean Dice, each image under a rule that was chosen on other folds.
    points : tuple of (threshold, mean Dice)
        In ascending order, the chosen threshold among them; empty without a threshold. Between two
        thresholds the mean is that of the upper one, beyond the last one it is that of all-empty.
    """

    policy: str
    threshold: float | None
    dice: float
    kept: int
    nested: Estimate
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Deleted:
    """What a stricter setting deletes of the masks that the loosest one keeps.

    Parameters
    ----------
    setting : float
        A smallest area, as a share of the image, or the probability at which the map is cut.
    lesions, false_masks : int
        Images with and without pneumothorax whose mask the loosest setting keeps.
    lost, removed : int
        How many of each this setting empties.
    lost_dice : float
        Sum of the Dice of the lost ones.
    dice : float
        Mean Dice of all images at this setting.
    dice_on_lesions : float
        Mean Dice of the masks of all images with pneumothorax, none emptied by a gate.
    """

    setting: float
    lesions: int
    false_masks: int
    lost: int
    removed: int
    lost_dice: float
    dice: float
    dice_on_lesions: float


@dataclass(frozen=True)
class Deletions:
    """What every smallest area and every mask level deletes."""

    areas: tuple[Deleted, ...]
    levels: tuple[Deleted, ...]


@dataclass(frozen=True)
class DisputedCase:
    """An image on which the ungated U-Net and the gate decide differently.

    Parameters
    ----------
    id : str
    probability : float
        The classifier's.
    positive : bool
        Whether there is a pneumothorax.
    dice : float
        Of the mask that one of them keeps.
    change : float
        Dice that the gate earns more than the U-Net alone.
    """

    id: str
    probability: float
    positive: bool
    dice: float
    change: float


@dataclass(frozen=True)
class Disagreement:
    """Images on which only one of two policies keeps the mask.

    Parameters
    ----------
    images, lesions, healthy : int
        All of them, and those with and without pneumothorax.
    change : float
        Dice that the gate earns more on them, summed.
    cases : tuple of DisputedCase
        Those that change most.
    """

    images: int
    lesions: int
    healthy: int
    change: float
    cases: tuple[DisputedCase, ...]


@dataclass(frozen=True)
class GateFigures:
    """Content of cnn/gate_figures.json: what the report shows of the gate.

    Parameters
    ----------
    default : str
        The default policy.
    images, positives : int
        Labelled images, and those with pneumothorax.
    all_empty : float
        Mean Dice of the all-empty submission.
    mean_log_odds : float
        Of the classifier; it tells whether the predictions have changed since.
    source : str
        The map that the default policy cuts, one of `rules.SOURCES`.
    mask_probability, top_probability, least_area : float
        Where the default policy cuts its masks, above which level it counts their area, and the
        smallest area that it keeps.
    curves : tuple of Curve
        One a policy, in the order of `rules.POLICIES`.
    by_mask : Deletions
        Of masks that are kept whatever the classifier says.
    by_rule : Deletions or None
        Of masks that the default policy's rule keeps; None if it keeps none.
    against : str
        The policy that is compared with the ungated U-Net: "the gate" of the following.
    emptied, added : Disagreement
        The U-Net alone keeps the mask and the gate does not, and the other way round.
    """

    default: str
    images: int
    positives: int
    all_empty: float
    mean_log_odds: float
    source: str
    mask_probability: float
    top_probability: float
    least_area: float
    curves: tuple[Curve, ...]
    by_mask: Deletions
    by_rule: Deletions | None
    against: str
    emptied: Disagreement
    added: Disagreement


def read_gate(run: RunFolder) -> Gate:
    """Read gate.json back.

    Raises
    ------
    UserError
        If it is missing, is damaged, or holds a rule that `cnn.gate.evaluate` never writes.
    """
    gate = files.read_record(run.gate, Gate)
    problem = ""
    if gate.default not in gate.rules:
        problem = f"default = {gate.default!r} is none of its rules"
    for policy, rule in gate.rules.items():
        problem = problem or fault(rule)
        if policy != rule.policy and rule.policy != "empty":
            problem = problem or f"the rule of {policy} is one of {rule.policy}"
    if problem:
        raise UserError(f"{run.gate}: {problem}; delete it and run `make gate` again.")
    return gate


def read_metrics(run: RunFolder) -> GateMetrics:
    """Read metrics.json back.

    Raises
    ------
    UserError
        If it is missing, is damaged, or lacks a policy.
    """
    metrics = files.read_record(run.metrics, GateMetrics)
    boards = [metrics.out_of_fold, *([metrics.test] if metrics.test else [])]
    whole = all(tuple(board.policies) == POLICIES for board in boards)
    if not whole or tuple(metrics.mask_alone) != SOURCES or metrics.default not in POLICIES:
        raise UserError(
            f"{run.metrics}: not the scores of {', '.join(POLICIES)}; delete it and run "
            "`make gate` again."
        )
    return metrics


def read_figures(run: RunFolder) -> GateFigures | None:
    """Read cnn/gate_figures.json back, None where the run has none.

    Raises
    ------
    UserError
        If it is damaged.
    """
    return files.read_record(run.gate_figures, GateFigures) if run.gate_figures.exists() else None
