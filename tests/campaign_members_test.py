# SPDX-License-Identifier: Apache-2.0
"""A campaign file of several workloads or programs: a campaign for each."""

import pathlib
import subprocess
import sys

import pytest

from tests.inference_files import kept_rows, write_files
from tpufi.campaign.members import campaign_folders, note_members
from tpufi.campaign.plan_file import read_plan, read_plans
from tpufi.errors import InputError

TPUFI = [sys.executable, "-m", "tpufi"]
WORKLOADS = """\
workload: [resnet18, decoder]
golden: [a, b]
seed: 7
experiments: 5
epochs: 0
steps: 1-3
replicas: 0
horizon: 4
"""


def done(folder: pathlib.Path, *words: object) -> str:
    command = [*TPUFI, *map(str, words)]
    run = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    return run.stdout


def listed(path: pathlib.Path) -> pathlib.Path:
    """Return the file of a campaign that lists its program twice, by two names."""
    text = path.read_text()
    (line,) = (row for row in text.splitlines() if row.startswith("program: "))
    file, _, name = line.removeprefix("program: ").partition(":")
    source = (path.parent / file).read_text()
    (path.parent / "second.py").write_text(
        source.replace("set_random_seed(8", "set_random_seed(9")
    )
    both = path.parent / "both.yaml"
    both.write_text(text.replace(line, f"program: [{file}:{name}, second.py:{name}]"))
    return both


def test_each_program_has_a_campaign_and_they_share_a_report(tmp_path):
    single = write_files(tmp_path / "files", experiments="24")
    both = listed(single)
    done(tmp_path, "campaign", "run", both, "--out", "out")
    done(tmp_path, "campaign", "run", single, "--out", "alone")
    first, second = campaign_folders(tmp_path / "out")
    assert [first.name, second.name] == list(read_plans(both))
    # A campaign of a list is the campaign of its own file.
    alone = kept_rows(tmp_path / "alone")
    rows = [kept_rows(first), kept_rows(second)]
    assert alone in rows and rows[0] != rows[1]
    status = done(tmp_path, "campaign", "status", "out")
    assert f"{first.name}:\n" in status and f"{second.name}:\n" in status
    pages = done(tmp_path, "campaign", "report", "out").split()
    assert len(pages) == 3 and all((tmp_path / page).is_file() for page in pages)
    table = (tmp_path / "out" / "report" / "tables" / "campaigns.csv").read_text()
    assert [row.split(",")[0] for row in table.splitlines()[1:]] == [
        first.name, second.name
    ]  # fmt: skip
    replay = ("replay", "--campaign", first, "--plan", both, "--experiment", 3)
    assert "1 of 1 are identical to their rows" in done(tmp_path, *replay)
    faults = done(tmp_path, "campaign", "plan", both, "--faults", 2).splitlines()
    assert len(faults) == 6


def test_a_list_of_campaigns_names_folders_in_its_own_folder_only(tmp_path):
    assert campaign_folders(tmp_path) == [tmp_path]
    note_members(tmp_path / "out", ["a", "b"])
    assert campaign_folders(tmp_path / "out") == [tmp_path / "out"]  # None has begun.
    (tmp_path / "out" / "b").mkdir()
    (tmp_path / "out" / "b" / "journal.sqlite").touch()
    assert campaign_folders(tmp_path / "out") == [tmp_path / "out" / "b"]
    (tmp_path / "out" / "campaigns.txt").write_text("../elsewhere\n")
    with pytest.raises(InputError, match="cannot be part of a file name"):
        campaign_folders(tmp_path / "out")


def test_a_plan_of_workloads_has_one_for_each(tmp_path):
    path = tmp_path / "plan.yaml"
    path.write_text(WORKLOADS)
    plans = read_plans(path)
    assert {name: plan.golden.name for name, plan in plans.items()} == {
        "resnet18": "a", "decoder": "b"
    }  # fmt: skip
    assert read_plan(path, "decoder") == plans["decoder"]
    path.write_text(WORKLOADS.replace("seed: 7", "seed: [7, 8]"))
    assert [plan.seed for plan in read_plans(path).values()] == [7, 8]
    path.write_text(WORKLOADS.replace("[resnet18, decoder]", "decoder").replace(
        "[a, b]", "b"))  # fmt: skip
    assert read_plans(path) == {"": plans["decoder"]}
    assert read_plan(path, "whatever") == plans["decoder"]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("[a, b]", "[a]", ":2: golden: 1 items for 2 in workload; give one for each"),
        ("seed: 7", "seed: [7]", ":3: seed: 1 items for 2 in workload; give one for"),
        ("[a, b]", "a", ":2: golden: 'a'; expected a list, one item for each"),
        ("[resnet18, decoder]", "[]", ":1: workload: a list; expected"),
        ("decoder", "resnet18", ":1: workload: 'resnet18' stands twice"),
        ("decoder", "no_such", "workload 'no_such' is not available"),
        ("decoder", "x/mine.py:a/b", "cannot be part of a file name"),
    ],
)
def test_a_wrong_list_is_one_line(tmp_path, old, new, message):
    path = tmp_path / "plan.yaml"
    path.write_text(WORKLOADS.replace(old, new))
    with pytest.raises(InputError) as found:
        read_plans(path)
    assert message in str(found.value) and "\n" not in str(found.value)


def test_one_of_several_has_to_be_named(tmp_path):
    path = tmp_path / "plan.yaml"
    path.write_text(WORKLOADS)
    with pytest.raises(InputError, match="has campaigns .*resnet18.* and 'x' is"):
        read_plan(path, "x")
