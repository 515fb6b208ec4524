# SPDX-License-Identifier: Apache-2.0
"""A newcomer's path: the tutorial in its order, in one folder, up to the report."""

import json
import pathlib
import re

import pytest
import yaml
from matplotlib import image

from tests.chromium import Browser
from tests.docs_blocks import ROOT, run_page

pytestmark = pytest.mark.slow
TUTORIAL = ROOT / "docs" / "tutorial"


def chapters() -> list[str]:
    """Return the pages of the tutorial in the order of the navigation."""
    text = re.sub(r"!!python\S+", "", (ROOT / "mkdocs.yml").read_text())
    (found,) = (n["Tutorial"] for n in yaml.safe_load(text)["nav"] if "Tutorial" in n)
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> pathlib.Path:
    """The folder in which a newcomer typed all that the tutorial says."""
    folder = tmp_path_factory.mktemp("newcomer")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for chapter in chapters():
            run_page(ROOT / "docs" / chapter, folder)
    return folder


def test_the_navigation_has_every_chapter_and_each_leads_to_the_next():
    pages = [ROOT / "docs" / chapter for chapter in chapters()]
    assert sorted(pages) == sorted(TUTORIAL.glob("*.md"))
    for page, after in zip(pages, pages[1:], strict=False):
        assert re.search(rf"^Next: .*\({after.name}\)", page.read_text(), re.MULTILINE)


def test_the_first_injection_leaves_its_records(folder):
    ends = {
        "inj_immediate_infs_nans": "immediate INF/NaN",
        "mine": "masked",
        "mine_control": "masked (bit-identical to golden)",
    }
    for name, outcome in ends.items():
        record = folder / "runs" / "first_replay" / f"replay_resnet18_{name}.jsonl"
        last = json.loads(record.read_text().splitlines()[-1])
        assert last["outcome"] == outcome
        assert record.with_suffix(".txt").stat().st_size > 0


def test_the_report_opens_in_a_browser_as_the_tutorial_describes(folder, tmp_path):
    page = folder / "runs" / "campaign" / "report" / "report.html"
    with Browser(tmp_path / "profile") as browser:
        browser.send(
            "Emulation.setDeviceMetricsOverride",
            width=1100, height=1400, deviceScaleFactor=1, mobile=False,
        )  # fmt: skip
        browser.open(page.as_uri())
        assert browser.run("document.querySelector('h1').textContent") == (
            "My first campaign"
        )
        heads = browser.run(
            "Array.from(document.querySelectorAll('h2'), h => h.textContent)"
        )
        assert {"Outcomes", "How to read this", "By fault model"} <= set(heads)
        browser.write("Page.captureScreenshot", tmp_path / "page.png", format="png")
    pixels = image.imread(tmp_path / "page.png")[..., :3]
    # Dark text and bars on light paper, in the first picture blue and orange.
    assert pixels[2, 2].min() > 0.8
    assert 0.01 < (abs(pixels - pixels[2, 2]).max(axis=-1) > 0.3).mean() < 0.5
    orange = (pixels[..., 0] - pixels[..., 2] > 0.25) & (pixels[..., 0] > 0.5)
    assert orange.sum() > 300
