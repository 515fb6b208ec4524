# SPDX-License-Identifier: Apache-2.0
"""The command `show`: of an injection file and of an experiment of a campaign."""

import dataclasses
import shutil

import pytest

from tests.campaign_runs import SMALL, small_plan, train_small
from tests.golden_lines import with_other_state
from tpufi import models
from tpufi.campaign.journal.reader import Reader
from tpufi.campaign.journal.writer import Writer
from tpufi.campaign.workload.subject import WorkloadSubject
from tpufi.cli.show import COMMAND
from tpufi.errors import InputError
from tpufi.faults.csv import PUBLISHED, write_injection
from tpufi.faults.injection import Injection
from tpufi.golden import GoldenFolder
from tpufi.show.spread import spread
from tpufi.show.subject import from_campaign, from_file

MASKED = str(PUBLISHED / "resnet18" / "inj_masked.csv")
INJECTION = Injection(
    model="resnet18", stage="fwrd_inject", fmodel="RD", target_worker=1,
    target_layer="fc", target_epoch=0, target_step=3,
    inj_pos=((2, 5), (2, 4)), inj_values=(-2.5, 1e30), learning_rate=0.001,
)  # fmt: skip


@pytest.fixture(scope="module")
def golden(tmp_path_factory):
    """The golden run of the small network, under a name that files can have."""
    models.WORKLOADS["resnet18"] = dataclasses.replace(SMALL, name="resnet18")
    return train_small(tmp_path_factory.mktemp("golden"), workload="resnet18")


@pytest.fixture
def file(tmp_path):
    write_injection(INJECTION, tmp_path / "x.csv")
    return tmp_path / "x.csv"


@pytest.fixture(scope="module")
def campaign(golden, tmp_path_factory):
    """A journal of an ordinary experiment and a stale one."""
    folder = tmp_path_factory.mktemp("campaign")
    plan = small_plan(golden, 400, workload="resnet18")
    runner = WorkloadSubject(plan, verify=False).open()
    faults = [runner.fault(number) for number in range(400)]
    plain = next(n for n, fault in enumerate(faults) if not fault.stale)
    stale = next(n for n, fault in enumerate(faults) if fault.stale)
    session = WorkloadSubject(plan).session(["campaign.py"], "0")
    with Writer(folder, WorkloadSubject(plan).manifest(), session) as journal:
        journal.add([runner.run(plain), runner.run(stale)])
    return folder


def test_a_file_is_shown_as_bits_tables_and_a_picture(golden, file, capsys, tmp_path):
    picture = tmp_path / "x.svg"
    arguments = ["--file", str(file), "--golden", str(golden), "--elements", "1"]
    assert COMMAND.main([*arguments, "--out", str(picture)]) == 0
    text = capsys.readouterr().out
    lines = text.splitlines()
    assert lines[0] == "x.csv: RD in fc/forward/output, epoch 0 step 3, replica 1"
    loss = GoldenFolder(golden).curve()[3]["loss"]
    assert lines[1].startswith(f"loss of the step: {loss:.6g} golden, ")
    assert lines[1].endswith("e+28 faulty") or lines[1].endswith("e+29 faulty")
    assert lines[4] == "  2/5" and lines[6].endswith("  -2.5")
    assert "  and 1 more; --elements shows more" in lines
    # Forward only the faulty layer and the loss; backward every layer before.
    rows = {line.split()[0]: line for line in lines if line}
    assert "conv1" in rows and "- " in rows["conv1"] and "fc/kernel" in rows
    assert rows["fc"].split()[1] == "5%"  # 2 of 4 x 10.
    assert picture.read_bytes().rstrip().endswith(b"</svg>")


@pytest.mark.slow
def test_an_experiment_is_shown_as_its_row_has_it(golden, campaign, capsys):
    with Reader.open(campaign) as journal:
        rows = list(journal.rows())
    for row in rows:
        found = spread(from_campaign(campaign, row.experiment))
        # Two programs, one number, bit for bit.
        assert repr(found.losses[1]) == repr(row.losses[0][0])
        assert len(found.golden) == row.fault.count
    number = str(rows[0].experiment)
    assert (
        COMMAND.main(["--campaign", str(campaign), "--experiment", number, "--all"])
        == 0
    )
    text = capsys.readouterr().out
    assert text.startswith(f"experiment {number}: {rows[0].fault.model} in ")
    assert "are left out" not in text and "picture:" not in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--file", "x.csv"], "--file needs a golden run to start from"),
        (["--campaign", "x"], "--campaign and --experiment belong together"),
        (["--file", "x.csv", "--experiment", "3"], "belong together; give both"),
        (["--file", MASKED, "--golden", "y", "--out", "z.gif"], "ending '.gif'"),
        (["--file", MASKED, "--golden", "nowhere"], "nowhere: no golden run"),
        (["--file", "x.csv", "--golden", "nowhere"], "x.csv:1: cannot read"),
    ],
)
def test_options_that_cannot_be_used_are_refused(arguments, message):
    with pytest.raises(InputError, match=message) as error:
        COMMAND.main(arguments)
    assert len(str(error.value).splitlines()) == 1


@pytest.mark.slow
def test_a_golden_run_of_another_set_up_is_refused(golden, file, tmp_path):
    other = tmp_path / "golden"
    shutil.copytree(golden, other)
    with_other_state(GoldenFolder(other), 3)
    with pytest.raises(InputError, match="not end in the golden run's state after ste"):
        spread(from_file(file, other))
    folder = GoldenFolder(other)
    config, manifest = folder.read_manifest()
    mirrored = dataclasses.replace(config, strategy="mirrored")
    folder.write_manifest(mirrored, manifest["environment"], 8)
    with pytest.raises(InputError, match="strategy mirrored, whose sums are rounded"):
        from_file(file, other)
