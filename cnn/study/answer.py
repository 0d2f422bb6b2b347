"""What a run answers on one X-ray: records that become JSON as they stand."""

from dataclasses import dataclass

import msgspec

# Raised when a field changes its name or meaning.
FORMAT = 2


@dataclass(frozen=True)
class Range:
    """A range of probabilities, each from 0 to 1."""

    low: float
    high: float


@dataclass(frozen=True)
class Sentence:
    """One reason.

    Parameters
    ----------
    text : str
        A sentence.
    subject : str
        What it is about: a feature, a zone of the lung, "beside" for what is not meant to measure
        air, or "" for the prediction as a whole.
    log_odds : float
        What its subject adds to the log-odds of pneumothorax.
    """

    text: str
    subject: str
    log_odds: float


@dataclass(frozen=True)
class MaskAnswer:
    """The mask, as a submission has it.

    Parameters
    ----------
    code : str
        Run-length code on the file's own grid (pairs of gap and length, down the columns); "-1" if
        the mask is empty.
    kept : bool
        Whether the gate keeps a mask; if not, the code is "-1".
    policy : str
        The gate's policy that decided.
    source : str
        The map that the mask is cut from: "unet", "evidence" or "joint".
    area : float
        Share of the picture that the mask covers, 0 to 1.
    area_cm2 : float or None
        Its area; None where the file does not say how large a pixel is, or says so small a distance
        that no chest would fit on the picture.
    side : str
        The patient's side on which most of it lies, "right" or "left"; "" if it is empty.
    share_of_lung : float
        Share of that lung's field that it covers, 0 to 1.
    zones : tuple of str
        Zones of the lungs that it touches, the largest part first.
    expected_dice : float or None
        The Dice to expect of it, 0 to 1, counting 0 if there is no pneumothorax
        (`baseline.gate.mask_trust`); None where there is no mask, or too few are known to say.
    dice_at_least : float or None
        What a share of `dice_level` of such masks reach.
    dice_level : float or None
        That share.
    """

    code: str
    kept: bool
    policy: str
    source: str
    area: float
    area_cm2: float | None
    side: str
    share_of_lung: float
    zones: tuple[str, ...]
    expected_dice: float | None = None
    dice_at_least: float | None = None
    dice_level: float | None = None


@dataclass(frozen=True)
class QualityAnswer:
    """Whether the picture is a frontal chest X-ray ready for reading.

    Parameters
    ----------
    flagged : bool
        Whether nothing may rest on it.
    probability : float
        That it is none, 0 to 1.
    words : str
        What seems wrong; "" for nothing.
    notes : tuple of str
        What the file's tags say, a sentence each.
    """

    flagged: bool
    probability: float
    words: str
    notes: tuple[str, ...]


@dataclass(frozen=True)
class ModelAnswer:
    """Which model answered.

    Parameters
    ----------
    name : str
        The run folder's name, or that of the model that ships.
    about : str
        What it has learned from, as a sentence.
    version : str
        Version of the toolkit.
    digest : str
        Fingerprint of classifier, evidence models, networks and gate.
    fold : int or None
        The fold whose models predicted the image, since the others have seen it or its patient;
        None for the mean of all.
    """

    name: str
    about: str
    version: str
    digest: str
    fold: int | None


@dataclass(frozen=True)
class Answer:
    """All that a run says of one X-ray.

    Parameters
    ----------
    id, file : str
        Name of the image, and the file it was read from.
    rows, columns : int
        Size of the file in pixels, on whose grid the mask is coded.
    headline : str
        Probability, triage, side and place in at most 20 words.
    probability : float
        Calibrated probability of pneumothorax, 0 to 1.
    probability_range : Range
        Venn-Abers probabilities (`baseline.learning.venn_abers`) and the probability itself.
    triage : str or None
        "rule out", "refer to a reader" or "rule in"; None where the run's triage was not checked.
    reasons : tuple of Sentence
        At most four: the place, its measure out of the ordinary, what contradicts, what measures no
        air.
    details : tuple of Sentence
        How the probability came about, and where the evidence map is hottest.
    mask : MaskAnswer
    quality : QualityAnswer
    model : ModelAnswer
    notes : tuple of str
        Which models predicted, and what else a reader must know.
    milliseconds : float
        From opening the file to the answer.
    format : int
        Of this record.
    """

    id: str
    file: str
    rows: int
    columns: int
    headline: str
    probability: float
    probability_range: Range
    triage: str | None
    reasons: tuple[Sentence, ...]
    details: tuple[Sentence, ...]
    mask: MaskAnswer
    quality: QualityAnswer
    model: ModelAnswer
    notes: tuple[str, ...]
    milliseconds: float
    format: int = FORMAT

    @property
    def triage_class(self) -> str:
        """The triage without its error rate; "" where there is none."""
        return "" if self.triage is None else self.triage.partition(" (")[0]


@dataclass(frozen=True)
class Refusal:
    """A file that gets no answer.

    Parameters
    ----------
    file : str
    error : str
        One sentence: the file, the rule and the repair.
    """

    file: str
    error: str


def to_json(answer: Answer | Refusal) -> str:
    """An answer as one line of JSON."""
    return msgspec.json.encode(answer).decode()


def schema() -> dict[str, object]:
    """The JSON Schema (draft 2020-12) of an answer."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **msgspec.json.schema(Answer),
    }
