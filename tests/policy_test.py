# SPDX-License-Identifier: Apache-2.0
"""Rules of the code base that a reviewer should not have to check."""

import pathlib
import re
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[1]
CODE = {".py", ".cc", ".h", ".bzl"}
CATCH_ALL = re.compile(r"(^|/)(utils?|helpers?|common|misc)\.\w+$")


def tracked(*endings: str) -> list[pathlib.Path]:
    run = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    files = (ROOT / name for name in run.stdout.splitlines())
    return [f for f in files if f.suffix in endings and f.is_file()]


@pytest.fixture(scope="module")
def sources() -> dict[pathlib.Path, str]:
    found = {file: file.read_text() for file in tracked(*CODE)}
    assert len(found) > 80
    return found


def test_no_file_is_over_500_lines(sources):
    long = {f.name: t.count("\n") for f, t in sources.items() if t.count("\n") > 500}
    assert not long


def test_every_source_file_names_its_licence(sources):
    without = [f for f, t in sources.items() if "SPDX-License-Identifier" not in t[:99]]
    assert not without


def test_no_file_is_a_catch_all(sources):
    assert not [f for f in sources if CATCH_ALL.search(str(f))]


def test_nothing_is_imported_by_wildcard(sources):
    wildcard = re.compile(r"^from \S+ import \*", re.MULTILINE)
    assert not [f for f, t in sources.items() if wildcard.search(t)]


def test_fault_draws_never_use_the_entropy_of_the_system(sources):
    entropy = re.compile(r"np\.random\.seed\(|default_rng\(\)|random_device")
    own = pathlib.Path(__file__)
    assert not [f for f, t in sources.items() if entropy.search(t) and f != own]


def test_links_between_documents_exist():
    link = re.compile(r"\]\(([^)#:]+)(#[^)]*)?\)")
    checked = 0
    for file in tracked(".md"):
        for target, _ in link.findall(file.read_text()):
            assert (file.parent / target).exists(), f"{file.name} -> {target}"
            checked += 1
    assert checked > 5


def test_the_readme_is_short():
    assert (ROOT / "README.md").read_text().count("\n") <= 150
