# SPDX-License-Identifier: Apache-2.0
"""The files of a report: whole or not at all, safe with any text, always the same."""

import csv
import dataclasses
import errno
import html.parser
import itertools
import os
import pathlib
import re

import pyarrow.parquet as pq
import pytest
from matplotlib import image

from tests.campaign_journal_test import truncated, written
from tests.campaign_report_files import make_row, write_campaign
from tests.cli_test import one_line, run_tool
from tpufi.campaign.journal.reader import Reader
from tpufi.campaign.report import write
from tpufi.campaign.report.document import Table
from tpufi.campaign.report.figures import FIRST, INK, MUTED, PAPER, SECOND, Colour
from tpufi.cli.campaign import COMMAND as campaign

HOSTILE = "</td></script><script>alert(1)</script> $\\frac{x$ |**x**| `y` &amp; \"'"
ROWS = [make_row(number) for number in range(120)]


def report(folder: pathlib.Path, *arguments) -> pathlib.Path:
    names = [str(argument) for argument in ("report", folder, *arguments)]
    assert campaign.main(names) == 0
    return folder / "report"


@pytest.fixture(scope="module")
def hostile(tmp_path_factory) -> pathlib.Path:
    """A report on rows whose texts try to break out of it."""
    rows = []
    for row in ROWS:
        changes = {}
        if row.experiment % 3 == 0:
            layer = f"{HOSTILE}\n\x00\N{RIGHT-TO-LEFT OVERRIDE}"
            changes["fault"] = dataclasses.replace(
                row.fault, layer=layer, model=HOSTILE
            )
        if row.outcome == "crashed" or row.experiment == 1:
            changes |= {"outcome": "crashed", "error": HOSTILE}
        rows.append(dataclasses.replace(row, **changes))
    folder = write_campaign(tmp_path_factory.mktemp("hostile"), rows)
    return report(folder, "--title", HOSTILE)


class Page(html.parser.HTMLParser):
    """Collects elements, and checks that they nest."""

    _VOID = {"meta", "link", "br", "input"}

    def __init__(self, text: str):
        super().__init__()
        self.elements: list[tuple[str, dict]] = []
        self.open: list[str] = []
        self.scripts = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag not in self._VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] == "script":
            self.scripts += data

    def all(self, tag: str) -> list[dict]:
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture(scope="module")
def page(hostile) -> Page:
    return Page((hostile / "report.html").read_text())


def test_no_text_of_a_journal_becomes_an_element(page, hostile):
    assert not page.open
    assert len(page.all("script")) == 1 and "alert" not in page.scripts
    text = (hostile / "report.html").read_text()
    assert "<script>alert" not in text and "\0" not in text
    assert "\N{RIGHT-TO-LEFT OVERRIDE}" not in text
    assert text.count("&lt;script&gt;alert(1)") > 5


def test_every_identifier_is_there_once_and_every_link_leads_somewhere(page, hostile):
    found = [a["id"] for _, a in page.elements if "id" in a]
    assert len(found) == len(set(found))
    links = [a[k] for _, a in page.elements for k in ("href", "xlink:href") if k in a]
    assert len(links) > 20
    tables = {f"tables/{file.name}" for file in (hostile / "tables").iterdir()}
    assert {link for link in links if link.startswith("tables/")} == tables
    beside = ("data:", "tables/", "pictures/")
    within = [link for link in links if not link.startswith(beside)]
    assert {link.removeprefix("#") for link in within} <= set(found)
    labels = [a["aria-labelledby"] for _, a in page.elements if "aria-labelledby" in a]
    assert set(labels) <= set(found)


def test_a_page_asks_nobody_for_anything(page, hostile):
    policy = next(a for a in page.all("meta") if "http-equiv" in a)["content"]
    assert policy.startswith("default-src 'none'; ")
    for _, attributes in page.elements:
        assert not attributes.keys() & {"src", "srcset", "action", "onclick", "onload"}
    text = (hostile / "report.html").read_text()
    assert not re.findall(r"url\((?!#)|@import|https?://(?!www\.w3\.org)", text)


def test_every_picture_is_described_and_has_its_numbers(page):
    pictures = [a for a in page.all("div") if a.get("role") == "img"]
    assert len(pictures) == len(page.all("svg")) == len(page.all("figure")) >= 9
    assert min(len(a["aria-label"]) for a in pictures) > 40
    assert len(page.all("details")) == 3  # The others stand above their tables.
    assert all(a.get("aria-hidden") == "true" for a in page.all("svg"))


def test_markdown_names_its_pictures_and_tables(hostile):
    text = (hostile / "report.md").read_text()
    assert "<script" not in text and "\n</td>" not in text
    links = re.findall(r"(?<!\\)\]\(([^)]+)\)", text)
    assert {link for link in links if link.startswith("pictures/")} == {
        f"pictures/{file.name}" for file in (hostile / "pictures").glob("*.png")
    }
    assert {link for link in links if link.startswith("tables/")} == {
        f"tables/{file.name}" for file in (hostile / "tables").iterdir()
    }
    lines = text.splitlines()
    for head, rule in itertools.pairwise(lines):
        if rule.startswith("| ---"):
            assert _cells(head) == _cells(rule)
    assert all(_cells(line) > 1 for line in lines if line.startswith("|"))


