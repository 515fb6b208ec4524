# SPDX-License-Identifier: Apache-2.0
"""A report as one page of HTML that needs nothing else and asks nobody for anything."""

import base64
import hashlib
from collections.abc import Mapping

from markupsafe import Markup

from tpufi.campaign.report.document import Document
from tpufi.campaign.report.palette import declarations
from tpufi.campaign.report.templates import FOLDER, rendered

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
