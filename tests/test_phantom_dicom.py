"""The DICOM files of phantoms: they can be told from X-rays of people."""

from types import SimpleNamespace

import numpy as np

from features.phantom import dicom


def test_phantoms_are_known_by_their_tag(tmp_path):
    exposure = SimpleNamespace(pose="supine")
    pixels = np.zeros((64, 64), np.uint8)
    drawn = SimpleNamespace(
        view="AP", sex="F", age=50, exposure=exposure, pixels=pixels, spacing_mm=0.2
    )
    path = tmp_path / "ID_00000001.dcm"
    dicom.dicom(drawn, path.stem).save_as(path)
    assert dicom.is_phantom(path)
    of_a_person = dicom.dicom(drawn, path.stem)
    of_a_person.PatientName = "Doe^Jane"
    of_a_person.save_as(path)
    assert not dicom.is_phantom(path)
    (tmp_path / "a.png").write_bytes(b"no DICOM")
    assert not dicom.is_phantom(tmp_path / "a.png")
    assert not dicom.is_phantom(tmp_path / "gone.dcm")
