# SPDX-License-Identifier: Apache-2.0
"""A stranger's first day: README and how-to pages, literally, with the wheel alone."""

import pathlib
import shutil

import pytest

from tests.installed import ROOT, python, run, wheel

__all__ = ["python", "wheel"]
pytestmark = pytest.mark.slow
HOW_TO = ROOT / "docs" / "how_to"
# What a page leaves for who followed it.
LEFT = {
    "rates_of_your_cnn.md": [
        "rates/report/report.html", "rates/report/tables/by_layer.csv",
        "rates/report/tables/by_bit.csv", "rates.csv",
    ],
    "files_and_workloads.md": [
        "both/report/report.html",
        "both/mine_PLAIN/report/report.html",
        "both/mine_NORMED/report/report.html",
    ],
    "transformer_training.md": ["backward/report/report.html"],
}  # fmt: skip
RUN = """
import sys
from tests.docs_blocks import ROOT, run_page
run_page(ROOT / sys.argv[1], __import__("pathlib").Path.cwd())
"""


def follow(page: pathlib.Path, python: pathlib.Path, folder: pathlib.Path) -> str:
    """Run a page in an empty folder by a Python that has the wheel, and no checkout."""
    copied = folder / "pages"
    (copied / "tests").mkdir(parents=True)
    shutil.copy(ROOT / "tests" / "docs_blocks.py", copied / "tests")
    (copied / "tests" / "__init__.py").touch()
    target = copied / page.relative_to(ROOT)
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(page, target)
    work = folder / "work"
    work.mkdir()
    words = (python, "-c", RUN, str(page.relative_to(ROOT)))
    return run(*words, cwd=work, PYTHONPATH=str(copied), TF_CPP_MIN_LOG_LEVEL="2")


@pytest.fixture(scope="session")
def reader(python) -> pathlib.Path:
    """The environment with what reads a page and writes a report."""
    lock = ROOT / "requirements.lock"
    pip = (python, "-m", "pip", "install", "-q", "--disable-pip-version-check")
    wanted = ("markdown-it-py", "Jinja2", "matplotlib", "pandas", "pyarrow")
    run(*pip, "-c", lock, *wanted)
    return python


@pytest.mark.parametrize("name", LEFT)
def test_a_how_to_page_works_without_the_checkout(name, reader, tmp_path):
    follow(HOW_TO / name, reader, tmp_path)
    missing = [f for f in LEFT[name] if not (tmp_path / "work" / f).is_file()]
    assert missing == []


def test_the_readme_prints_a_rate_with_its_interval(reader, tmp_path):
    shown = follow(ROOT / "README.md", reader, tmp_path)
    assert "SDC rate " in shown and " of 1280 bits" in shown
