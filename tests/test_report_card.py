"""The model card and the reporting checklists: all items, the run's own facts, no more."""

import dataclasses
import re
import shutil
from types import SimpleNamespace

import numpy as np
import pytest

from baseline.explanation import trained_run
from baseline.learning import estimator
from baseline.report import rendering
from baseline.report import model_card
from features.phantom import dicom
from features.run.files import write_json
from tests.helpers.page_reader import Page


def test_checklists_hold_every_item_once_and_fill_what_the_run_knows(noise_run):
    values = model_card.facts(noise_run, trained_run.read_inputs(noise_run))
    claim, tripod = model_card.checklists(values, set())
    assert [item.number for item in claim["items"]] == [str(k) for k in range(1, 45)]
    numbers = [item.number for item in tripod["items"]]
    assert len(numbers) == len(set(numbers)) == 52
    assert {re.sub("[a-z]", "", number) for number in numbers} == {str(k) for k in range(1, 28)}
    by_number = {item.number: item for item in claim["items"]}
    assert by_number["20"].filled and not by_number["44"].filled
    assert str(values["auc"]) in by_number["32"].text
    # What was not asked is open, and says which command asks it.
    assert not by_number["30"].filled and by_number["30"].text == "make scrutiny report"
    asked = {item.number: item for item in model_card.checklists(values, {"questions"})[0]["items"]}
    assert asked["30"].filled and asked["30"].see == "questions"
    # The toolkit's defaults were chosen while looking at scores, and that is said.
    choices = (by_number["26"], {item.number: item for item in tripod["items"]}["9a"])
    assert all(not item.filled and "147 SIIM images" in item.text for item in choices)


def test_the_facts_are_those_of_the_run(noise_run):
    found = trained_run.read_inputs(noise_run)
    values = model_card.facts(noise_run, found)
    assert (values["images"], values["known"], values["deployed"]) == (106, 100, 6)
    assert values["groups"] == 53 and values["folds"] == 2
    assert values["phantoms"] == 0
    boosters = [estimator.load(noise_run / "baseline" / f"fold{k}.txt") for k in (0, 1)]
    assert values["trees"] == sum(booster.num_trees() for booster in boosters) > 0
    assert values["age_unknown"] == 36 and values["views"] == "PA 106"
    training, test = model_card.partitions(found.dataset, found.truth)
    assert training["positive"] + training["negative"] == 100
    assert test["positive"] + test["negative"] == 6
    assert training["age"] == "40 (40 to 40)"


def test_phantoms_that_taught_the_map_are_told(noise_run, tmp_path):
    found = trained_run.read_inputs(noise_run)
    assert model_card.facts(noise_run, found)["teachers"] == 0
    shutil.copytree(noise_run / "baseline", tmp_path / "baseline")
    write_json(tmp_path / "evidence" / "settings.json", {"phantoms": 270})
    names = [*found.explanation.names, "evidence.right_apex.mean"]
    hearing = dataclasses.replace(
        found, explanation=dataclasses.replace(found.explanation, names=names)
    )
    values = model_card.facts(tmp_path, hearing)
    said = "evidence map learned where air lies from 270 phantoms too"
    assert any(said in sentence for sentence in model_card.limitations(values, None))
    for checklist, number in zip(model_card.checklists(values, set()), ("25", "12c"), strict=True):
        (item,) = (item for item in checklist["items"] if item.number == number)
        assert "learned from 270 phantoms too" in item.text


def test_phantoms_are_told_by_their_tag(tmp_path):
    exposure = SimpleNamespace(pose="supine")
    pixels = np.zeros((64, 64), np.uint8)
    drawn = SimpleNamespace(
        view="AP", sex="F", age=50, exposure=exposure, pixels=pixels, spacing_mm=0.2
    )
    path = tmp_path / "ID_00000001.dcm"
    dicom.dicom(drawn, path.stem).save_as(path)
    assert dicom.is_phantom(path)
    of_a_person = dicom.dicom(drawn, path.stem)
    of_a_person.PatientName = "Doe^Jane"
    of_a_person.save_as(path)
    assert not dicom.is_phantom(path)
    (tmp_path / "a.png").write_bytes(b"no DICOM")
    assert not dicom.is_phantom(tmp_path / "a.png")
    assert not dicom.is_phantom(tmp_path / "gone.dcm")


@pytest.mark.parametrize(
    ("phantoms", "banner", "limit"),
    [
        (0, None, "All images come from one dataset"),
        (6, "6 of 106 images of this run are phantoms", "6 of 106 images are synthetic"),
        (106, "Phantoms: all 106 images of this run are synthetic", "All images are synthetic"),
    ],
)
def test_a_report_of_phantoms_says_so(noise_report, phantoms, banner, limit):
    facts = noise_report["facts"] | {"phantoms": phantoms}
    limits = model_card.limitations(facts, None)
    assert any(sentence.startswith(limit) for sentence in limits)
    text = rendering.render("report.html", noise_report | {"facts": facts, "limitations": limits})
    found = Page(text)
    banners = [a for a in found.every("p") if "synthetic" in (a.get("class") or "")]
    assert len(banners) == (banner is not None)
    assert banner is None or banner in found.text
    assert limit in found.text


def test_weak_labels_are_said_to_teach_and_not_to_be_scored(noise_report):
    assert (
        "teach and are never scored" not in Page(rendering.render("report.html", noise_report)).text
    )
    weak = noise_report | {"facts": noise_report["facts"] | {"weak": 1100}}
    assert "teach and are never scored" in Page(rendering.render("report.html", weak)).text
