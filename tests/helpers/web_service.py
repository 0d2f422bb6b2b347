"""A service whose model answers at once: lungs are two boxes, the mask lies in the right one."""

import io
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from starlette.testclient import TestClient

from baseline.evidence_map.maps import EvidenceMap
from baseline.explanation.case import Case
from baseline.explanation.one_study import StudyExplanation
from cnn.gate.sources import GreyMap
from cnn.page.outlines import Outlines
from cnn.page.samples import Sample
from cnn.page.ward import Ward
from cnn.study.answer import Answer, ModelAnswer, QualityAnswer, Range, Sentence
from cnn.study.mask_answer import headline, mask_answer
from cnn.study.predictor import Examination
from cnn.web import app
from cnn.web.service import ModelFacts, Service
from cnn.web.settings import Limits
from cnn.web.token import Token
from features.quality.gate import Quality
from features.reading import images
from features.reading.study import Study
from tests.helpers import box_lungs
from tests.helpers.web_uploads import png

FEATURES = ("firstorder.right_rim.mean", "firstorder.left_rim.mean", "shape.image.width")
PROBABILITY, RANGE = 0.75, Range(0.6, 0.8)
NASTY = '"><script>alert(1)</script><img src="http://evil.example/x">'
WARD = Ward("triage", 50, 150, 40, 15, 2, 90)
FACTS = ModelFacts("0.900 [0.850, 0.940]", "joint (masks cut from the joint map)")


class FakePredictor:
    """Answers like a predictor, by the real reader and a made-up model.

    While `gate` is not set, it waits. `truth` is what the run knows of every image, and
    `threads` are those that asked.
    """

    def __init__(self, truth: str | None = None, source: str = "joint") -> None:
        self.gate = threading.Event()
        self.gate.set()
        self.begun = threading.Event()
        self.truth, self.source = truth, source
        self.threads: set[int] = set()
        self.fault: Exception | None = None
        self.quality = QualityAnswer(False, 0.01, "", ())

    def __call__(self, path: Path | str) -> Answer:
        return self.examine(path).answer

    def examine(self, path: Path | str) -> Examination:
        self.threads.add(threading.get_ident())
        self.begun.set()
        self.gate.wait(10)
        if self.fault is not None:
            raise self.fault
        study, pixels = images.read(path)
        explained = _explained(study, self.truth)
        mask = np.zeros(pixels.shape, bool)
        rows, columns = pixels.shape
        mask[rows // 4 : rows // 2, columns // 8 : columns // 4] = True
        said = mask_answer(mask, study, explained.prepared, "joint", self.source)
        answer = Answer(
            id=study.id,
            file=str(path),
            rows=study.place.file[0],
            columns=study.place.file[1],
            headline=headline(PROBABILITY, "rule in", said),
            probability=PROBABILITY,
            probability_range=RANGE,
            triage="rule in (stated error rate 10% of each class)",
            reasons=(Sentence(f"A reason: {NASTY}.", FEATURES[0], 1.0),),
            details=(Sentence("A detail.", "", 1.0),),
            mask=replace(said, expected_dice=0.5, dice_at_least=0.25, dice_level=0.9),
            quality=self.quality,
            model=ModelAnswer("fake", "It has learned nothing.", "0", "0123456789abcdef", None),
            notes=("A note.",),
            milliseconds=1.0,
        )
        return Examination(answer, pixels, explained, np.where(mask, 200, 0).astype(np.uint8), mask)

    def grey_map(
        self, study: Study, pixels: NDArray[np.float32], explained: StudyExplanation, source: str
    ) -> GreyMap:
        assert source == "unet"
        return np.full(pixels.shape, 51, np.uint8)


def _explained(study: Study, truth: str | None) -> StudyExplanation:
    """Three measures, a map of one warm cell."""
    prepared = box_lungs.prepared(np.zeros((512, 512)))
    case = Case(FEATURES, np.array([1.2, -0.3, 0.2]), 0.0, np.array([97.0, 40, 50]), np.ones(3))
    warm = EvidenceMap(*np.divmod(np.arange(64 * 64), 64), *np.full((2, 64 * 64), 0.25, np.float32))
    quality = Quality(0.01, "good", "", False)
    return StudyExplanation(
        study, None, 1.0, case, truth, (), quality, prepared, None, None, (warm,)
    )


def sample() -> Sample:
    """A picture of noise whose truth is its upper left pixel."""
    truth = np.zeros((64, 64), bool)
    truth[:32, :32] = True
    return Sample("phantom-1.dcm", "a sample", png(), b"jpeg", truth)


def make_service(
    predictor: FakePredictor, outlines: Outlines | None = None, **limits: float
) -> Service:
    """A service with one sample."""
    return Service(predictor, (sample(),), WARD, FACTS, Limits(**limits), outlines)


def client_of(service: Service, token: Token | None = None) -> TestClient:
    """A visitor of a service."""
    address = "http://127.0.0.1:8000"
    return TestClient(app.build(service, token), base_url=address, follow_redirects=False)


def send(
    client: TestClient, name: str = "a.png", content: bytes | None = None, **options: Any
) -> Any:
    """The response to an upload, of a picture of noise unless another is given."""
    files = {"file": (name, png() if content is None else content)}
    return client.post("/studies", files=files, **options)


def array(client: TestClient, address: str) -> NDArray[np.uint8]:
    """The pixels of a picture of the service."""
    return np.asarray(Image.open(io.BytesIO(client.get(address).content)))


def left(folder: Path) -> list[Path]:
    """All files that lie below a folder."""
    return [path for path in folder.rglob("*") if path.is_file()]
