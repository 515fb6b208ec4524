# SPDX-License-Identifier: Apache-2.0
"""A campaign of injection files: each is an experiment, as its replay shows it."""

import contextlib
import dataclasses
import json

import pytest

from tests.tiny_workload import tiny_as_published
from tpufi.campaign.plan_file import read_plan
from tpufi.campaign.workload.gate import check_deterministic
from tpufi.campaign.workload.golden_check import check_golden
from tpufi.campaign.workload.recorded_plan import recorded_plan
from tpufi.campaign.workload.subject import WorkloadSubject
from tpufi.cli.campaign import COMMAND as campaign
from tpufi.cli.draw import COMMAND as draw
from tpufi.errors import InputError
from tpufi.experiment.replay import replay
from tpufi.faults.csv import read_injection, write_injection
from tpufi.faults.injection import Injection
from tpufi.golden import GoldenConfig, train_golden
from tpufi.models import workload

CONFIG = GoldenConfig("resnet18", "synthetic:64", replicas=2, per_replica=4)
STEPS, HORIZON = 8, 3
BY_HAND = Injection(
    model="resnet18",
    stage="fwrd_inject",
    fmodel="RD",
    target_worker=1,
    target_layer="fc",
    target_epoch=0,
    target_step=2,
    inj_pos=((3, 7), (0, 1), (0, 2)),
    inj_values=(1e3, -2.0, float("inf")),
    learning_rate=0.001,
)
PLAN = """
workload: resnet18
golden: golden
seed: 1
horizon: 3
injections: [by_hand.csv, drawn]
"""


@pytest.fixture(scope="module")
def tiny():
    with tiny_as_published("resnet18"):
        yield


@pytest.fixture(scope="module")
def folder(tiny, tmp_path_factory):
    path = tmp_path_factory.mktemp("files")
    train_golden(CONFIG, path / "golden", STEPS, 4)
    write_injection(BY_HAND, path / "by_hand.csv")
    options = ["--workload", "resnet18", "--seed", "5", "--per-replica", "4"]
    options += ["--models", "STALE", "CHANNEL_RD", "N64_INPUT_16", "--epochs", "0"]
    options += ["--steps", "1-3", "--replicas", "0-1", "--weights", "sites"]
    draw.main([*options, "--count", "6", "--csv", str(path / "drawn")])
    (path / "plan.yaml").write_text(PLAN)
    return path


def files(folder):
    return [folder / "by_hand.csv", *sorted((folder / "drawn").iterdir())]


def test_every_row_is_what_the_replay_of_its_file_shows(folder, tmp_path):
    plan = read_plan(folder / "plan.yaml")
    assert plan.stop.experiments == len(plan.injections) == 7
    check_golden(plan)
    runner = WorkloadSubject(plan).open()
    check_deterministic(runner)
    rows = [runner.run(number) for number in range(7)]
    # The clean step, alone and in blocks, and the armed one, whose descriptor has as
    # many rows as the longest list of elements has runs.
    assert runner.session.program.traces == 3
    assert runner.fault(7) == runner.fault(0)
    table = workload("resnet18").sites(4)
    for number, (path, row) in enumerate(zip(files(folder), rows, strict=True)):
        assert row.error is None
        injection = read_injection(path, lambda _: table)
        assert runner.fault(number) == injection.fault(table)
        alone = replay(
            injection,
            folder / "golden",
            name=path.stem,
            out=tmp_path,
            horizon=HORIZON,
            session=runner.session,
        )
        losses = [(point.loss, point.accuracy) for point in alone.faulty]
        assert [*map(repr, row.losses)] == [*map(repr, losses[: row.steps_run])]
        assert row.state_digest == alone.faulty[row.steps_run - 1].state


def test_the_plan_of_a_journal_has_its_injections(folder):
    plan = read_plan(folder / "plan.yaml")

    class Journal:
        def manifest(self):
            return {"plan": json.dumps(plan.identity()), "deterministic": "yes"}

        def sessions(self):
            return [(json.dumps({"golden": str(plan.golden), "band": []}),)]

        def count(self):
            return 7

        def plan(self):
            return json.loads(self.manifest()["plan"])

        def noted(self):
            return [(json.loads(entries), 1.0) for (entries,) in self.sessions()]

        def untrusted(self):
            return contextlib.nullcontext()

    again, deterministic = recorded_plan(Journal())
    assert deterministic == "yes"
    assert json.dumps(again.identity()) == json.dumps(plan.identity())
    sampler, other = plan.sampler(4), again.sampler(4)
    assert [sampler.draw(0, i) for i in range(7)] == [
        other.draw(9, i) for i in range(7)
    ]


def test_plan_shows_the_faults_of_the_files(folder, capsys):
    assert campaign.main(["plan", str(folder / "plan.yaml"), "--faults", "9"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 7 and '"start":[1,37],"count":[2,1]' in lines[0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("epochs: 0-3\n", ":7: epochs: says what is drawn, and with injections"),
        ("faults: [RD]\n", ":7: faults: says what is drawn"),
        (
            "injections: [none.csv]\n",
            "injections: 'none.csv'; expected an injection file, or a folder",
        ),
        ("injections: [golden]\n", "expected an injection file, or a folder with"),
        ("injections: []\n", "injections: a list; expected injection files, or"),
        ("workload: nfnet\n", "by_hand.csv: of resnet18, the plan says nfnet"),
        ("golden: other\n", "by_hand.csv: the injection has learning_rate 0.001"),
    ],
)
def test_a_wrong_plan_of_files_is_one_line(text, message, folder, tmp_path):
    key = text.partition(":")[0]
    if text.startswith("golden"):
        faster = dataclasses.replace(CONFIG, learning_rate=0.002)
        if not (folder / "other").exists():
            train_golden(faster, folder / "other", STEPS, 4)
    lines = [line for line in PLAN.splitlines() if not line.startswith(f"{key}:")]
    path = folder / f"{key}.yaml"
    path.write_text("\n".join([*lines, text]))
    with pytest.raises(InputError) as error:
        check_golden(read_plan(path))
    assert message in str(error.value) and "\n" not in str(error.value)
