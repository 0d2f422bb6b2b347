"""Pages of the report: templates filled with escaped values, each page whole in one file.

A page loads nothing from any network. Its content policy names the one script by its hash, so that
a value that was not escaped could still not run, and could load nothing.
"""

import base64
import hashlib
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from baseline.explanation.wording import area_percent, percent, signed

TEMPLATES = Path(__file__).with_name("templates")
NOTICE = "For research and education; not a medical device"


@cache
def environment(templates: Path = TEMPLATES) -> jinja2.Environment:
    """The engine of a folder of templates: every value is escaped, a missing one is an error."""
    engine = jinja2.Environment(
        loader=jinja2.FileSystemLoader(templates),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    engine.filters |= {"percent": percent, "signed": signed, "area_percent": area_percent}
    return engine


def render(template: str, values: dict[str, Any]) -> str:
    """Fill a page.

    Parameters
    ----------
    template : str
        Name of a template that extends page.html.
    values : dict
        What it shows.
    """
    style, script = ((TEMPLATES / name).read_text("utf-8") for name in ("page.css", "page.js"))
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
    frame = {"style": Markup(style), "script": Markup(script), "digest": digest, "notice": NOTICE}
    return environment().get_template(template).render(frame | values)


def plain(text: str, values: dict[str, Any]) -> str:
    """Fill a sentence of the project with values, unescaped: it is text, not yet part of a page."""
    engine = jinja2.Environment(undefined=jinja2.StrictUndefined, autoescape=False)
    return engine.from_string(text).render(values)
