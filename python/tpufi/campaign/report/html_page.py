# SPDX-License-Identifier: Apache-2.0
"""A report as one page of HTML that needs nothing else and asks nobody for anything."""

import base64
import hashlib
import pathlib
from collections.abc import Callable, Mapping
from html import escape

from tpufi.campaign.report.document import (
    Block,
    Command,
    Document,
    Listing,
    Paragraph,
    Picture,
    Section,
    Table,
)
from tpufi.campaign.report.html_table import table_html
from tpufi.campaign.report.palette import declarations

_FOLDER = pathlib.Path(__file__).parent


def html_page(document: Document, pictures: Mapping[str, str]) -> str:
    """Return the page.

    The page's own policy forbids every request and every script but its own.

    Args:
      document: what it shows; its texts are escaped.
      pictures: SVG by the key of the picture.
    """
    style = _style()
    script = (_FOLDER / "page.js").read_text()
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = (
        "default-src 'none'; style-src 'unsafe-inline'; "
        f"script-src 'sha256-{digest}'; img-src data:; base-uri 'none'; "
        "form-action 'none'"
    )
    links = "\n".join(
        f'<li><a href="#{escape(s.key)}">{escape(s.title)}</a></li>'
        for s in document.sections
    )
    sections = "\n".join(_section(s, pictures) for s in document.sections)
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<link rel="icon" href="data:,">
<title>{escape(document.title)}</title>
<style>
{style}</style>
</head>
<body>
<a class="skip" href="#main">Skip to the results</a>
<header>
<h1>{escape(document.title)}</h1>
<p>{escape(document.summary)}</p>
<nav aria-label="Sections"><ul>
{links}
</ul></nav>
</header>
<main id="main" tabindex="-1">
{sections}
</main>
<p id="announcement" class="hidden" role="status" aria-live="polite"></p>
<script>{script}</script>
</body>
</html>
"""


def _style() -> str:
    text = (_FOLDER / "page.css").read_text()
    light, dark = declarations(dark=False), declarations(dark=True)
    return (
        f":root {{ color-scheme: light dark; {light} }}\n"
        f"@media screen and (prefers-color-scheme: dark) {{ :root {{ {dark} }} }}\n"
        f"{text}"
    )


def _section(section: Section, pictures: Mapping[str, str]) -> str:
    key = escape(section.key)
    blocks = "\n".join(_block(block, pictures) for block in section.blocks)
    return (
        f'<section id="{key}" aria-labelledby="title-{key}">\n'
        f'<h2 id="title-{key}">{escape(section.title)}</h2>\n{blocks}\n</section>'
    )


def _block(block: Block, pictures: Mapping[str, str]) -> str:
    if isinstance(block, Picture):
        return _picture(block, pictures[block.key])
    return _BLOCKS[type(block)](block)


def _listing(block: Listing) -> str:
    return f"<ul>{''.join(f'<li>{escape(p)}</li>' for p in block.points)}</ul>"


def _picture(block: Picture, svg: str) -> str:
    key = escape(block.key)
    numbers = ""
    if block.table is not None:
        numbers = (
            f"<details><summary>Numbers of this picture</summary>\n"
            f"{table_html(block.table)}\n</details>"
        )
    return (
        f'<figure id="picture-{key}">\n'
        f'<div role="img" aria-label="{escape(block.alternative)}">\n{svg}\n</div>\n'
        f"<figcaption>{escape(block.caption)}</figcaption>\n</figure>\n{numbers}"
    )


_BLOCKS: dict[type, Callable[..., str]] = {
    Paragraph: lambda block: f"<p>{escape(block.text)}</p>",
    Listing: _listing,
    Command: lambda block: (
        '<pre tabindex="0" aria-label="command">'
        f"<code>{escape(block.text)}</code></pre>"
    ),
    Table: table_html,
}
