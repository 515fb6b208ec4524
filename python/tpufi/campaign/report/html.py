# SPDX-License-Identifier: Apache-2.0
"""A report as one page of HTML that needs nothing else and asks nobody for anything."""

import base64
import hashlib
import pathlib
from collections.abc import Mapping

import jinja2
from markupsafe import Markup

from tpufi.campaign.report.cells import NUMERIC, cell_text, sort_key
from tpufi.campaign.report.document import Command, Document, Picture, Table
from tpufi.campaign.report.palette import declarations

_FOLDER = pathlib.Path(__file__).parent
_MOST_ROWS = 2000


def html_page(document: Document, pictures: Mapping[str, str]) -> str:
    """Return the page.

    The page's own policy forbids every request and every script but its own.

    Args:
      document: what it shows; its texts are escaped.
      pictures: SVG by the key of the picture.
    """
    # A text as it is would not match the digest of the policy.
    script = (_FOLDER / "page.js").read_text()
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return _template().render(
        document=document,
        pictures={key: Markup(svg) for key, svg in pictures.items()},
        most_rows=_MOST_ROWS,
        script=Markup(script),
        digest=digest,
        style=Markup((_FOLDER / "page.css").read_text()),
        light=declarations(dark=False),
        dark=declarations(dark=True),
    )


def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_FOLDER),
        autoescape=True,
        keep_trailing_newline=True,
        lstrip_blocks=True,
        trim_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters |= {"cell_text": cell_text, "sort_key": sort_key}
    environment.tests |= {
        "command": lambda block: isinstance(block, Command),
        "numeric": NUMERIC.__contains__,
        "picture": lambda block: isinstance(block, Picture),
        "table": lambda block: isinstance(block, Table),
    }
    return environment.get_template("page.html.j2")
