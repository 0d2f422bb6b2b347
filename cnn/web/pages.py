"""The pages that people look at: where an X-ray is given, and its answer."""

from typing import Any

from cnn.page import rendering
from cnn.page.shown import Shown
from cnn.page.ward import Ward
from cnn.web.service import Service
from cnn.web.settings import MEBIBYTE


def start(service: Service) -> str:
    """The page that asks for an X-ray."""
    return rendering.page(
        "start.html",
        {
            "samples": service.samples,
            "most_bytes": service.limits.upload_bytes,
            "most": service.limits.upload_bytes // MEBIBYTE,
            "minutes": service.limits.keep_seconds / 60,
            "model": service.model,
        },
    )


def study(service: Service, name: str, shown: Shown) -> str:
    """The page of an answer."""
    answer = shown.answer
    values: dict[str, Any] = {
        "name": name,
        "shown": shown,
        "answer": answer,
        "triage": answer.triage_class,
        "ward": service.ward,
        "ward_counts": _counts(service.ward),
        "model": service.model,
        "minutes": service.limits.keep_seconds / 60,
        "outlines": None if service.outlines is None else service.outlines.path.name,
    }
    return rendering.page("study.html", values)


def _counts(ward: Ward) -> dict[str, int | float | str]:
    """What the dial's script reads."""
    return {**vars(ward), "prevalence": ward.prevalence}
