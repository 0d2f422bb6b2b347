"""The service without HTTP: takes uploads, has them answered one by one, keeps what is shown."""

import io
import shutil
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from baseline.explanation.one_study import StudyExplanation
from cnn.gate.sources import GreyMap
from cnn.page import drawing
from cnn.page.outlines import Outlines
from cnn.page.samples import Sample
from cnn.page.shown import Shown
from cnn.page.ward import Ward
from cnn.study.predictor import Examination
from cnn.web import uploads
from cnn.web.kept import Kept
from cnn.web.meters import Meters
from cnn.web.refusals import Refused
from cnn.web.settings import Limits
from cnn.web.uploads import Upload
from cnn.web.worker import Worker
from features.reading.study import Study
from features.run import interrupts
from features.storage.unreadable import UnreadableImage


class Answering(Protocol):
    """What the service needs of a `cnn.study.predictor.Predictor`."""

    def examine(self, path: Path | str) -> Examination:
        """Answer on an X-ray, and keep the pictures."""

    def grey_map(
        self,
        study: Study,
        pixels: NDArray[np.float32],
        explained: StudyExplanation,
        source: str,
    ) -> GreyMap:
        """A map that masks are cut from."""


@dataclass(frozen=True)
class ModelFacts:
    """What the page says of the model that answers.

    Parameters
    ----------
    auc : str
        How well it tells images with and without pneumothorax apart that it has not seen, with a
        95% interval; "" where that is not known here.
    policy : str
        What decides whether a mask is kept.
    has_unet : bool
        Whether it has a network that draws.
    """

    auc: str
    policy: str
    has_unet: bool = True


class Service:
    """Answers uploads.

    Parameters
    ----------
    predictor : Answering
    samples : tuple of Sample
    ward : Ward
    model : ModelFacts
    limits : Limits
    outlines : Outlines, optional
        Where readers' outlines go; without it the page has no pen.
    """

    def __init__(
        self,
        predictor: Answering,
        samples: tuple[Sample, ...],
        ward: Ward,
        model: ModelFacts,
        limits: Limits,
        outlines: Outlines | None = None,
    ) -> None:
        self.outlines = outlines
        self.samples, self.ward, self.model, self.limits = samples, ward, model, limits
        self.meters = Meters()
        self.kept = Kept(limits.keep_seconds, limits.keep_studies)
        self.pace = 1.0  # seconds of the last answer
        self._predictor = predictor
        self._worker = Worker(limits.answer_seconds)
        self._folder = Path(tempfile.mkdtemp(prefix="pneumothorax-"))
        interrupts.temporaries.add(self._folder)

    async def answer(self, upload: Upload) -> tuple[str, Shown]:
        """Have an upload answered, and keep what is shown of it under the name that is returned.

        Raises
        ------
        Refused
            If the file is no X-ray, or the answer takes too long.
        """
        try:
            shown = await self._worker.do(partial(self._show, upload))
        except UnreadableImage as error:
            self.meters.count("refused")
            raise Refused(422, str(error)) from None
        except TimeoutError:
            self.meters.count("too_slow")
            raise Refused(
                503,
                f"{uploads.plain_name(upload.name)}: no answer within "
                f"{self.limits.answer_seconds:g} seconds; try again later.",
                self.retry_after(),
            ) from None
        except Exception:
            self.meters.count("fault")
            raise
        self.meters.count("answered")
        name = self.kept.add(shown)
        self.meters.kept.set(self.kept.sweep())
        return name, shown

    async def sample(self, number: int) -> tuple[str, Shown]:
        """Have one of the phantoms answered, counted from 1."""
        chosen = self.samples[number - 1]
        return await self.answer(Upload(chosen.name, io.BytesIO(chosen.content), chosen.truth))

    async def warm_up(self) -> None:
        """Answer a phantom for nobody, so that the first visitor waits for no compilation."""
        if self.samples:
            first = self.samples[0]
            with suppress(TimeoutError):
                upload = Upload(first.name, io.BytesIO(first.content))
                await self._worker.do(partial(self._show, upload))

    def retry_after(self) -> int:
        """Seconds until the uploads that wait now have their answers."""
        return max(1, round(self.pace * self.limits.uploads))

    def close(self) -> None:
        """Take no more uploads, and leave nothing on the disk."""
        self._worker.close()
        shutil.rmtree(self._folder, ignore_errors=True)
        interrupts.temporaries.discard(self._folder)

    def _show(self, upload: Upload) -> Shown:
        """In the worker's thread: read, answer, draw; the file is gone afterwards."""
        start = time.perf_counter()
        name = uploads.plain_name(upload.name)
        with uploads.on_disk(upload, self._folder) as path:
            try:
                examination = self._predictor.examine(path)
            except UnreadableImage as error:
                # The visitor's file has another place than the visitor's name for it.
                raise UnreadableImage(str(error).replace(str(path), name)) from error
        answer = replace(examination.answer, file=name)
        examination = replace(examination, answer=answer)
        shown = drawing.show(examination, self._unet(examination), upload.truth)
        self.pace = time.perf_counter() - start
        self.meters.seconds.observe(self.pace)
        return shown

    def _unet(self, examination: Examination) -> GreyMap | None:
        """The U-Net's own map, whichever the mask is cut from; None for a model without one."""
        if not self.model.has_unet:
            return None
        if examination.answer.mask.source == "unet":
            return examination.grey
        explained = examination.explained
        return self._predictor.grey_map(explained.study, examination.pixels, explained, "unet")
