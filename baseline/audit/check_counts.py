"""How many images there are of what kind, and what is named but missing."""

from baseline.audit.findings import Finding, Item, Table, count
from baseline.audit_facts.facts import Facts


def counts(facts: Facts) -> Finding:
    """Images, patients and positives of each set."""
    table = facts.table
    rows = []
    for name, part in [("all", table), *table.groupby("split", sort=False)]:
        label = part["label"]
        annotations = sum(len(facts.annotations.get(key, [])) for key in part["id"])
        rows.append(
            (
                str(name),
                f"{len(part):,}",
                f"{part['patient'].nunique():,}",
                f"{(label == 1).sum():,}",
                f"{(label == 0).sum():,}",
                f"{part['weak'].notna().sum():,}",
                f"{annotations:,}",
            )
        )
    label = table["label"]
    known = int(label.notna().sum())
    share = f" ({(label == 1).sum() / known:.0%})" if known else ""
    columns = ("set", "images", "patient groups", "positive", "negative", "weak label", "csv rows")
    return Finding(
        "counts",
        "pass",
        f"{count(len(table), 'image')} of {count(table['patient'].nunique(), 'patient group')}: "
        f"{count(known, 'image')} with a true label, {(label == 1).sum():,} of them positive"
        f"{share}.",
        "Training uses images with a true or weak label; folds keep patient groups whole.",
        "Compare these numbers with what you expect. A number that is too small often means a "
        "folder or a csv that was not copied whole.",
        tables=(Table("Images by set", columns, tuple(rows)),),
    )


def unlabelled(facts: Facts) -> Finding:
    """Images that are neither annotated nor in the test set."""
    ids = facts.table.loc[facts.table["split"] == "unlabelled", "id"]
    items = tuple(Item(name, "no annotation row, and no test image", (name,)) for name in ids)
    return Finding(
        "unlabelled images",
        "fail" if items else "pass",
        f"{count(len(items), 'image')} without a label outside the test set.",
        "They are set aside: not counted as negative, not trained on, not scored.",
        "Add their rows to the annotation csv if you know the truth (-1 for no pneumothorax).",
        items,
    )


def without_image(facts: Facts) -> Finding:
    """Annotations of images that are not there."""
    present = {*facts.table["id"], *facts.quarantine["id"]}
    missing = [name for name in facts.annotations if name not in present]
    items = tuple(Item(name, "annotated, but there is no such image", (name,)) for name in missing)
    return Finding(
        "annotations without an image",
        "fail" if items else "pass",
        f"{count(len(items), 'annotated id')} without an image file.",
        "make dataset stops and names the first of them, or leaves them out and says so.",
        "Copy the missing images into the image folder, or remove the rows.",
        items,
    )


def unreadable(facts: Facts) -> Finding:
    """Images that were set aside because they cannot be used."""
    items = tuple(
        Item(str(row.id), str(row.reason), (str(row.id),)) for row in facts.quarantine.itertuples()
    )
    return Finding(
        "unreadable images",
        "fail" if items else "pass",
        f"{count(len(items), 'image')} that could not be read or used.",
        "They are set aside in quarantine.csv with the reason; the submission keeps their rows.",
        "Each reason says what is wrong with the file and how to mend it.",
        items,
    )
