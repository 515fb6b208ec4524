# SPDX-License-Identifier: Apache-2.0
"""The examples in the documentation run."""

import contextlib
import doctest
import importlib
import io
import pkgutil

import pytest

import tpufi
from tests.docs_blocks import PAGES, ROOT, RUNNERS, blocks, run_page
from tests.memory import forget_determinism

NOT_RUN = ROOT / "tests" / "data" / "docs_not_run.txt"
TUTORIAL = ROOT / "docs" / "tutorial"


def _pages() -> list:
    """All pages with something to run; those that start programs are slow tests."""
    found = []
    for page in PAGES:
        run = [b.language for b in blocks(page) if b.not_run is None]
        if page.parent == TUTORIAL or not {"python", "pycon", "sh", "yaml"} & {*run}:
            continue  # The tutorial is one story: newcomer_test.py.
        slow = "sh" in run or "<!-- slow: " in page.read_text()
        marks = [pytest.mark.slow] if slow else []
        name = str(page.relative_to(ROOT))
        found.append(pytest.param(page, id=name, marks=marks))
    return found


@pytest.mark.parametrize("page", _pages())
def test_blocks_of_a_page_run_in_order(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run_page(page, tmp_path)


def test_every_block_says_its_language():
    strange = [str(b) for p in PAGES for b in blocks(p) if b.language not in RUNNERS]
    assert not strange, f"fence them as one of {', '.join(RUNNERS)}"


def test_blocks_that_are_not_run_are_the_known_ones():
    found = "".join(
        f"{b.page}: {b.not_run}: {b.text.splitlines()[0]}\n"
        for page in PAGES
        for b in blocks(page)
        if b.not_run is not None
    )
    assert found == NOT_RUN.read_text(), f"if all is meant, put this in {NOT_RUN.name}"


def test_the_readme_example_flips_the_bits_it_names():
    rates, block = (b for b in blocks(ROOT / "README.md") if b.language == "python")
    assert rates.text.count("\n") <= 27 and block.text.count("\n") <= 12
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(compile(block.text, "README.md", "exec"), {})
    lines = [line.split() for line in out.getvalue().splitlines()]
    flipped = {int(bit): int(g, 16) ^ int(f, 16) for bit, g, f in lines}
    assert flipped == {bit: 1 << bit for bit in (0, 30, 31)}


def test_examples_in_docstrings_give_what_they_say():
    attempted = 0
    top = {name: getattr(tpufi, name) for name in tpufi.__all__}
    for module in pkgutil.walk_packages(tpufi.__path__, "tpufi."):
        if module.name.rsplit(".", 1)[-1].startswith("_tpufi"):
            continue  # The compiled libraries of a built tree.
        loaded = importlib.import_module(module.name)
        forget_determinism()  # One example makes the process deterministic.
        result = doctest.testmod(loaded, extraglobs={**top, **vars(loaded)})
        assert result.failed == 0, module.name
        attempted += result.attempted
    assert attempted >= 4
