# SPDX-License-Identifier: Apache-2.0
"""The page of a report in a real browser: looks, keyboard, console, requests, print."""

import pathlib
import re

import pytest
from matplotlib import image

from tests.campaign_report_files import make_row, write_campaign
from tests.chromium import Browser
from tpufi.campaign.report.options import Options
from tpufi.campaign.report.write import write_report

pytestmark = pytest.mark.slow
_DARK = [{"name": "prefers-color-scheme", "value": "dark"}]
_LIGHT = [{"name": "prefers-color-scheme", "value": "light"}]


@pytest.fixture(scope="module")
def address(tmp_path_factory) -> str:
    rows = [make_row(number) for number in range(600)]
    folder = write_campaign(tmp_path_factory.mktemp("browser"), rows)
    write_report(folder, folder / "report", Options(by=("model", "layer", "direction")))
    return (folder / "report" / "report.html").as_uri()


@pytest.fixture
def browser(address, tmp_path):
    with Browser(tmp_path / "profile") as browser:
        browser.send(
            "Emulation.setDeviceMetricsOverride",
            width=1100, height=1400, deviceScaleFactor=1, mobile=False,
        )  # fmt: skip
        browser.open(address)
        yield browser


def test_all_elements_are_there_and_nothing_is_logged_or_asked_for(browser, address):
    assert browser.run("document.querySelectorAll('figure svg').length") >= 11
    assert browser.run("document.querySelectorAll('h2').length") >= 14
    assert browser.run("document.querySelectorAll('th button').length") > 50
    assert browser.run("document.querySelectorAll('.filter input').length") >= 2
    broken = "a => !document.getElementById(a.hash.slice(1))"
    links = "Array.from(document.querySelectorAll('nav a'))"
    assert browser.run(f"{links}.filter({broken}).length") == 0
    overflow = "document.documentElement.scrollWidth > innerWidth"
    assert browser.run(overflow) is False
    methods = [event.get("method") for event in browser.events]
    for unwanted in ("Log.entryAdded", "Runtime.consoleAPICalled",
                     "Runtime.exceptionThrown"):  # fmt: skip
        found = [e for e in browser.events if e.get("method") == unwanted]
        assert not found, found
    requests = [
        event["params"]["request"]["url"]
        for event in browser.events
        if event.get("method") == "Network.requestWillBeSent"
    ]
    assert "Page.loadEventFired" in methods
    assert [url for url in requests if not url.startswith("data:")] == [address]


@pytest.mark.parametrize(("features", "is_dark"), [(_LIGHT, False), (_DARK, True)])
def test_the_page_is_drawn_in_light_and_dark(browser, features, is_dark, tmp_path):
    browser.send("Emulation.setEmulatedMedia", features=features)
    browser.write("Page.captureScreenshot", tmp_path / "page.png", format="png")
    pixels = image.imread(tmp_path / "page.png")[..., :3]
    paper = pixels[2, 2]
    assert paper.max() < 0.2 if is_dark else paper.min() > 0.8
    drawn = abs(pixels - paper).max(axis=-1) > 0.3
    assert 0.01 < drawn.mean() < 0.5
    # Orange bars of visible effects, and axes in a colour that shows on the paper.
    orange = (pixels[..., 0] - pixels[..., 2] > 0.25) & (pixels[..., 0] > 0.5)
    assert orange.sum() > 300
    ink = browser.run("getComputedStyle(document.querySelector('svg text')).fill")
    bright = sum(map(int, re.findall(r"[0-9]+", ink)[:3])) / 3 / 255
    assert abs(bright - float(paper.mean())) > 0.6


def test_a_keyboard_skips_to_the_results_and_sorts_a_table(browser):
    browser.press("Tab")
    assert browser.run("document.activeElement.className") == "skip"
    browser.press("Enter", "\r")
    assert browser.run("document.activeElement.id") == "main"
    cells = (
        "Array.from(document.querySelectorAll('#table-by_model tbody tr'),"
        " row => Number(row.cells[2].dataset.key))"
    )
    before = browser.run(cells)
    browser.run("document.querySelector('#table-by_model th button').focus()")
    for _ in range(2):
        browser.press("Tab")
    head = "document.activeElement.parentElement"
    assert browser.run(f"{head}.textContent") == "visible"
    browser.press("Enter", "\r")
    assert browser.run(cells) == sorted(before, reverse=True)
    assert browser.run(f"{head}.getAttribute('aria-sort')") == "descending"
    browser.press(" ", " ")
    assert browser.run(cells) == sorted(before)
    assert browser.run(f"{head}.getAttribute('aria-sort')") == "ascending"
    told = browser.run("document.getElementById('announcement').textContent")
    assert told == "Sorted by visible, ascending."


def test_rows_can_be_filtered(browser):
    table = "document.querySelector('#table-tests_model-layer-direction')"
    shown = f"Array.from({table}.tBodies[0].rows).filter(row => !row.hidden).length"
    assert browser.run(shown) == 12
    label = "document.querySelector('#table-replays').parentElement"
    field = f"{label}.previousElementSibling.querySelector('input')"
    browser.run(f"{field}.focus()")
    browser.send("Input.insertText", text="MEDIAN")
    rows = "Array.from(document.querySelectorAll('#table-replays tbody tr'))"
    texts = browser.run(f"{rows}.filter(r => !r.hidden).map(r => r.textContent)")
    assert len(texts) >= 7 and all("median" in text for text in texts)


def test_without_scripts_the_page_shows_the_same(browser, address):
    text = "document.querySelector('#table-outcomes tbody').textContent"
    with_scripts = browser.run(text)
    browser.send("Emulation.setScriptExecutionDisabled", value=True)
    browser.open(f"{address}?")
    assert browser.run("document.querySelectorAll('th button').length") == 0
    assert browser.run(text) == with_scripts
    assert browser.run("document.querySelectorAll('figure svg').length") >= 11


def test_it_prints_on_several_pages_in_light_colours(browser, tmp_path):
    browser.send("Emulation.setEmulatedMedia", media="print", features=_DARK)
    paper = browser.run("getComputedStyle(document.body).backgroundColor")
    assert min(map(int, re.findall(r"[0-9]+", paper)[:3])) > 240
    nav = "getComputedStyle(document.querySelector('nav')).display"
    assert browser.run(nav) == "none"
    file: pathlib.Path = tmp_path / "page.pdf"
    browser.write("Page.printToPDF", file)
    assert 5 <= len(re.findall(rb"/Type\s*/Page\b", file.read_bytes())) <= 60
