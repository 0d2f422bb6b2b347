"""Which patient ids of the files themselves may join images.

An anonymiser may write one word into every file, or one id may have been given to several persons.
Such an id would join strangers into one patient, and one fold would hold half the dataset; it joins
nobody. Nor does an id join two images that the dataset's own patients.csv parts.
"""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence

from features.reading.study import Study
from features.storage.names import shown

# Words for "no patient", letters alone, in capitals.
PLACEHOLDERS = frozenset(
    [
        *("ANON", "ANONYM", "ANONYMISE", "ANONYMISED", "ANONYMIZE", "ANONYMIZED", "ANONYMOUS"),
        *("ANONYMOUSPATIENT", "BLANK", "CENSORED", "CONFIDENTIAL", "DEFAULT", "DEID", "DEIDENT"),
        *("DEIDENTIFIED", "DELETED", "DUMMY", "EMPTY", "HIDDEN", "ID", "MASKED", "MISSING", "NA"),
        *("NAN", "NIL", "NN", "NOID", "NONAME", "NONE", "NOTAPPLICABLE", "NOTAVAILABLE", "NULL"),
        *("PATIENT", "PATIENTID", "PRIVATE", "REDACTED", "REMOVED", "SUBJECT", "TBD", "TEMP"),
        *("TEST", "TESTPATIENT", "UNDEFINED", "UNK", "UNKNOWN", "UNNAMED", "UNSPECIFIED", "VOID"),
        "WITHHELD",
    ]
)
# Years between a person's first and last digital X-ray; what spans more is not one person.
LONGEST_RECORD = 40


def is_placeholder(key: str) -> bool:
    """Whether a patient id is a word for none, or one character repeated: "0", "000", "XXXX"."""
    letters = re.sub(r"[\W_]", "", key.upper())
    parts = re.findall(r"\w+", key.upper().replace("_", " "))
    if len(set(letters)) <= 1:
        return letters.strip("0X") == "" or len(letters) > 2
    return letters in PLACEHOLDERS or all(part in PLACEHOLDERS for part in parts)


def usable(studies: Sequence[Study], listed: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """The patient ids of the files that may join images.

    Parameters
    ----------
    studies : sequence of Study
    listed : mapping of str to str
        The patient of each image that patients.csv names.

    Returns
    -------
    keys : dict of str to str
        By image id.
    notes : list of str
        A sentence that says how many ids join nobody, and why; none if all are used.
    """
    of_key: dict[str, list[Study]] = defaultdict(list)
    for study in studies:
        if study.patient:
            of_key[study.patient].append(study)
    keys: dict[str, str] = {}
    unused: dict[str, list[tuple[str, int]]] = defaultdict(list)
    for key, images in of_key.items():
        reason = _reason(key, images)
        if reason is None and len({listed[image.id] for image in images if image.id in listed}) > 1:
            reason = "parted by patients.csv"
            images = [image for image in images if image.id not in listed]
            keys |= {image.id: key for image in images}
        elif reason is None:
            keys |= {image.id: key for image in images}
        if reason:
            unused[reason].append((key, len(of_key[key])))
    return keys, [_note(unused)] if unused else []


def _reason(key: str, images: Sequence[Study]) -> str | None:
    """Why an id is none of one patient."""
    if is_placeholder(key):
        return "a placeholder"
    if len({image.sex for image in images if image.sex}) > 1:
        return "of both sexes"
    ages = [image.age for image in images if image.age is not None]
    if ages and max(ages) - min(ages) > LONGEST_RECORD:
        return f"of ages more than {LONGEST_RECORD} years apart"
    return None


def _note(unused: Mapping[str, Sequence[tuple[str, int]]]) -> str:
    reasons = []
    for reason, found in unused.items():
        key, count = max(found, key=lambda pair: pair[1])
        reasons.append(f"{len(found)} {reason}, such as {shown(repr(key))} of {count} images")
    images = sum(count for found in unused.values() for _, count in found)
    return (
        f"patient ids in the files that join nobody: {sum(map(len, unused.values()))}, of {images} "
        f"images ({'; '.join(reasons)}); a patients.csv could name the patients"
    )
