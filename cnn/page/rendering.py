"""Pages of the service: templates filled with escaped values, and the files that they link to.

No page holds a script or a style of its own, so the content policy allows none: a value that was
not escaped could still neither run nor load anything.
"""

from functools import cache
from pathlib import Path
from typing import Any

import jinja2

from baseline.explanation.wording import percent, signed
from baseline.report import rendering as report

HERE = Path(__file__).parent
NOTICE = report.NOTICE
TYPES = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8"}


@cache
def environment() -> jinja2.Environment:
    """The template engine: every value is escaped, and a missing one is an error."""
    engine = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    engine.filters |= {"percent": percent, "signed": signed}
    return engine


def page(template: str, values: dict[str, Any]) -> str:
    """Fill a page.

    Parameters
    ----------
    template : str
        Name of a template.
    values : dict
        What it shows.
    """
    return environment().get_template(template).render({"notice": NOTICE} | values)


@cache
def static_files() -> dict[str, tuple[str, bytes]]:
    """Content type and bytes of the files that pages link to, by name."""
    paths = [*sorted((HERE / "static").iterdir()), report.TEMPLATES / "page.css"]
    return {path.name: (TYPES[path.suffix], path.read_bytes()) for path in paths}
