"""What a DICOM file's tags say it shows: refused where it is surely no frontal chest X-ray.

Tags are written by people and by devices of all languages, so words are compared without
punctuation and spaces, and whatever is not known is believed to be a frontal chest X-ray: the
picture itself is looked at later. What speaks against it without being certain becomes a note.
"""

import re
from pathlib import Path

from pydicom.dataset import FileDataset

from features.reading.dicom_tags import text, values
from features.storage.unreadable import BAD_BYTES, UnreadableImage, quoted

# Modalities that make no chest X-ray, in words.
OTHER_MODALITIES = {
    "CT": "computed tomography",
    "MR": "magnetic resonance",
    "US": "ultrasound",
    "PT": "positron emission tomography",
    "NM": "nuclear medicine",
    "MG": "mammography",
}
CHEST = re.compile(r"CHEST|THORA|TORAX|LUNG|PULMO|\bRIBS?\b|\bCXR\b")
# Words of a view from the side; "LATERAL DECUBITUS" is a frontal view of somebody who lies.
LATERAL = re.compile(
    r"\b(LL|RL|[LR]T? ?LAT\w*|LAT|LATERAL\w*|LATERO ?LATERAL\w*|XTABLE LAT\w*|XTLAT|SWIMMERS?"
    r"|SEITLICH|PROFILE?|PERFIL)\b"
)
DECUBITUS = re.compile(r"\b(DEC|DECUB\w*|LLD|RLD)\b")
OBLIQUE = re.compile(r"\b([LR][AP]O|[LR]LO|OBL\w*)\b")
FRONTAL = {
    "PA": re.compile(r"\b(PA|P A|POSTERO ?ANT\w*|POSTERIOR ANT\w*|DORSO ?VENTRAL\w*)\b"),
    "AP": re.compile(r"\b(AP|A P|ANTERO ?POST\w*|ANTERIOR POST\w*|VENTRO ?DORSAL\w*)\b"),
}
# Codes of ViewCodeSequence: SNOMED CT, the SRT codes that DICOM used before (PS3.16, CID 4010),
# RadLex.
VIEW_CODES = {
    "PA": {"272479007", "R-40888", "R-10214", "RID43594"},
    "AP": {"399348003", "R-10206", "RID43583"},
    "LATERAL": {
        *("399198007", "R-10232", "399173006", "R-10236", "399067008", "R-102CD"),
        *("399352003", "R-10228", "399260004", "R-10224", "RID43591"),
    },
}
# PatientOrientation: whereto rows and columns run, by the first letter of each.
SIDEWAYS, ALONG, THROUGH = "LR", "HF", "AP"
ONLY_FRONTAL = "only frontal chest X-rays (PA, AP) can be used"


def check_kind(dataset: FileDataset, path: Path) -> None:
    """Refuse what is no X-ray, seen from the side, or stored otherwise than head up.

    Raises
    ------
    UnreadableImage
        If the tags say so.
    """
    modality = _words(text(dataset, "Modality"))
    if modality in OTHER_MODALITIES:
        raise UnreadableImage(
            f"{path}: tag Modality (0008,0060) is {modality}, {OTHER_MODALITIES[modality]}; only "
            "chest X-rays (CR, DX) can be used."
        )
    _check_orientation(dataset, path)
    written = text(dataset, "ViewPosition")
    if _is_lateral(_words(written)):
        raise UnreadableImage(
            f"{path}: a lateral view, tag ViewPosition (0018,5101) is {quoted(written)}; "
            f"{ONLY_FRONTAL}."
        )
    for code, meaning in _view_codes(dataset):
        if code in VIEW_CODES["LATERAL"] or _is_lateral(_words(meaning)):
            raise UnreadableImage(
                f"{path}: a lateral view, tag ViewCodeSequence (0054,0220) is {quoted(code)} "
                f"{quoted(meaning)}".rstrip()
                + f"; {ONLY_FRONTAL}."
            )


def view_of(dataset: FileDataset) -> str | None:
    """ "PA" or "AP", by the view's words or else its codes; None where unknown or both."""
    words = _words(text(dataset, "ViewPosition"))
    found = [view for view, pattern in FRONTAL.items() if pattern.search(words)]
    if not words:
        codes = _view_codes(dataset)
        found = [
            view
            for view, pattern in FRONTAL.items()
            if any(code in VIEW_CODES[view] or pattern.search(_words(said)) for code, said in codes)
        ]
    return found[0] if len(found) == 1 and not LATERAL.search(words) else None


def notes_of(dataset: FileDataset) -> tuple[str, ...]:
    """What the tags say against a chest X-ray ready for reading, a sentence each."""
    notes = []
    part = text(dataset, "BodyPartExamined")
    if part and not CHEST.search(_words(part)):
        notes.append(f"Tag BodyPartExamined (0018,0015) is {quoted(part)}, not CHEST.")
    if _words(text(dataset, "PresentationIntentType")) == "FOR PROCESSING":
        notes.append(
            "Tag PresentationIntentType (0008,0068) is FOR PROCESSING: the detector's values, not "
            "a picture for reading."
        )
    view = text(dataset, "ViewPosition")
    if OBLIQUE.search(_words(view)):
        notes.append(f"Tag ViewPosition (0018,5101) is {quoted(view)}, an oblique view.")
    return tuple(notes)


def _words(written: str) -> str:
    """A text in capitals: dots and other punctuation gone, one space between words."""
    capitals = written.upper().replace(".", "").replace("X-", "X").replace("X TABLE", "XTABLE")
    return " ".join(re.sub(r"[^A-Z0-9]+", " ", capitals).split())


def _is_lateral(words: str) -> bool:
    """Whether words of a view say that it is one from the side, and no other."""
    frontal = any(pattern.search(words) for pattern in FRONTAL.values())
    return bool(LATERAL.search(words)) and not frontal and not DECUBITUS.search(words)


def _view_codes(dataset: FileDataset) -> list[tuple[str, str]]:
    """Code and meaning of each item of ViewCodeSequence."""
    try:
        items = list(dataset.get("ViewCodeSequence") or [])
        return [(text(item, "CodeValue").upper(), text(item, "CodeMeaning")) for item in items]
    except BAD_BYTES:
        return []


def _check_orientation(dataset: FileDataset, path: Path) -> None:
    """Refuse what is stored otherwise than seen from the front, head up: lungs would be mixed up.

    The tag says whereto the rows and the columns run in the patient (PS3.3, C.7.6.1.1.1); many
    files leave it empty, and values that are none of the standard's are not believed.
    """
    written = (*values(dataset, "PatientOrientation"), "", "")[:2]
    right, down = ((value.upper() or " ")[0] for value in written)
    orientation = "\\".join(map(quoted, written))
    tag = f"tag PatientOrientation (0020,0020) is {orientation}"
    if right in THROUGH:
        raise UnreadableImage(f"{path}: a lateral view, {tag}; {ONLY_FRONTAL}.")
    if down in THROUGH:
        raise UnreadableImage(f"{path}: seen along the body, {tag}; {ONLY_FRONTAL}.")
    rule = "an X-ray's rows run to the patient's left and its columns to the feet, L\\F"
    if right in ALONG or down in SIDEWAYS:
        raise UnreadableImage(
            f"{path}: stored turned by a quarter, {tag}; {rule}, so turn the pixels and any mask, "
            "and change the tag."
        )
    if right == "R" or down == "H":
        raise UnreadableImage(
            f"{path}: {tag}; {rule}, so turn the pixels and any mask, and change the tag."
        )
