"""Answers on single X-rays, by the code that writes reports and submissions.

The models are a trained run's, or those that ship. A training image of a run is answered by the
models of its fold, which have seen neither it nor its patient; any other image by the mean of all.
The mask of an image of a run's test set is its row of the submission.
"""

import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from baseline.evaluation import triage
from baseline.explanation import one_study, top_zone
from baseline.explanation.one_study import StudyExplanation
from baseline.explanation.sentences import Reason, sentences
from baseline.gate import mask_trust, rules
from baseline.learning import venn_abers
from cnn.gate import masks, sources
from cnn.study import shipped_model
from cnn.study.answer import Answer, MaskAnswer, ModelAnswer, QualityAnswer, Range, Sentence
from cnn.study.mask_answer import headline, mask_answer
from cnn.study.model import AnsweringModel
from features.reading import images
from features.reading.study import Study
from features.run.version import VERSION


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
    model : AnsweringModel
    """

    model: AnsweringModel

    @classmethod
    def load(cls, run: Path | str | None = None) -> "Predictor":
        """Read a run that has come as far as its gate, or the model that ships where none is given.

        Raises
        ------
        UserError
            If a file is missing, or the files do not belong together.
        """
        if run is None:
            return cls(shipped_model.read())
        from cnn.study import run_model  # networks and JAX, which take seconds

        return cls(run_model.read(Path(run)))

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
        explained = one_study.explain_picture(study, pixels, self.model.models)
        rule = self.model.gate.rules[self.model.gate.default]
        source = rules.source(self.model.gate.default)
        maps, of_source = sources.measure_image(self._inputs(study, pixels, explained, source))
        grey, inputs = maps[source], of_source[source]
        kept = bool(rules.keeps(rule, inputs)[0]) and study.id not in self.model.set_aside
        mask = masks.cut(grey, rule.mask_share) & kept
        answer = self._answer(str(path), explained, self._described(mask, inputs, explained))
        milliseconds = round(1e3 * (time.perf_counter() - start), 1)
        return Examination(
            replace(answer, milliseconds=milliseconds), pixels, explained, grey, mask
        )

    def _answer(self, path: str, explained: StudyExplanation, mask: MaskAnswer) -> Answer:
        model, study, quality = self.model, explained.study, explained.quality
        probability = explained.case.probability()
        start, *reasons = sentences(explained.case)
        hottest = [explained.hottest] if explained.hottest else []
        decision = triage.decide(
            explained.raw, model.models.known(explained.fold), model.error_rate, quality
        )
        return Answer(
            id=study.id,
            file=path,
            rows=study.place.file[0],
            columns=study.place.file[1],
            headline=headline(probability, decision, mask),
            probability=probability,
            probability_range=self._range(explained),
            triage=decision,
            reasons=tuple(map(_sentence, reasons)),
            details=tuple(map(_sentence, (start, *hottest))),
            mask=mask,
            quality=QualityAnswer(quality.flagged, quality.probability, quality.words, study.notes),
            model=ModelAnswer(model.name, model.about, VERSION, model.digest, explained.fold),
            notes=explained.notes,
            milliseconds=0.0,
        )

    def _described(
        self, mask: NDArray[np.bool_], inputs: rules.GateInputs, explained: StudyExplanation
    ) -> MaskAnswer:
        """The mask, and what it may be trusted for."""
        policy, trust = self.model.gate.default, self.model.gate.trust
        described = mask_answer(
            mask, explained.study, explained.prepared, policy, rules.source(policy)
        )
        if trust is None or not described.kept:
            return described
        expected, at_least = mask_trust.predict(trust, inputs)
        return replace(
            described,
            expected_dice=float(expected[0]),
            dice_at_least=float(at_least[0]),
            dice_level=trust.level,
        )

    def grey_map(
        self, study: Study, pixels: NDArray[np.float32], explained: StudyExplanation, source: str
    ) -> sources.GreyMap:
        """A map that masks are cut from, one of `rules.SOURCES`, at the picture's own size."""
        return sources.draw_image(self._inputs(study, pixels, explained, source))[source]

    def _inputs(
        self, study: Study, pixels: NDArray[np.float32], explained: StudyExplanation, source: str
    ) -> sources.ImageInputs:
        """What a map of the X-ray is drawn from, and what the gate decides by."""
        squares: sources.Squares = ()
        if source != "evidence":
            from cnn.study.drawing import draw

            squares = tuple(draw(part, pixels, explained) for part in self.model.drawing)
        probability = pd.Series([explained.case.probability()])
        return sources.ImageInputs(
            squares=squares,
            evidence_map=None if source == "unet" else explained.evidence_map,
            shape=(study.rows, study.columns),
            sources=(source,),
            zone=top_zone.of_one_image(explained.case, explained.cells),
            truth=None,
            log_odds=float(sources.log_odds(probability)[0]),
        )

    def _range(self, explained: StudyExplanation) -> Range:
        """Venn-Abers probabilities by the true labels of images that the models have not seen.

        They come by another calibration than the probability itself, which may lie outside them:
        the range holds it too, since neither of the two is known to be the better one.
        """
        labels, raw = self.model.models.known(explained.fold)
        probability = explained.case.probability()
        low, high = venn_abers.probability_range(explained.raw, labels, raw)
        return Range(min(low, probability), max(high, probability))


def _sentence(reason: Reason) -> Sentence:
    return Sentence(reason.text, reason.name, reason.contribution)
