"""What the tags say a DICOM shows: no chest, no frontal view, a turned one; refused or noted."""

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from features.reading import images
from features.storage.unreadable import UnreadableImage
from tests.helpers.image_files import write_dicom

# Values that the standard does not allow, and pydicom warns of as they are written here.
pytestmark = pytest.mark.filterwarnings(
    "ignore:Invalid value for VR:UserWarning", "ignore:The value length:UserWarning"
)


@pytest.fixture
def picture() -> np.ndarray:
    """A slope of many greys, (96, 80)."""
    return np.add.outer(np.arange(96), np.arange(80)).astype(np.uint8)


@pytest.mark.parametrize("modality", ["CT", "MR", "US", "PT", "NM", "MG"])
def test_other_modalities_are_refused(tmp_path, picture, modality):
    with pytest.raises(UnreadableImage, match=rf"Modality \(0008,0060\) is {modality}"):
        images.read(write_dicom(tmp_path / "a.dcm", picture, Modality=modality))


def test_doubts_are_noted(tmp_path, picture):
    tags = {"BodyPartExamined": "KNEE", "PresentationIntentType": "FOR PROCESSING"}
    notes = images.read(write_dicom(tmp_path / "a.dcm", picture, **tags))[0].notes
    assert len(notes) == 2 and "KNEE" in notes[0] and "FOR PROCESSING" in notes[1]
    for part in ("CHEST", "Thorax", "CHEST_TO_ABDOMEN", ""):
        path = write_dicom(tmp_path / "a.dcm", picture, BodyPartExamined=part)
        assert images.read(path)[0].notes == ()


@pytest.mark.parametrize(
    "view",
    ["LLAT", "RLAT", "LAT", "Lateral", "XTABLE LATERAL", "LEFT LATERAL", "L.LAT", "LATERO-LATERAL"],
)
def test_lateral_views_by_other_words(tmp_path, picture, view):
    with pytest.raises(UnreadableImage, match="a lateral view"):
        images.read(write_dicom(tmp_path / "a.dcm", picture, ViewPosition=view))


@pytest.mark.parametrize("code", ["399198007", "399173006", "R-10232", "R-10236"])
def test_lateral_views_by_code(tmp_path, picture, code):
    view = Dataset()
    view.CodeValue, view.CodingSchemeDesignator, view.CodeMeaning = code, "SCT", ""
    path = write_dicom(tmp_path / "a.dcm", picture, ViewCodeSequence=Sequence([view]))
    with pytest.raises(UnreadableImage, match=rf"ViewCodeSequence \(0054,0220\) is {code}"):
        images.read(path)


@pytest.mark.parametrize(
    ("written", "view"),
    [
        ("POSTERO_ANTERIOR", "PA"),
        ("A.P.", "AP"),
        ("AP SUPINE", "AP"),
        ("PA ERECT", "PA"),
        ("LATERAL DECUBITUS", None),
        ("PA AND LAT", None),
    ],
)
def test_frontal_views_by_other_words(tmp_path, picture, written, view):
    path = write_dicom(tmp_path / "a.dcm", picture, ViewPosition=written)
    assert images.read(path)[0].view == view


@pytest.mark.parametrize("tag", [["F", "L"], ["H", "R"], ["f", "r"], ["FL", "LH"], ["", "L"]])
def test_quarter_turns_are_refused(tmp_path, picture, tag):
    with pytest.raises(UnreadableImage, match=r"turned by a quarter, tag PatientOrientation"):
        images.read(write_dicom(tmp_path / "a.dcm", picture, PatientOrientation=tag))
