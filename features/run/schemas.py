"""What each table of a run folder holds: the columns in their order, with their types.

The path of each table is in `features.run.folder`. Types are those of `features.run.tables.Schema`:
"str" is a text that is always there, "string" one that may be missing; a float and an "Int64" may
be missing too.
"""

from features.run.tables import Schema

# One row for each readable image. split is "train", "test" or "unlabelled"; label is 0 or 1, where
# it is known; weak is the probability that another model gave; mask is a run-length code, and
# weak_mask one that another model drew, where no mask is known; age is in years; rows and columns
# are the size of the picture in pixels, which are square, and masks are of that size. Where the
# picture is not just the file's, stored_rows and stored_columns are the file's size, square_rows
# and square_columns the same with square pixels, and top and left the widths of the border that was
# cut. fold is missing where an image belongs to none.
DATASET = Schema(
    {
        "id": "str",
        "path": "str",
        "split": "str",
        "mask": "string",
        "weak_mask": "string",
        "patient": "string",
        "age": "float64",
        "sex": "string",
        "view": "string",
        "spacing_mm": "float64",
        "rows": "int64",
        "columns": "int64",
        "stored_rows": "Int64",
        "stored_columns": "Int64",
        "square_rows": "Int64",
        "square_columns": "Int64",
        "top": "Int64",
        "left": "Int64",
        "label": "float64",
        "weak": "float64",
        "fold": "Int64",
    }
)
QUARANTINE = Schema({"id": "str", "path": "str", "reason": "str"})
# The sample submission and the submission, as on Kaggle.
MASKS = Schema({"ImageId": "str", "EncodedPixels": "str"})
TRUTH = Schema({"id": "str", "mask": "str"})
FEATURES = Schema({"id": "str"}, further="float32")
# One row for each measured image: the probability that it is no whole, upright frontal chest
# X-ray, what it is instead (one of `features.quality.gate.WORDS`), and what was found in words, ""
# for nothing; flagged is 1 where nothing may rest on it, aside where nothing is learned from it.
QUALITY = Schema(
    {
        "id": "str",
        "probability": "float64",
        "kind": "str",
        "words": "str",
        "flagged": "int64",
        "aside": "int64",
    }
)
# One row for each cell: its place on the grid of cells, the side and the zone of the lung that it
# lies in (numbers of `features.lungs.zones`), and the share of it that is pneumothorax, if known;
# weak_share is the same by the weak mask.
CELLS = Schema(
    {
        "row": "int16",
        "column": "int16",
        "side": "int8",
        "zone": "int8",
        "share": "float32",
        "weak_share": "float32",
        "id": "category",
    }
)
# The same before the masks are looked at.
CELL_PLACES = Schema({name: kind for name, kind in CELLS.columns.items() if "share" not in name})
# One row for each image and fold: means and peaks of the evidence map by zone, as the classifier
# that is scored on fold `for_fold` may see them. They are of models that saw neither that fold nor
# the image.
EVIDENCE_BY_ZONE = Schema({"for_fold": "int64", "id": "str"}, further="float32")
# One row for each cell and fold: the probability of air in the cell, and that its lung has
# collapsed. `for_fold` is as above.
EVIDENCE_MAP = Schema(
    {
        "id": "category",
        "row": "int16",
        "column": "int16",
        "probability": "float32",
        "lung": "float32",
        "for_fold": "int64",
    }
)
# raw is the log-odds before calibration; kind is "oof" (out of fold) or "deployed".
PREDICTIONS = Schema(
    {
        "id": "str",
        "patient": "str",
        "split": "str",
        "fold": "Int64",
        "label": "float64",
        "weak": "float64",
        "raw": "float64",
        "probability": "float64",
        "kind": "str",
    }
)
# One row for each image: base value and the SHAP value of each feature, in calibrated log-odds.
SHAP = Schema({"id": "str", "base": "float64"}, further="float64")
# The same, summed by place without loss: one column for each zone of the lungs, and "image".
SHAP_BY_PLACE = Schema({"id": "str", "base": "float64"}, further="float64")
# Part and row in which an image's probability map is stored; fold is missing where the map is the
# mean of all networks.
MAPS = Schema({"id": "str", "fold": "Int64", "part": "int64", "row": "int64"})
# The mask of each image whose truth is known. kept is 1 if the gate keeps it, 0 if it empties it;
# level is the probability at which the map `source` was cut.
OUTLINES = Schema(
    {
        "id": "str",
        "probability": "float64",
        "kept": "int64",
        "source": "str",
        "level": "float64",
        "dice": "float64",
        "mask": "str",
    }
)
# Losses and scores of a training, one row for each epoch.
HISTORY = Schema({"epoch": "int64", "loss": "float64"}, further="float64")
ABLATION = Schema({"variant": "str", "features": "int64"}, further="float64")
