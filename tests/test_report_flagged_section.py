"""The report's section on images that may be no frontal chest X-rays."""

import pandas as pd

from baseline.explanation import trained_run
from baseline.report import flagged_section, rendering
from features.run.schemas import QUALITY


def verdicts(run, flagged: int) -> pd.DataFrame:
    ids = run.dataset.read()["id"]
    table = pd.DataFrame({"id": ids, "probability": 0.01, "kind": "good", "words": ""})
    table = table.assign(flagged=0, aside=0)
    table.loc[: flagged - 1, ["kind", "words", "flagged"]] = ["inverted", "greys <inverted>", 1]
    table.loc[: flagged - 1, "probability"] = [0.5 + k / 100 for k in range(flagged)]
    table.loc[flagged, ["kind", "words"]] = ["mirrored", "a heart on the right"]
    return table[list(QUALITY.columns)]


def test_a_run_that_no_gate_looked_at_has_no_section(noise_run):
    assert flagged_section.flagged(trained_run.read(noise_run)) is None


def test_counts_pictures_and_words_of_the_surest(copied_noise_run, noise_report):
    run = copied_noise_run
    table = verdicts(run, 15)
    run.quality.write(table)
    section = flagged_section.flagged(trained_run.read(run))
    assert section is not None
    assert (section["images"], section["count"], section["aside"]) == (len(table), 15, 0)
    assert section["kinds"] == [("inverted", 15)] and section["noted"] == [("mirrored", 1)]
    shown = section["shown"]
    assert len(shown) == flagged_section.SHOWN
    assert [image.probability for image in shown] == sorted(table["probability"])[::-1][:12]
    assert all(image.uri.startswith("data:image/jpeg") for image in shown)
    page = rendering.render("report.html", noise_report | {"flagged": section})
    assert "Images that may be no frontal chest X-ray" in page
    assert "greys &lt;inverted&gt;" in page and "They were kept" in page
    assert "The 12 surest of 15" in page


def test_none_flagged(copied_noise_run, noise_report):
    run = copied_noise_run
    run.quality.write(verdicts(run, 0))
    section = flagged_section.flagged(trained_run.read(run))
    page = rendering.render("report.html", noise_report | {"flagged": section})
    assert "flagged none" in page and "They were" not in page
