"""The model card and the reporting checklists: all items, the run's own facts, no more."""

import re
from dataclasses import replace
from types import SimpleNamespace

import pytest

from baseline.evidence_map.results import EvidenceSettings
from baseline.explanation import trained_run
from baseline.learning import estimator
from baseline.report import checklists, model_card, rendering
from baseline.report.checklists import Item
from baseline.report.model_card import Facts
from features.run.files import write_record
from features.run.folder import RunFolder
from features.run.version import VERSION
from tests.helpers.page_reader import Page


@pytest.fixture(scope="module")
def facts(noise_report) -> Facts:
    return noise_report["facts"]


def items(facts: Facts, stages: set[str] = frozenset()) -> tuple[dict[str, Item], dict[str, Item]]:
    """Items of CLAIM and of TRIPOD by number."""
    claim, tripod = checklists.fill(facts, set(stages))
    return tuple({item.number: item for item in part.items} for part in (claim, tripod))


def test_checklists_hold_every_item_once_and_fill_what_the_run_knows(facts):
    claim, tripod = checklists.fill(facts, set())
    assert [item.number for item in claim.items] == [str(k) for k in range(1, 45)]
    numbers = [item.number for item in tripod.items]
    assert len(numbers) == len(set(numbers)) == 52
    assert {re.sub("[a-z]", "", number) for number in numbers} == {str(k) for k in range(1, 28)}
    claim, tripod = items(facts)
    assert claim["20"].filled and not claim["44"].filled
    assert str(facts.auc) in claim["32"].text
    # What was not checked is open, and names the command that checks it.
    assert not claim["30"].filled and claim["30"].text == "make shortcuts report"
    assert not claim["31"].filled and claim["31"].text == "make faithfulness report"
    with_shortcuts = items(facts, {"shortcuts"})[0]
    assert with_shortcuts["30"].filled and with_shortcuts["30"].see == "subgroups"
    # The toolkit's defaults were chosen by people who saw scores, and the report says so.
    choices = (claim["26"], tripod["9a"])
    assert all(not item.filled and "147 SIIM images" in item.text for item in choices)


def test_the_facts_are_those_of_the_run(noise_run, facts):
    assert (facts.images, facts.known, facts.deployed) == (106, 100, 6)
    assert facts.groups == 53 and facts.folds == 2
    assert facts.phantoms == 0
    assert facts.version == VERSION
    boosters = [estimator.load(noise_run.classifier(fold)) for fold in (0, 1)]
    assert facts.trees == sum(booster.num_trees() for booster in boosters) > 0
    assert facts.age_unknown == 36 and facts.views == "PA 106"
    trained = trained_run.read(noise_run)
    training, test = model_card.partitions(trained.dataset, trained.truth)
    assert training.positive + training.negative == 100
    assert test.positive + test.negative == 6
    assert training.age == "40 (40 to 40)"


def test_the_card_shows_the_toolkits_version(noise_report):
    page = Page(rendering.render("report.html", noise_report))
    assert f"toolkit version {VERSION}" in page.text


def test_auxiliary_phantoms_are_named(facts, tmp_path):
    assert facts.auxiliary_phantoms == 0
    run = RunFolder(tmp_path)
    write_record(run.evidence_settings, EvidenceSettings(VERSION, 0, 0.5, 270, 0.1, 1.0, 0.3))
    assert model_card.auxiliary_phantoms(SimpleNamespace(run=run, uses_evidence=True)) == 270
    assert model_card.auxiliary_phantoms(SimpleNamespace(run=run, uses_evidence=False)) == 0
    with_phantoms = replace(facts, auxiliary_phantoms=270)
    sentence = "The evidence map also learned from 270 auxiliary phantoms"
    assert any(sentence in limit for limit in model_card.limitations(with_phantoms, None))
    for part, number in zip(items(with_phantoms), ("25", "12c"), strict=True):
        assert "also learned from 270 auxiliary phantoms" in part[number].text


@pytest.mark.parametrize(
    ("phantoms", "banner", "limit"),
    [
        (0, None, "All images come from one dataset"),
        (6, "6 of 106 images of this run are phantoms", "6 of 106 images are synthetic"),
        (106, "Phantoms: all 106 images of this run are synthetic", "All images are synthetic"),
    ],
)
def test_a_report_of_phantoms_says_so(noise_report, facts, phantoms, banner, limit):
    facts = replace(facts, phantoms=phantoms)
    limits = model_card.limitations(facts, None)
    assert any(sentence.startswith(limit) for sentence in limits)
    text = rendering.render("report.html", noise_report | {"facts": facts, "limitations": limits})
    page = Page(text)
    banners = [a for a in page.every("p") if "synthetic" in (a.get("class") or "")]
    assert len(banners) == (banner is not None)
    assert banner is None or banner in page.text
    assert limit in page.text


def test_weak_labels_are_never_scored_and_the_report_says_so(noise_report, facts):
    sentence = "They are training images and are never scored"
    assert sentence not in Page(rendering.render("report.html", noise_report)).text
    weak = noise_report | {"facts": replace(facts, weak=1100)}
    assert sentence in Page(rendering.render("report.html", weak)).text
