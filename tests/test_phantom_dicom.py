"""The DICOM files of phantoms: they say that they are phantoms, and how the patient was placed."""

from types import SimpleNamespace

import numpy as np
from pydicom.sr.codedict import codes

from features.phantom import dicom
from features.phantom.radiograph import phantom


def test_phantoms_are_known_by_their_tag(tmp_path):
    exposure = SimpleNamespace(pose="supine")
    pixels = np.zeros((64, 64), np.uint8)
    drawn = SimpleNamespace(
        view="AP", sex="F", age=50, exposure=exposure, pixels=pixels, spacing_mm=0.2
    )
    path = tmp_path / "ID_00000001.dcm"
    dicom.to_dicom(drawn, path.stem).save_as(path)
    assert dicom.is_phantom(path)
    of_a_person = dicom.to_dicom(drawn, path.stem)
    of_a_person.PatientName = "Doe^Jane"
    of_a_person.save_as(path)
    assert not dicom.is_phantom(path)
    (tmp_path / "a.png").write_bytes(b"no DICOM")
    assert not dicom.is_phantom(tmp_path / "a.png")
    assert not dicom.is_phantom(tmp_path / "gone.dcm")


def test_files_say_whether_the_patient_stood_or_lay() -> None:
    poses = {}
    for seed in range(40):
        image = phantom(seed, pneumothorax=False, size=64)
        if image.exposure.pose not in poses:
            poses[image.exposure.pose] = dicom.to_dicom(image, "ID_000000001")
    assert set(poses) == {"erect", "supine"}
    erect, supine = (poses[pose].PatientOrientationCodeSequence[0] for pose in ("erect", "supine"))
    (lying,) = supine.PatientOrientationModifierCodeSequence
    assert "PatientOrientationModifierCodeSequence" not in erect
    expected = (codes.cid19.Erect, codes.cid19.Recumbent, codes.cid20.Supine)
    for item, code in zip((erect, supine, lying), expected, strict=True):
        assert (item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning) == code[:3]
