"""Pages of the service: templates filled with escaped values, and the files that they link to.

No page holds a script or a style of its own, so the content policy allows none: a value that was
not escaped could still neither run nor load anything.
"""

from functools import cache
from pathlib import Path
from typing import Any

import jinja2

from baseline.report import rendering as report

HERE = Path(__file__).parent
NOTICE = report.NOTICE
TYPES = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8"}


def environment() -> jinja2.Environment:
    """The template engine, as the report's."""
    return report.environment(HERE / "templates")


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
