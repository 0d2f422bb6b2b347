"""A trained run that answers on single X-rays, by the code that writes reports and submissions.

A training image of the run is answered by the models of its fold, which have seen neither it nor
its patient; any other image by the mean of all. The mask of an image of the run's test set is its
row of the submission.
"""

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from baseline.evaluation import triage
from baseline.evidence_map import models
from baseline.evidence_map.models import EvidenceModel
from baseline.explanation import one_study, top_zone, trained_run
from baseline.explanation.one_study import StudyExplanation
from baseline.explanation.sentences import Reason, sentences
from baseline.explanation.trained_run import TrainedRun
from baseline.gate import rules
from baseline.gate.results import Gate, read_gate
from baseline.learning import venn_abers
from cnn.data import planes
from cnn.data.geometry import square_bytes
from cnn.devices.compilation import keep_compiled
from cnn.gate import masks, sources
from cnn.gate.runs import together
from cnn.prediction.networks import Networks, load_networks, predict_part
from cnn.prediction.predict import scored_images
from cnn.study.answer import Answer, ModelAnswer, QualityAnswer, Range, Sentence
from cnn.study.mask_answer import headline, mask_answer
from features.reading import images
from features.reading.study import Study
from features.run import digests
from features.run.folder import RunFolder
from features.run.version import VERSION


@dataclass(frozen=True)
class DrawingRun:
    """What draws the U-Net's map of one of the runs whose maps are averaged.

    Parameters
    ----------
    networks : Networks
    evidence : sequence of EvidenceModel
        One a fold, whose maps the networks see beside the X-ray; empty where they see none.
    """

    networks: Networks
    evidence: Sequence[EvidenceModel]


@dataclass(frozen=True)
class Examination:
    """An answer with the pictures it rests on, for those who show it.

    Parameters
    ----------
    answer : Answer
    pixels : (rows, columns) array of float32
        The picture as read, upright and without borders.
    explained : StudyExplanation
        The classifier's side: features, lungs, evidence map, SHAP values.
    grey : (rows, columns) array of uint8
        The map that the mask is cut from; 255 stands for 1.
    mask : (rows, columns) array of bool
        Empty where the gate keeps none.
    """

    answer: Answer
    pixels: NDArray[np.float32]
    explained: StudyExplanation
    grey: sources.GreyMap
    mask: NDArray[np.bool_]


