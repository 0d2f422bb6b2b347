"""All checks in the order of the page. A check is a function from facts to one finding."""

from collections.abc import Callable, Iterator

from baseline.audit import (
    check_counts,
    check_duplicates,
    check_labels,
    check_lesions,
    check_masks,
    check_people,
    check_pictures,
    check_shift,
    check_shortcuts,
)
from baseline.audit.findings import Finding
from baseline.audit_facts.facts import Facts

Check = Callable[[Facts], Finding]

CHECKS: tuple[Check, ...] = (
    check_counts.counts,
    check_counts.unlabelled,
    check_counts.without_image,
    check_counts.unreadable,
    check_people.people,
    check_people.ages,
    check_people.one_person,
    check_people.both_sets,
    check_lesions.lesions,
    check_lesions.readers,
    check_masks.place_and_size,
    check_masks.turned,
    check_masks.copied,
    check_duplicates.duplicates,
    check_duplicates.across_sets,
    check_duplicates.other_label,
    check_labels.suspicious_labels,
    check_pictures.odd_pictures,
    check_labels.quality_flags,
    check_shift.shift,
    check_shortcuts.shortcuts,
)


def stream(facts: Facts) -> Iterator[Finding]:
    """Every check's finding, in the order of the page, as it comes."""
    for check in CHECKS:
        yield check(facts)
