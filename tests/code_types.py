# SPDX-License-Identifier: Apache-2.0
"""The code of pages as one Python file each, for type checkers."""

import doctest
import pathlib

from tests.docs_blocks import ROOT, blocks

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs" / "tutorial").glob("*.md"))]


def code_of(page: pathlib.Path) -> str:
    """Return the code of a page; what it types in a session is code too."""
    parts = []
    for block in blocks(page):
        if block.language == "python":
            parts.append(block.text)
        elif block.language == "pycon":
            examples = doctest.DocTestParser().get_examples(block.text)
            parts += [example.source for example in examples]
    return "\n".join(parts)


def write_pages(folder: pathlib.Path) -> list[pathlib.Path]:
    """Write the code of all pages that have some."""
    files = []
    for page in PAGES:
        if text := code_of(page):
            file = folder / f"{page.stem.lower()}.py"
            file.write_text(text)
            files.append(file)
    return files
