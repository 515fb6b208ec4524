# SPDX-License-Identifier: Apache-2.0
"""Links between docs/ and the rest of the repository, as they are on the site."""

import os
import posixpath
import re

# Pages of the site whose text lies outside docs/.
OUTSIDE = {
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "injections/README.md": "injections.md",
    "examples/README.md": "examples.md",
}
_SOURCES = {site: source for source, site in OUTSIDE.items()}
_REPORT = re.compile(r"(?<=/)report\.md$")
_LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^()\s#:]+)(#[^()\s]*)?\)")


def mended(markdown: str, page: str) -> str:
    """Return the text of a page with links that hold on the site.

    A link to a page outside docs/ leads to its copy on the site; one to any other file
    of the repository, which the site does not have, becomes plain text.

    Args:
      markdown: text of the page, with links as they are in the repository.
      page: path of the page on the site, `index.md`.
    """
    source = _SOURCES.get(page, f"docs/{page}")

    def link(match: re.Match) -> str:
        picture, text, target, anchor = match.groups()
        path = posixpath.normpath(posixpath.join(posixpath.dirname(source), target))
        if path in OUTSIDE:
            site = OUTSIDE[path]
        elif path.startswith("docs/"):
            # The site has a campaign's report as the page that it already is.
            site = _REPORT.sub("report.html", path.removeprefix("docs/"))
        else:
            return text
        there = os.path.relpath(site, posixpath.dirname(page) or ".")
        return f"{picture}[{text}]({there}{anchor or ''})"

    return _LINK.sub(link, markdown)
