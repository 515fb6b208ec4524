# SPDX-License-Identifier: Apache-2.0
"""The examples in the documentation run."""

import doctest
import importlib
import pathlib
import pkgutil
import re

import pytest

import tpufi

ROOT = pathlib.Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)
WITH_CODE = [page for page in PAGES if BLOCK.search(page.read_text())]


@pytest.mark.parametrize("page", WITH_CODE, ids=lambda page: page.name)
def test_python_blocks_of_a_page_run_in_order(page, tmp_path, monkeypatch):
    (tmp_path / "injections").symlink_to(ROOT / "injections")
    monkeypatch.chdir(tmp_path)
    names: dict = {"__name__": "__main__"}
    for block in BLOCK.findall(page.read_text()):
        exec(compile(block, str(page), "exec"), names)


def test_the_readme_example_prints_what_a_flip_does(capsys, tmp_path):
    (block,) = BLOCK.findall((ROOT / "README.md").read_text())
    exec(compile(block, "README.md", "exec"), {})
    # 31 ones and the struck element: 1 -> 1 + 2**-23, Inf, -1.
    assert re.findall(r"^\d+ (\S+)$", capsys.readouterr().out, re.MULTILINE) == [
        "32.0", "inf", "30.0",
    ]  # fmt: skip


def test_examples_in_docstrings_give_what_they_say():
    attempted = 0
    for module in pkgutil.walk_packages(tpufi.__path__, "tpufi."):
        if module.name.rsplit(".", 1)[-1].startswith("_tpufi"):
            continue  # The compiled libraries of a built tree.
        loaded = importlib.import_module(module.name)
        names = {**vars(loaded), **vars(tpufi)}
        result = doctest.testmod(loaded, extraglobs=names)
        assert result.failed == 0, module.name
        attempted += result.attempted
    assert attempted >= 4
