"""NIH ChestX-ray14: ``images_0*/images/*.png``, or ``images/*.png``, and ``Data_Entry_2017*.csv``.

The table says which findings each image has, and sex, age, view and patient. Its findings were
mined from reports. There are no outlines: of a positive image it is known only that it is one.
Wang et al., CVPR 2017.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from features.dataset.layout import Layout, csv_files, subfolder
from features.reading.dicom_tags import age_in_years
from features.reading.study import Study
from features.run.files import UserError
from features.storage import archive, csv_text, names, storage

FINDING = "pneumothorax"
_COLUMNS = {
    "name": ("Image Index",),
    "findings": ("Finding Labels",),
    "patient": ("Patient ID",),
    "age": ("Patient Age",),
    "sex": ("Patient Gender", "Patient Sex"),
    "view": ("View Position",),
}


@dataclass(frozen=True)
class Entry:
    """What the table says about an image.

    Parameters
    ----------
    is_positive : bool
        Whether pneumothorax is among its findings.
    patient, sex, view : str or None
    age : float or None
        In years.
    """

    is_positive: bool
    patient: str | None
    age: float | None
    sex: str | None
    view: str | None

    def complete(self, study: Study) -> Study:
        """The study with what its own file does not say."""
        return replace(
            study,
            patient=study.patient or self.patient,
            age=self.age if study.age is None else study.age,
            sex=study.sex or self.sex,
            view=study.view or self.view,
        )


def find(folder: Path) -> Layout | None:
    """The layout; None if there is no such table.

    Raises
    ------
    UserError
        If there are two tables, or no folder of images.
    """
    tables = [path for path in csv_files(folder) if path.name.startswith("Data_Entry_2017")]
    if not tables:
        return None
    if len(tables) > 1:
        raise UserError(
            f"{folder}: {tables[0].name} and {tables[1].name} are both tables of ChestX-ray14, and "
            "only one can be meant; move the other out of the folder."
        )
    parts = [
        path
        for path, kind in storage.children(folder)
        if kind == archive.FOLDER and re.fullmatch(r"images_\d+", path.name)
    ]
    images = subfolder(folder, "images")
    if not parts and images is None:
        raise UserError(
            f"{folder}: {tables[0].name} is ChestX-ray14's, whose pictures lie in "
            "images_001/images and so on, or in images; unpack them there."
        )
    test_list = folder / "test_list.txt"
    # With parts, the whole folder is searched.
    where = folder if parts else images or folder
    return Layout(
        "ChestX-ray14",
        folder,
        where,
        where,
        entries=tables[0],
        test_list=test_list if storage.is_file(test_list) else None,
    )


def read_entries(path: Path) -> dict[str, Entry]:
    """The rows of the table by image id.

    Raises
    ------
    UserError
        If it is no csv, or a column is missing.
    """
    table = csv_text.read(path, "its header must be that of ChestX-ray14's Data_Entry_2017.csv")
    spelled = {csv_text.plain(name): name for name in table.columns}
    columns = {}
    for key, choices in _COLUMNS.items():
        found = [spelled[plain] for name in choices if (plain := csv_text.plain(name)) in spelled]
        if found:
            columns[key] = found[0]
        elif key in {"name", "findings"}:
            raise UserError(
                f"{path}: no column {choices[0]!r}; its header must be that of ChestX-ray14's "
                "Data_Entry_2017.csv."
            )
    rows = table[list(columns.values())].set_axis(list(columns), axis=1)
    rows = rows.apply(lambda column: column.str.strip())
    entries = {}
    for row in rows.to_dict("records"):
        image_id = names.image_id(row["name"])
        if image_id in entries:
            raise UserError(
                f"{path}: {names.shown(image_id)} stands in it twice; an image has one row."
            )
        entries[image_id] = _entry(row)
    return entries


def _entry(row: Mapping[str, str]) -> Entry:
    findings = {finding.strip().lower() for finding in row["findings"].split("|")}
    sex, view = row.get("sex", "").upper()[:1], row.get("view", "").upper()
    return Entry(
        is_positive=FINDING in findings,
        patient=row.get("patient") or None,
        age=age_in_years(row.get("age", "")),
        sex=sex if sex in {"F", "M"} else None,
        view=view if view in {"PA", "AP"} else None,
    )