@dataclass(frozen=True)
class Predictor:
    """Answers on single X-rays.

    Parameters
    ----------
    trained : TrainedRun
    gate : Gate
    drawing : tuple of DrawingRun
        The run itself, then those that its gate names.
    digest : str
        Fingerprint of everything that decides an answer.
    """

    trained: TrainedRun
    gate: Gate
    drawing: tuple[DrawingRun, ...]
    digest: str

    @classmethod
    def load(cls, run: Path | RunFolder) -> "Predictor":
        """Read a run that has come as far as its gate.

        Raises
        ------
        UserError
            If a stage is missing, or the files do not belong together.
        """
        folder = (run if isinstance(run, RunFolder) else RunFolder(Path(run))).check()
        trained = trained_run.read(folder)
        trained.check_models()
        gate = read_gate(folder)
        drawing = []
        for number, of_maps in enumerate(together(folder, gate.also)):
            networks = load_networks(of_maps, scored_images(of_maps))
            evidence: Sequence[EvidenceModel] = ()
            if networks.config.evidence:
                evidence = trained.evidence_models if number == 0 else _evidence_models(of_maps)
            drawing.append(DrawingRun(networks, evidence))
        keep_compiled(folder.unet)
        content = hashlib.sha256(folder.gate.read_bytes())
        for path in (folder.calibration, *_digest_files(folder)):
            content.update(path.read_bytes())
        for of_run in drawing:
            content.update(of_run.networks.digest.encode())
        return cls(trained, gate, tuple(drawing), content.hexdigest()[:16])

    def __call__(self, path: Path | str) -> Answer:
        """Answer on an X-ray.

        Raises
        ------
        UnreadableImage
            If the file is missing or is no X-ray.
        """
        return self.examine(path).answer

    def examine(self, path: Path | str) -> Examination:
        """Answer on an X-ray, and keep the pictures.

        Raises
        ------
        UnreadableImage
            If the file is missing or is no X-ray.
        """
        start = time.perf_counter()
        study, pixels = images.read(path)
        explained = one_study.explain_picture(study, pixels, self.trained)
        policy = self.gate.default
        grey = self.grey_map(study, pixels, explained, rules.source(policy))
        mask = self._mask(grey, explained)
        described = mask_answer(mask, study, explained.prepared, policy, rules.source(policy))
        decision = triage.decide(self.trained, explained.fold, explained.raw, explained.quality)
        probability = explained.case.probability()
        answer = Answer(
            id=study.id,
            file=str(path),
            rows=study.place.file[0],
            columns=study.place.file[1],
            headline=headline(probability, decision, described),
            probability=probability,
            probability_range=self._range(explained),
            triage=decision,
            reasons=tuple(map(_sentence, _reasons(explained))),
            mask=described,
            quality=QualityAnswer(
                explained.quality.flagged,
                explained.quality.probability,
                explained.quality.words,
                study.notes,
            ),
            model=ModelAnswer(self.trained.run.root.name, VERSION, self.digest, explained.fold),
            notes=explained.notes,
            milliseconds=round(1e3 * (time.perf_counter() - start), 1),
        )
        return Examination(answer, pixels, explained, grey, mask)

    def grey_map(
        self, study: Study, pixels: NDArray[np.float32], explained: StudyExplanation, source: str
    ) -> sources.GreyMap:
        """A map that masks are cut from, one of `rules.SOURCES`, at the picture's own size."""
        squares: sources.Squares = ()
        if source != "evidence":
            squares = tuple(draw(part, pixels, explained) for part in self.drawing)
        evidence_map = None if source == "unet" else explained.evidence_map
        return sources.draw(squares, evidence_map, (study.rows, study.columns), (source,))[source]

    def _mask(self, grey: sources.GreyMap, explained: StudyExplanation) -> NDArray[np.bool_]:
        """The mask by the gate's default policy."""
        rule, study = self.gate.rules[self.gate.default], explained.study
        zone = top_zone.NONE
        if explained.cells is not None:
            zone = top_zone.of_one_image(explained.case, explained.cells)
        odds = float(sources.log_odds(pd.Series([explained.case.probability()]))[0])
        painted = top_zone.paint(zone, (study.rows, study.columns))
        inputs = masks.measure(grey, painted, None, odds)
        kept = bool(rules.keeps(rule, inputs)[0]) and study.id not in self.trained.run.set_aside()
        return masks.cut(grey, rule.mask_level) & kept

    def _range(self, explained: StudyExplanation) -> Range:
        """Venn-Abers probabilities by the true labels of images that the models have not seen.

        They come by another calibration than the probability itself, which may lie outside them:
        the range holds it too, since neither of the two is known to be the better one.
        """
        oof = self.trained.oof
        others = oof["id"].isin(self.trained.training_ids(explained.fold))
        known = oof[others & oof["label"].notna()]
        labels, raw = (known[name].to_numpy(float) for name in ("label", "raw"))
        probability = explained.case.probability()
        low, high = venn_abers.probability_range(explained.raw, labels, raw)
        return Range(min(low, probability), max(high, probability))


def draw(
    part: DrawingRun, pixels: NDArray[np.float32], explained: StudyExplanation
) -> NDArray[np.float32]:
    """The U-Net's map of one X-ray in [0, 1], on the networks' square.

    It is rounded to levels of 1/255, as a run keeps its maps.
    """
    networks, fold, size = part.networks, explained.fold, part.networks.config.size
    count = len(networks.params)
    evidence = [np.zeros((1, size, size), np.uint8)] * count if networks.config.evidence else []
    for number in range(count) if fold is None else [fold]:
        if networks.config.evidence:
            evidence[number] = _plane(part, number, explained, size)[None]
    image = square_bytes(pixels, size)[None]
    drawn = predict_part(networks, image, pd.Series([fold], dtype="Int64"), evidence)
    return drawn[0].astype(np.float32) / 255


def _plane(
    part: DrawingRun, number: int, explained: StudyExplanation, size: int
) -> NDArray[np.uint8]:
    """The evidence map by the model of one fold, on the networks' square."""
    assert explained.cells is not None  # a run whose networks see the map has one
    evidence_map = models.draw(part.evidence[number], explained.by_lung, explained.cells)
    study = explained.study
    rows = pd.DataFrame({"id": [study.id], "rows": [study.rows], "columns": [study.columns]})
    return next(planes.draw({study.id: evidence_map}, rows, size))


def _evidence_models(run: RunFolder) -> list[EvidenceModel]:
    folds = int(run.dataset.read()["fold"].max()) + 1
    return [models.load(run, fold) for fold in range(folds)]


def _digest_files(run: RunFolder) -> list[Path]:
    """Where the digests of the classifier's and the evidence models' text are noted."""
    folders = (run.classifier(0).parent, run.lung_model(0).parent)
    return [path for folder in folders if (path := folder / digests.NAME).exists()]


def _reasons(explained: StudyExplanation) -> list[Reason]:
    hottest = [explained.hottest] if explained.hottest else []
    return [*sentences(explained.case), *hottest]


def _sentence(reason: Reason) -> Sentence:
    return Sentence(reason.text, reason.name, reason.contribution)
