# SPDX-License-Identifier: Apache-2.0
"""What MkDocs calls while it builds the site: adds made pages, mends their links."""

import pathlib

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from tools.site.op_docs import ops_page
from tools.site.outside_links import OUTSIDE, mended
from tools.site.reference import reference_pages

ROOT = pathlib.Path(__file__).resolve().parents[2]


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that lie outside docs/ and the reference."""
    pages = {site: (ROOT / source).read_text() for source, site in OUTSIDE.items()}
    pages |= reference_pages(ROOT / "python" / "tpufi")
    pages["reference/ops.md"] = ops_page(ROOT / "cc" / "ops")
    pages["site.css"] = (ROOT / "tools" / "site" / "site.css").read_text()
    for name, text in pages.items():
        files.append(File.generated(config, name, content=text))
    return files


def on_page_markdown(
    markdown: str, page: Page, config: MkDocsConfig, files: Files
) -> str:
    """Let links lead where the linked file is on the site."""
    return mended(markdown, page.file.src_uri)
