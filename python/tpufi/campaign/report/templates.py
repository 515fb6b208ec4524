# SPDX-License-Identifier: Apache-2.0
"""The templates beside this file: of the page, and of the notes."""

import pathlib

import jinja2

from tpufi.campaign.report.cells import (
    Code,
    cell_text,
    count_text,
    is_number,
    printable,
    share_text,
    sort_key,
)
from tpufi.campaign.report.document import Picture, Table

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
