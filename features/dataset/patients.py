"""Which images may be of one patient, so that no patient is in two folds.

Several lists may name the same images, by keys of their own. A key that is coarser than a patient,
such as sex and age, joins different patients, and parts the images of a patient who had a birthday
in between; a list of true patients may not name every image. Images that share a key in any list
belong to one group, and so do those that a chain of such pairs connects.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from features.dataset import layouts
from features.dataset.layouts import ID
from features.run.files import UserError

# The toolkit's list, and the published one that names the ChestX-ray14 file behind each SIIM-ACR
# image; there the patient stands before the underscore.
PLAIN, PUBLISHED = (ID, "patient"), ("Kaggle_ID", "NIH_ID")
_PICTURE = re.compile(r"^(\d{8})_\d{3}\.png$")


def read(path: Path) -> dict[str, str]:
    """Read a list of patients: a key by image id.

    Parameters
    ----------
    path : Path
        A csv, compressed or not, with the columns ``ImageId,patient`` or ``Kaggle_ID,NIH_ID``.

    Raises
    ------
    UserError
        If it is no such file, an id stands in it twice, or a key is empty.
    """
    keys = layouts.read_pairs(path, PLAIN, PUBLISHED)
    empty = [name for name, key in keys.items() if not key]
    if empty:
        raise UserError(f"{path}: {empty[0]} has an empty patient; name one or remove the row.")
    return {name: _PICTURE.sub(r"\1", key) for name, key in keys.items()}


def groups(ids: Sequence[str], lists: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """Join images that share a key in any list.

    Parameters
    ----------
    ids : sequence of str
        The images to be grouped; others in the lists do not count.
    lists : sequence of mappings
        Keys by image id; equal keys of different lists have nothing to do with one another.

    Returns
    -------
    dict of str to str
        The group of each image that is in a list, called by its smallest key in the first list
        that knows any of its images, with a number where another group is called so already.
    """
    pairs = pd.DataFrame(
        [
            (name, number, keys[name])
            for number, keys in enumerate(lists)
            for name in ids
            if name in keys
        ],
        columns=["id", "list", "key"],
    )
    if pairs.empty:
        return {}
    image, names = pd.factorize(pairs["id"])
    key = pairs.groupby(["list", "key"]).ngroup().to_numpy() + len(names)
    size = int(key.max()) + 1
    linked = coo_array((np.ones(len(pairs)), (image, key)), (size, size))
    _, group = connected_components(linked, directed=False)
    pairs["group"] = group[image]
    first = pairs.sort_values(["list", "key"]).drop_duplicates("group").set_index("group")["key"]
    repeated = first.groupby(first).cumcount()
    names_of = first.where(repeated == 0, first + " (" + (repeated + 1).astype(str) + ")")
    return dict(pairs.drop_duplicates("id").set_index("id")["group"].map(names_of))
