"""The audit's files: exit status, JSON and page; and its test of itself on a few phantoms."""

import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from baseline.audit import checks, self_test, write
from baseline.audit.faults import KINDS
from baseline.audit.findings import Finding, Item
from baseline.audit.planted_copy import PlantedCopy
from baseline.audit_facts import facts, file_facts
from baseline.audit_facts.measuring import Memory
from features.dataset import read
from features.phantom import write as phantom
from features.reading import images
from features.run.files import UserError
from features.run.folder import RunFolder
from tests.helpers.page_reader import Page


@pytest.fixture(scope="module")
def phantoms(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A folder of small phantoms, and its run folder."""
    folder = tmp_path_factory.mktemp("audit")
    settings = phantom.Settings(folder / "data", train=32, test=12, positives=0.42, size=96, seed=5)
    phantom.write_dataset(settings, jobs=1)
    read.main(read.Settings(folder / "data", folder / "run", folds=2, jobs=1))
    return folder / "data", folder / "run"


@pytest.fixture(scope="module")
def audited(phantoms: tuple[Path, Path]) -> tuple[int, Path]:
    """Exit status and folder of an audit."""
    data, run = phantoms
    return write.audit(write.Settings(run, data, jobs=1)), run / "audit"


def test_the_json_holds_every_check_with_its_state(audited):
    status, folder = audited
    content = json.loads((folder / "audit.json").read_text())
    assert content["images"] == 44 and content["status"] == status
    assert len(content["checks"]) == len(checks.CHECKS)
    states = [check["state"] for check in content["checks"]]
    assert set(states) <= {"pass", "fail", "not applicable"}
    assert (content["passed"], content["failed"]) == (states.count("pass"), states.count("fail"))
    for check in content["checks"]:
        assert set(check) == {"check", "state", "sentence", "pipeline", "user", "items"}
        assert check["pipeline"] and check["user"] and check["sentence"]
        assert (check["state"] == "fail") <= bool(check["items"])
        assert all(set(item) == {"subject", "text", "ids"} for item in check["items"])


def test_the_page_is_one_small_file_that_loads_nothing(audited):
    _, folder = audited
    text = (folder / "index.html").read_text()
    page = Page(text)
    assert len(text) < 10_000_000
    assert all(str(image["src"]).startswith("data:image/") for image in page.every("img"))
    assert all(str(link["href"]).startswith("#") for link in page.every("a"))
    assert not page.every("link") and "http" not in text.split("</style>")[1].split("<main>")[0]
    anchors = {str(article["id"]) for article in page.every("article")}
    assert {str(link["href"])[1:] for link in page.every("a")} == anchors
    assert len(anchors) == len(checks.CHECKS)


def test_an_unlabelled_image_gives_status_1(phantoms, tmp_path, monkeypatch):
    data, run = phantoms
    copy = RunFolder(tmp_path).create()
    table = RunFolder(run).dataset.read()
    table.loc[0, ["split", "label", "mask", "fold"]] = ["unlabelled", np.nan, None, None]
    copy.dataset.write(table)
    copy.quarantine.write(RunFolder(run).quarantine.read())
    assert write.audit(write.Settings(tmp_path, data, limit=12, jobs=1)) == 1
    said = json.loads((tmp_path / "audit" / "audit.json").read_text())
    assert (said["images"], said["of"]) == (12, len(table))
    page = (tmp_path / "audit" / "index.html").read_text()
    assert f"12 of {len(table)} images" in page and "make audit LIMIT=0" in page
    with pytest.raises(SystemExit, match="1"):
        monkeypatch.setattr(write, "audit", lambda settings: 1)
        write.main(write.Settings(tmp_path, data))


@pytest.mark.parametrize(("limit", "images"), [(None, 20), (0, 44)])
def test_many_images_are_looked_at_in_part_unless_all_are_wanted(
    phantoms, monkeypatch, limit, images
):
    monkeypatch.setattr(write, "MOST", 20)
    data, run = phantoms
    write.audit(write.Settings(run, data, limit=limit, jobs=1))
    said = json.loads(RunFolder(run).audit_findings.read_text())
    assert (said["images"], said["of"]) == (images, 44)


def test_a_negative_limit_is_refused(tmp_path):
    with pytest.raises(UserError, match="--limit is -1"):
        write.main(write.Settings(tmp_path, limit=-1))


def test_a_subset_keeps_both_sets(phantoms):
    table = RunFolder(phantoms[1]).dataset.read()
    part = facts.subset(table, 20)
    assert len(part) == 20 and set(part["split"]) == {"train", "test"}
    assert part["id"].is_unique
    assert facts.subset(table, 0) is table


@pytest.mark.parametrize("quality", [35, 50, 75, 92])
def test_the_quality_of_a_jpeg_is_read_from_its_tables(quality):
    stream = io.BytesIO()
    Image.fromarray(np.zeros((16, 16), np.uint8)).save(stream, "JPEG", quality=quality)
    found = file_facts.jpeg_tables(stream.getvalue())
    assert found["JPEG quality"] == pytest.approx(quality, abs=1)
    assert found["JPEG header"].startswith("E0 DB")
    assert file_facts.jpeg_tables(b"no JPEG") == {}


TRIED = (
    "exact duplicate",
    "impossible age",
    "patient in both sets",
    "wrong sex of a patient",
    "mask of another image",
    "mask of the whole image",
    "unlabelled image",
    "annotation without an image",
    "blank image",
    "positives of another bit depth",
)


def test_planted_faults_are_found_on_phantoms(phantoms, tmp_path):
    data, run = phantoms
    table = RunFolder(run).dataset.read()
    annotations = facts.read_annotations(data, table)
    clean, memory = PlantedCopy.of(tmp_path / "clean", table, annotations), Memory()
    place = self_test.ground(clean, table, seed=0)
    own, quarantine = clean.read(1)
    gathered = facts.gather(
        own, {k: annotations.get(k, []) for k in own["id"]}, quarantine, 1, memory
    )
    for kind in KINDS:
        if kind.name in TRIED:
            result = self_test.try_kind(kind, place, kind.check(gathered), memory, 1)
            assert result.found == result.planted, kind.name
    # The original is as it was.
    assert set(RunFolder(run).dataset.read()["id"]) == set(table["id"])
    assert all(images.read(path)[1].any() for path in table["path"][:3])


def test_a_fault_that_the_data_have_already_is_not_counted():
    kind = next(kind for kind in KINDS if "borders" in kind.subjects)
    finding = Finding("c", "pass", "s", "p", "u")
    named = replace(finding, items=(Item("borders", "text"),))
    assert self_test.found(kind, [], finding, named) == (1, 1)
    assert self_test.found(kind, [], finding, finding) == (1, 0)
    assert self_test.found(kind, [], named, named) == (0, 0)


def test_every_kind_has_a_name_of_its_own():
    names = [kind.name for kind in KINDS]
    assert len(names) == len(set(names)) >= 20 and set(TRIED) <= set(names)


def test_too_few_images_to_plant_faults_in_are_said(phantoms):
    table = RunFolder(phantoms[1]).dataset.read().head(10)
    copy = PlantedCopy.of(Path("x"), table, {})
    with pytest.raises(UserError, match="larger --limit"):
        self_test.ground(copy, table, 0)
