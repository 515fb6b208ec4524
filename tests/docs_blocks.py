# SPDX-License-Identifier: Apache-2.0
"""The code blocks of the README and the pages of docs/, and what runs each kind.

A comment right above a block says what is special about it:

    <!-- not run: REASON -->     it needs what a test does not have
    <!-- file: NAME -->          it is the content of a file that the page goes on with

Campaign files are read as such. A page that says <!-- slow: REASON --> anywhere is a
slow test, as all are that start programs.
"""

import dataclasses
import doctest
import os
import pathlib
import re
import shutil
import subprocess
import sys

import yaml
from markdown_it import MarkdownIt

from tpufi.campaign.plan_file import read_plan, read_plans
from tpufi.outcomes.outcome_thresholds import DEFAULT_FILE

ROOT = pathlib.Path(__file__).resolve().parents[1]
# Reports of campaigns are written by a tool and tested with it.
PAGES = [
    ROOT / "README.md",
    *(f for f in sorted((ROOT / "docs").rglob("*.md")) if f.name != "report.md"),
]
_NOTE = re.compile(r"<!-- (not run|file): (\S.*\S) -->\s*")
# What a page may use of the checkout, as if it were read there.
_LINKED = ("dev", "docs", "examples", "injections", "tools")


@dataclasses.dataclass(frozen=True)
class Block:
    """A block of code of a page.

    Args:
      page: its path from the root of the checkout.
      line: where it begins, from 1.
      language: behind its fence; empty: none.
      text: what is in it.
      not_run: why it is not run; None: it is.
      file: the file it is the content of; None: it is none.
    """

    page: str
    line: int
    language: str
    text: str
    not_run: str | None = None
    file: str | None = None

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def blocks(page: pathlib.Path) -> list[Block]:
    """Return all blocks of a page, indented ones and those within lists included."""
    found, above = [], None
    for token in MarkdownIt().parse(page.read_text()):
        if token.type in ("fence", "code_block"):
            note = _NOTE.fullmatch(above.content) if above else None
            kind, text = note.groups() if note else (None, None)
            found.append(
                Block(
                    str(page.relative_to(ROOT)),
                    token.map[0] + 1,
                    token.info.strip(),
                    token.content,
                    text if kind == "not run" else None,
                    text if kind == "file" else None,
                )
            )
        above = token if token.type == "html_block" else None
    return found


def run_page(page: pathlib.Path, folder: pathlib.Path) -> None:
    """Run the blocks of a page in order; `folder` is the present one.

    Args:
      page: the page.
      folder: where it runs; what it uses of the checkout is linked there.
    """
    for name in _LINKED:
        if (ROOT / name).exists() and not (folder / name).exists():
            (folder / name).symlink_to(ROOT / name)
    names: dict = {"__name__": "__main__"}
    for block in blocks(page):
        if block.not_run is not None:
            continue
        if block.file is not None:
            (folder / block.file).write_text(block.text)
        RUNNERS[block.language](block, names)


def _python(block: Block, names: dict) -> None:
    # Line numbers of a traceback are those of the page.
    code = "\n" * block.line + block.text
    exec(compile(code, str(ROOT / block.page), "exec"), names)


def _session(block: Block, names: dict) -> None:
    test = doctest.DocTestParser().get_doctest(
        block.text, names, str(block), block.page, block.line
    )
    assert test.examples, f"{block}: nothing is typed here"
    said: list[str] = []
    result = doctest.DocTestRunner().run(test, out=said.append, clear_globs=False)
    names.update(test.globs)
    assert not result.failed, "".join(said)


def _shell(block: Block, names: dict) -> None:
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2"}
    folders = [os.path.dirname(sys.executable), environment["PATH"]]
    environment["PATH"] = os.pathsep.join(folders)
    run = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", block.text],
        env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True,
    )  # fmt: skip
    assert run.returncode == 0, f"{block}:\n{run.stdout[-3000:]}\n{run.stderr[-3000:]}"


def _yaml(block: Block, names: dict) -> None:
    content = yaml.safe_load(block.text)
    assert content, f"{block}: is empty"
    if "workload" in content:
        file = pathlib.Path(block.file or "campaign.yaml")
        file.write_text(block.text)
        if "thresholds" in content:
            shutil.copy(DEFAULT_FILE, content["thresholds"])
        plans = read_plans(file).values()
        named = content["workload"]
        assert len(plans) == (len(named) if isinstance(named, list) else 1)
    elif "program" in content:
        file = pathlib.Path(block.file or "program.yaml")
        file.write_text(block.text)
        assert str(read_plan(file).seed) == str(content["seed"])


def _text(block: Block, names: dict) -> None:
    """Nothing: what a program prints, or a synopsis (docs_synopsis_test.py)."""


RUNNERS = {
    "python": _python,
    "pycon": _session,
    "sh": _shell,
    "yaml": _yaml,
    "csv": _text,
    "text": _text,
}