def _cells(line: str) -> int:
    return len(re.findall(r"(?<!\\)\|", line)) - 1


def test_tables_hold_the_numbers_in_full(hostile):
    with open(hostile / "tables" / "by_model.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 4
    for row in rows:
        hits, trials = int(row["visible"]), int(row["experiments"])
        assert float(row["rate"]) == hits / trials
        assert float(row["interval, low"]) < float(row["interval, high"])


def test_pictures_are_drawn_and_can_be_saved_as_svg(hostile, page):
    linked = {a["href"] for a in page.all("a") if a.get("href", "").endswith(".svg")}
    for file in (hostile / "pictures").glob("*.png"):
        pixels = image.imread(file)
        assert pixels.shape[1] > 500 and pixels.std() > 0.02, file.name
        assert f"pictures/{file.stem}.svg" in linked
        assert "<path" in file.with_suffix(".svg").read_text()


def test_the_same_journal_gives_the_same_bytes_and_rows_on_request(tmp_path):
    folder = write_campaign(tmp_path, ROWS)
    first = report(folder)
    before = {f.relative_to(first): f.read_bytes() for f in first.rglob("*.*")}
    assert len(before) > 30
    report(folder, "--rows")
    table = pq.read_table(first / "rows.parquet")
    assert table.num_rows == len(ROWS)
    (first / "rows.parquet").unlink()
    after = {f.relative_to(first): f.read_bytes() for f in first.rglob("*.*")}
    assert {f for f in before if before[f] != after.get(f)} == set()
    assert before.keys() == after.keys()
    assert not list(folder.glob(".report*"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "journal.sqlite: there is no journal; name the folder"),
        (["broken"], "journal.sqlite: is damaged; keep a copy"),
        (["empty"], "of 0 experiments none says something about a fault"),
        (
            ["good", "--out", "notes"],
            "notes: holds mine.txt, which is no part of a rep",
        ),
        (["good", "--out", "notes/mine.txt"], "mine.txt: is no folder; name another"),
        (
            ["good", "--out", "no/out"],
            "no/out: no such folder around it; make it first",
        ),
        (["good", "--confidence", "1"], "1 is not below 1"),
        (["good", "--by", "bit"], "invalid choice: 'bit'"),
        (["good", "--by", "model", "model"], "by: 'model'; expected different names"),
        (["good", "--raw-fit", "0"], "0 is not above 0"),
        (["odd", "--raw-fit", "600"], "raw FIT: no fault model of this campaign"),
        (["good", "--title", "a\nb"], "printable characters; shorten it"),
        (["good", "--golden", "nowhere"], "nowhere/manifest.json: cannot read"),
    ],
)
def test_wrong_input_is_one_line_and_nothing_is_written(
    arguments, message, tmp_path, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    written(tmp_path / "good", range(9))
    written(tmp_path / "empty", [])
    odd = dataclasses.replace(ROWS[0].fault, model="FLIP")
    write_campaign(tmp_path, [dataclasses.replace(ROWS[0], fault=odd)])
    (tmp_path / "campaign").rename(tmp_path / "odd")
    truncated(written(tmp_path / "broken", range(2000)))
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "mine.txt").write_text("mine")
    before = sorted(tmp_path.rglob("*[!-]???"))
    assert run_tool(campaign, "report", *arguments) == 2
    assert message in one_line(capsys)
    assert sorted(tmp_path.rglob("*[!-]???")) == before


def test_a_full_disk_leaves_the_report_that_was_there(tmp_path, capsys, monkeypatch):
    folder = write_campaign(tmp_path, ROWS[:30])
    out = folder / "report"
    out.mkdir()
    (out / "report.html").write_text("the old one")

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Table, "write", full)
    monkeypatch.setattr(write, "drawn", lambda *_: "<svg></svg>")
    assert run_tool(campaign, "report", folder) == 2
    assert "cannot write: No space left on device; name a folder" in one_line(capsys)
    assert os.listdir(out) == ["report.html"]
    assert (out / "report.html").read_text() == "the old one"
    assert not list(folder.glob(".report*"))


def test_a_journal_is_only_read(tmp_path):
    folder = write_campaign(tmp_path, ROWS[:30])
    before = (folder / "journal.sqlite").read_bytes()
    report(folder)
    assert (folder / "journal.sqlite").read_bytes() == before
    with Reader.open(folder) as journal:
        assert journal.count() == 30


def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [
        x / 12.92 if x <= 0.03928 else ((x + 0.055) / 1.055) ** 2.4 for x in parts
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("colour", [INK, MUTED, FIRST, SECOND])
@pytest.mark.parametrize("mode", ["light", "dark"])
def test_text_has_the_contrast_of_wcag_aa(colour: Colour, mode: str):
    ends = [luminance(getattr(c, mode)) + 0.05 for c in (colour, PAPER)]
    assert max(ends) / min(ends) >= 4.5
