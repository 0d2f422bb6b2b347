"""What the gate writes down: its rules, and the score of every policy.

The files are written by `cnn.gate.evaluate`, which knows the masks. The records stand here, so that
the report, which knows no network, can read them.
"""

from dataclasses import dataclass

from baseline.gate import mask_trust
from baseline.gate.mask_trust import MaskTrust
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
        The policy that is used unless another is given.
    also : tuple of str
        Further run folders whose U-Net maps were averaged with the run's own.
    rules : dict of str to Rule
        The rule of each policy, chosen on all images with a mask, known or weak.
    trust : MaskTrust or None
        What the default policy's masks may be trusted for; None where too few are kept to say.
    """

    default: str
    also: tuple[str, ...]
    rules: dict[str, Rule]
    trust: MaskTrust | None = None


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
        Mean Dice over the images with pneumothorax, cut at the best share of the top score.
    dice_nested : Estimate
        The same, each image at the share that is best for the other folds.
    at_share : float
        The best share.
    top_score_auc : Estimate
        How well the map's top score tells the images with pneumothorax from those without.
    """

    dice_on_positives: Estimate
    dice_nested: Estimate
    at_share: float
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
    if gate.trust is not None:
        problem = problem or mask_trust.fault(gate.trust)
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
