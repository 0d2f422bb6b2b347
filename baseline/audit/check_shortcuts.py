"""What predicts the label that should not: the file, the device, the border, a burnt-in sign."""

from baseline.audit import predictors
from baseline.audit.facts import Facts
from baseline.audit.findings import Finding, Item, Table, count

SHOWN = 12


def shortcuts(facts: Facts) -> Finding:
    """AUC of each fact of the file for the true label."""
    known = facts.table["label"].notna().to_numpy()
    table = facts.table[known]
    target = table["label"].to_numpy(float)
    columns = {name: column[known] for name, column in predictors.values(facts).items()}
    columns["images of the patient"] = table.groupby("patient")["id"].transform("count")
    patients = table["patient"].to_numpy(object)
    weighed = predictors.weigh(columns, target, patients)
    name = "what predicts the label"
    pipeline = (
        "Features are measured within the lungs and in lung units, which removes exposure, "
        "borders and text outside; but compression and sharpness still reach them. "
        "make shortcuts measures what such facts reach alone beside the classifier."
    )
    user = (
        "Make the files alike: decode all of them, cut borders, and store them again with one "
        "size, depth and compression. Or judge scores within one source only."
    )
    if weighed is None:
        return Finding(
            name,
            "not applicable",
            f"Fewer than {predictors.FEWEST} images of a class have a true label.",
            pipeline,
            user,
        )
    items = tuple(
        Item(one.name, f"AUC {one.auc} for the label; {one.values} (positive against negative)")
        for one in weighed
        if one.suspicious
    )
    sentence = (
        f"{count(len(items), 'fact')} that should not predict the label: "
        f"{weighed[0].name} most of all, with an AUC of {weighed[0].auc}."
        if items
        else f"None of {len(weighed)} facts of file and border predicts the label: no interval of "
        f"its AUC lies above {predictors.SUSPICIOUS}."
        if weighed
        else "All files are alike in every fact that is compared."
    )
    return Finding(
        name, "fail" if items else "pass", sentence, pipeline, user, items, (rows(weighed),)
    )


def rows(weighed: list[predictors.Predictor]) -> Table:
    """The best predictors as a table."""
    return Table(
        "AUC out of fold with 95% interval over patients; 0.5 is guessing. Median or commonest "
        "difference, positive against negative",
        ("fact", "AUC", "values"),
        tuple((one.name, str(one.auc), one.values) for one in weighed[:SHOWN]),
    )
