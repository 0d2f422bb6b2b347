"""What the report shows of the gate: curves, deletions and disagreements.

`cnn.gate.report_figures` knows the masks and writes them for the report, which knows no network.
"""

from dataclasses import dataclass

from baseline.learning.scores import Estimate
from features.run import files
from features.run.folder import RunFolder


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
    """What a smallest area deletes of the masks that are kept whatever their area.

    Parameters
    ----------
    least_area : float
        The smallest area, as a share of the image.
    lesions, false_masks : int
        Images with and without pneumothorax whose mask is kept whatever its area.
    lost, removed : int
        How many of each this area empties.
    lost_dice : float
        Sum of the Dice of the lost ones.
    dice : float
        Mean Dice of all images with this area.
    """

    least_area: float
    lesions: int
    false_masks: int
    lost: int
    removed: int
    lost_dice: float
    dice: float


@dataclass(frozen=True)
class AtShare:
    """What masks earn that are cut at a share of their map's top score.

    Parameters
    ----------
    share : float
    dice_on_lesions : float
        Mean Dice of the masks of all images with pneumothorax, none emptied by a gate.
    dice : float
        Mean Dice of all images by the default policy's rule.
    """

    share: float
    dice_on_lesions: float
    dice: float


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
    mask_share, top_probability, least_area : float
        At which share of their map's top score the default policy cuts its masks, above which level
        it counts their area, and the smallest area that it keeps.
    curves : tuple of Curve
        One a policy, in the order of `rules.POLICIES`.
    by_mask : tuple of Deleted
        One a smallest area, of masks that are kept whatever the classifier says.
    by_rule : tuple of Deleted or None
        The same of masks that the default policy's rule keeps; None if it keeps none.
    at_shares : tuple of AtShare
        One a share of the top score.
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
    mask_share: float
    top_probability: float
    least_area: float
    curves: tuple[Curve, ...]
    by_mask: tuple[Deleted, ...]
    by_rule: tuple[Deleted, ...] | None
    at_shares: tuple[AtShare, ...]
    against: str
    emptied: Disagreement
    added: Disagreement


def read_figures(run: RunFolder) -> GateFigures | None:
    """Read cnn/gate_figures.json back, None where the run has none.

    Raises
    ------
    UserError
        If it is damaged.
    """
    return files.read_record(run.gate_figures, GateFigures) if run.gate_figures.exists() else None
