"""Names of images: which part of a file's name is the id, and how odd names are printed."""

from features.run.files import printable

# Endings that say nothing but the kind of file; any other ending is a part of the id (a file
# "1.2.840.5" is not of the kind ".5").
PICTURES = (".png", ".jpg", ".jpeg", ".tif", ".tiff")
SUFFIXES = (".dcm", ".dicom", ".ima", *PICTURES)
LONGEST_SHOWN = 120


def has_suffix(name: str) -> bool:
    """Whether a file's name says that it is an image."""
    return name.lower().endswith(SUFFIXES)


def is_picture(name: str) -> bool:
    """Whether a file's name says that it is a PNG, JPEG or TIFF picture."""
    return name.lower().endswith(PICTURES)


def image_id(name: str) -> str:
    """The id of an image: its file's name, or a csv's cell, without the endings of image files."""
    while has_suffix(name):
        stem = name.rpartition(".")[0]
        if not stem:
            break
        name = stem
    return name


def shown(name: object) -> str:
    """A name or value as it may stand in a sentence: one line, printable, not too long."""
    text = printable(name)
    if len(text) <= LONGEST_SHOWN:
        return text
    return f"{text[: LONGEST_SHOWN - 20]}... ({len(text)} characters)"


def is_utf8(name: object) -> bool:
    """Whether a name can be written as UTF-8, which tables and pages need."""
    try:
        str(name).encode("utf-8")
    except UnicodeEncodeError:  # the system hands over other bytes as lone surrogates
        return False
    return True
