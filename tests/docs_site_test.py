# SPDX-License-Identifier: Apache-2.0
"""The site of docs/: builds strictly, every link holds, no page asks the network."""

import functools
import html.parser
import http.server
import pathlib
import re
import subprocess
import sys
import threading
import time
import urllib.parse

import pytest
from tools.site.topics import TOPICS

import tpufi
from tests.chromium import Browser
from tests.docs_blocks import ROOT

pytest.importorskip("mkdocs", reason="mkdocs is not installed; ./dev setup does it")
MKDOCS = ROOT / "mkdocs.yml"
_WITHOUT_NETWORK = ("src", "srcset", "poster")


class _Page(html.parser.HTMLParser):
    """Collects what a page links to, what it loads, and its anchors."""

    def __init__(self, text: str):
        super().__init__()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.anchors: set[str] = {""}
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.anchors |= {found[key] for key in ("id", "name") if found.get(key)}
        self.loads += [found[key] for key in _WITHOUT_NETWORK if found.get(key)]
        if tag == "link" and found.get("rel") in ("stylesheet", "preload", "icon"):
            self.loads.append(found["href"])
        if tag == "a" and "href" in found:
            self.links.append(found["href"])


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> pathlib.Path:
    """The built site."""
    folder = tmp_path_factory.mktemp("site")
    run = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "-q", "-d", str(folder)],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr[-5000:]
    return folder


@pytest.fixture(scope="module")
def pages(site) -> dict[pathlib.Path, _Page]:
    """Every page but the reports of campaigns, which have tests of their own."""
    found = {
        file: _Page(file.read_text())
        for file in site.rglob("*.html")
        if file.name not in ("report.html", "404.html") or "results" not in file.parts
    }
    assert len(found) > 60
    return found


def test_every_link_leads_to_a_page_and_an_anchor_that_are_there(pages):
    checked, broken = 0, []
    for file, page in pages.items():
        if file.name == "404.html":
            continue  # Its links are those of a site at the root of a server.
        for link in page.links:
            parts = urllib.parse.urlsplit(link)
            if parts.scheme:
                continue  # No network in tests.
            name = urllib.parse.unquote(parts.path)
            there = (file.parent / name).resolve() if name else file
            anchor = urllib.parse.unquote(parts.fragment)
            known = pages[there].anchors if there in pages else {anchor}
            if not there.is_file() or anchor not in known:
                broken.append(f"{file.name} -> {link}")
            checked += 1
    assert not broken and checked > 3000


def test_no_page_loads_anything_from_elsewhere(site, pages):
    remote = {
        (file.name, source)
        for file, page in pages.items()
        for source in page.loads
        if re.match(r"(https?:)?//", source)
    }
    assert not remote
    fonts = [f for f in site.rglob("*.css") if "fonts.googleapis" in f.read_text()]
    assert not fonts


def test_the_reference_is_by_topic_and_has_each_public_name_once(site):
    named = [name for topic in TOPICS for name in topic.names]
    assert sorted(n for n in named if "." not in n) == sorted(tpufi.__all__)
    assert TOPICS[0].names[:2] == ("instrument", "instrument.Instrumented")
    nav = [f"reference/{topic.file}.md" for topic in TOPICS]
    assert re.findall(r"- (reference/\w+\.md)", MKDOCS.read_text())[:-1] == nav
    for topic in TOPICS:
        text = (site / "reference" / f"{topic.file}.html").read_text()
        anchors = _Page(text).anchors
        for name in topic.names:
            path = "instrument.instrument" if name == "instrument" else name
            assert f"tpufi.{path}" in anchors, name
    first = (site / "reference" / "instrument.html").read_text()
    assert "Put fault sites behind operations of a program" in first
    assert "Turn injections on within a" in first
    ops = (site / "reference" / "ops.html").read_text()
    assert "Tpufi&gt;FlipBits" in ops and "xor mask" in ops
    internals = site / "reference" / "internals"
    shown = _Page((internals / "tpufi.instrument.html").read_text()).anchors
    assert "tpufi.instrument.selection.select" in shown
    assert "tpufi.instrument.instrumented.Instrumented" not in shown


@pytest.mark.slow
def test_a_browser_shows_pages_from_the_folder_without_asking_anybody(site, tmp_path):
    with Browser(tmp_path / "profile") as browser:
        for name in ("index", "explanation/fault_models_in_pictures", "reference/ops"):
            browser.open((site / f"{name}.html").as_uri())
            pictures = "Array.from(document.querySelectorAll('article img'))"
            assert browser.run(f"{pictures}.every(i => i.naturalWidth > 0)")
            assert browser.run("document.querySelectorAll('h1').length") == 1
        asked = [
            event["params"]["request"]["url"]
            for event in browser.events
            if event.get("method") == "Network.requestWillBeSent"
        ]
    assert len(asked) > 10
    assert all(url.startswith(("file:", "data:")) for url in asked)


@pytest.mark.slow
def test_the_search_finds_a_page_when_the_site_is_served(site, tmp_path):
    serving = functools.partial(_Quiet, directory=str(site))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), serving) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with Browser(tmp_path / "profile") as browser:
            browser.open(f"http://127.0.0.1:{server.server_port}/index.html")
            browser.run("document.querySelector('.md-search__input').focus()")
            browser.send("Input.insertText", text="confinement")
            end, found = time.monotonic() + 30, 0
            while not found and time.monotonic() < end:
                found = browser.run(
                    "document.querySelectorAll('.md-search-result__item').length"
                )
                time.sleep(0.1)
        server.shutdown()
    assert found


class _Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves files without a log."""

    def log_message(self, *_) -> None:
        """Say nothing."""
