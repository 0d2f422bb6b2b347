"""What predicts the label that should not: the file, the device, the border, a burnt-in sign."""

from baseline.audit import predictors
from baseline.audit.findings import Finding, Item, State, Table, count
from baseline.audit_facts.facts import Facts

SHOWN = 12


NAME = "what predicts the label"
PIPELINE = (
    "Features are measured within the lungs and in lung units, which removes exposure, borders and "
    "text outside; but compression and sharpness still reach them. make shortcuts measures what "
    "such facts reach alone beside the classifier."
)
USER = (
    "Make the files alike: decode all of them, cut borders, and store them again with one size, "
    "depth and compression. Or judge scores within one source only. (Where one more JPEG "
    "compression changes few pixels, another program has unpacked the picture and compressed it "
    "again: it is of another source, though all tables are equal.)"
)


def shortcuts(facts: Facts) -> Finding:
    """AUC of each fact of the file for the true label."""
    known = facts.table["label"].notna().to_numpy()
    table = facts.table[known]
    target = table["label"].to_numpy(float)
    columns = {name: column[known] for name, column in predictors.values(facts).items()}
    columns["images of the patient"] = table.groupby("patient")["id"].transform("count")
    weighed = predictors.weigh(columns, target, table["patient"].to_numpy(object))
    if weighed is None:
        few = f"Fewer than {predictors.FEWEST} images of a class have a true label."
        return Finding(NAME, "not applicable", few, PIPELINE, USER)
    items = tuple(
        Item(one.name, f"AUC {one.auc} for the label; {one.values} (positive against negative)")
        for one in weighed
        if one.suspicious
    )
    state: State = "fail" if items else "pass"
    return Finding(
        NAME, state, _sentence(weighed, len(items)), PIPELINE, USER, items, (rows(weighed),)
    )


def _sentence(weighed: list[predictors.Predictor], named: int) -> str:
    if named:
        return (
            f"{count(named, 'fact')} that should not predict the label: {weighed[0].name} most of "
            f"all, with an AUC of {weighed[0].auc}."
        )
    if not weighed:
        return "All files are alike in every fact that is compared."
    return (
        f"None of {len(weighed)} facts of file and border predicts the label: no interval of its "
        f"AUC lies above {predictors.SUSPICIOUS}."
    )


def rows(weighed: list[predictors.Predictor]) -> Table:
    """The best predictors as a table."""
    return Table(
        "AUC out of fold with 95% interval over patients; 0.5 is guessing. Median or commonest "
        "difference, positive against negative",
        ("fact", "AUC", "values"),
        tuple((one.name, str(one.auc), one.values) for one in weighed[:SHOWN]),
    )
