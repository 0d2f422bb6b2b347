"""The audit: what a careful person looks at before training, as one offline page and as JSON.

``python -m baseline.audit.write --run RUN --data DATA`` writes RUN/audit/index.html and
RUN/audit/audit.json. It needs dataset.parquet; features, out-of-fold predictions and flags of the
quality gate are read where they exist. The exit status is 0 if every check passes, 1 if one fails,
2 if the audit could not be made. ``--selftest`` plants faults in a copy of the data instead, and
prints which of them are found (see `baseline.audit.self_test`).
"""

import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from baseline.audit import checks, self_test
from baseline.audit.findings import Finding
from baseline.audit_facts import facts
from baseline.audit_facts.facts import Facts
from baseline.report import rendering
from features.run import command, files
from features.run.files import UserError
from features.run.folder import RunFolder
from features.run.version import VERSION

# Raised whenever audit.json changes its form.
FORMAT = 2
# Items of a check that the page names, and those that are not folded away; audit.json names all.
NAMED, FIRST = 60, 8
LARGEST_PAGE = 10_000_000
# Images that are looked at unless a limit is given: two minutes' work of two cores.
MOST = 5_000


@dataclass(frozen=True)
class Settings:
    """Audit the dataset of RUN; write RUN/audit/index.html and RUN/audit/audit.json."""

    run: Path
    """Run folder with dataset.parquet."""
    data: Path | None = None
    """The dataset's folder, for the single annotations of each image; without it each image has
    the union of its annotations only."""
    limit: int | None = None
    """Look at no more images than this, taken evenly of both sets; 0 for all. By default 5,000, and
    240 in the self-test."""
    selftest: bool = False
    """Plant faults in a copy of the data and print which are found; nothing is written."""
    seed: int = 0
    """Seed of the choice of images in which faults are planted."""
    jobs: int = -1
    """Processes; -1 for one a core."""


def as_json(findings: list[Finding], gathered: Facts, seconds: float) -> dict[str, Any]:
    """The content of audit.json.

    Parameters
    ----------
    findings : list of Finding
    gathered : Facts
    seconds : float
        What the audit took.

    Returns
    -------
    dict
        "format", "version", "images" (those that were looked at), "of" (all of the dataset),
        "seconds", "status" (the exit status), counts of "passed", "failed" and "not_applicable"
        checks, and "checks": a list of "check", "state" ("pass", "fail" or "not applicable"),
        "sentence", "pipeline", "user" and "items", each of them with "subject", "text" and
        "ids".
    """
    states = [finding.state for finding in findings]
    return {
        "format": FORMAT,
        "version": VERSION,
        "images": len(gathered.table),
        "of": gathered.total,
        "seconds": round(seconds, 1),
        "status": status(findings),
        "passed": states.count("pass"),
        "failed": states.count("fail"),
        "not_applicable": states.count("not applicable"),
        "checks": [
            {
                "check": finding.check,
                "state": finding.state,
                "sentence": finding.sentence,
                "pipeline": finding.pipeline,
                "user": finding.user,
                "items": [
                    {"subject": item.subject, "text": item.text, "ids": list(item.ids)}
                    for item in finding.items
                ],
            }
            for finding in findings
        ],
    }


def status(findings: list[Finding]) -> int:
    """Exit status: 1 if a check fails."""
    return int(any(finding.state == "fail" for finding in findings))


def page(findings: list[Finding], gathered: Facts, seconds: float, data: str) -> str:
    """The page as HTML."""
    states = [finding.state for finding in findings]
    values = {
        "findings": findings,
        "anchors": [finding.check.replace(" ", "-").replace(",", "") for finding in findings],
        "passed": states.count("pass"),
        "failed": states.count("fail"),
        "skipped": states.count("not applicable"),
        "images": len(gathered.table),
        "total": gathered.total,
        "seconds": seconds,
        "data": data,
        "named": NAMED,
        "first": FIRST,
        "version": VERSION,
    }
    return rendering.render("audit.html", values)


def audit(settings: Settings) -> int:
    """Write the page and the JSON; print a line a check; return the exit status."""
    run, start = RunFolder(settings.run).check(), time.monotonic()
    limit = MOST if settings.limit is None else settings.limit
    gathered = facts.read(run, settings.data, limit, settings.jobs)
    findings = list(
        command.progress(checks.stream(gathered), "checks", len(checks.CHECKS), "checks")
    )
    seconds = time.monotonic() - start
    text = page(findings, gathered, seconds, str(settings.data or run.root))
    if len(text) > LARGEST_PAGE:
        raise AssertionError(f"the page has {len(text):,} bytes, more than {LARGEST_PAGE:,}")
    files.write_text(run.audit_page, text)
    files.write_json(run.audit_findings, as_json(findings, gathered, seconds))
    for finding in findings:
        print(f"{finding.state:>14}  {finding.check}: {finding.sentence}")
    pace = 1000 * seconds / len(gathered.table)
    print(
        f"{run.audit_page} ({len(text) / 1e6:.1f} MB): {len(gathered.table):,} images in "
        f"{seconds:.0f} s, {pace:.0f} s for 1,000 images"
    )
    if len(gathered.table) < gathered.total:
        print(
            f"That is a part of the {gathered.total:,} images, taken evenly of both sets; LIMIT=0 "
            "(--limit 0) looks at all of them."
        )
    return status(findings)


def main(settings: Settings) -> None:
    """Audit, or test the audit itself."""
    if settings.limit is not None and settings.limit < 0:
        raise UserError(f"--limit is {settings.limit}; give a number of images, or 0 for all.")
    result = self_test.main(settings) if settings.selftest else audit(settings)
    if result:
        sys.exit(result)


if __name__ == "__main__":
    command.run(main)
