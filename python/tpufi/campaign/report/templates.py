# SPDX-License-Identifier: Apache-2.0
"""The templates beside this file: the page of HTML, and the notes."""

import base64
import hashlib
import pathlib
from collections.abc import Mapping

import jinja2
from markupsafe import Markup

from tpufi.campaign.report.cells import (
    Code,
    cell_text,
    count_text,
    is_number,
    printable,
    share_text,
    sort_key,
)
from tpufi.campaign.report.document import Document, Picture, Table
from tpufi.campaign.report.figures import declarations

FOLDER = pathlib.Path(__file__).parent


def rendered(name: str, **values: object) -> str:
    """Return a template with its values; what goes into HTML is escaped."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER),
        autoescape=jinja2.select_autoescape(["html.j2"]),
        keep_trailing_newline=True,
        lstrip_blocks=True,
        trim_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters |= {
        "cell_text": cell_text,
        "count": count_text,
        "printable": printable,
        "share": share_text,
        "sort_key": sort_key,
    }
    environment.tests |= {
        "code": lambda text: isinstance(text, Code),
        "numeric": is_number,
        "picture": lambda block: isinstance(block, Picture),
        "table": lambda block: isinstance(block, Table),
    }
    return environment.get_template(name).render(values)


_MOST_ROWS = 2000


def html_page(document: Document, pictures: Mapping[str, str]) -> str:
    """Return the page.

    The page's own policy forbids every request and every script but its own.

    Args:
      document: what it shows; its texts are escaped.
      pictures: SVG by the key of the picture.
    """
    # A text as it is would not match the digest of the policy.
    script = (FOLDER / "page.js").read_text()
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return rendered(
        "page.html.j2",
        document=document,
        pictures={key: Markup(svg) for key, svg in pictures.items()},
        most_rows=_MOST_ROWS,
        script=Markup(script),
        digest=digest,
        style=Markup((FOLDER / "page.css").read_text()),
        light=declarations(dark=False),
        dark=declarations(dark=True),
    )
