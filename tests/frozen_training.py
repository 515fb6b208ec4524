# SPDX-License-Identifier: Apache-2.0
"""Faulty steps, replays and a campaign of the small workload, as plain data.

This file and tests/frozen_faults.py alone call tpufi for the frozen tests: after a
change of names their functions are adapted, and the data stay as they are.
"""

import dataclasses
import pathlib

from tests.campaign_runs import CONFIG, SMALL, STEPS, known_workload, small_plan
from tests.frozen_faults import SEED, drawn, recorded
from tpufi.campaign.workload.experiment import Experimenter
from tpufi.campaign.workload.gate import check_deterministic
from tpufi.descriptor import read_record
from tpufi.element import from_words
from tpufi.experiment.replay import replay
from tpufi.fault import Fault
from tpufi.faults.injection import Injection
from tpufi.golden import GoldenFolder, train_golden
from tpufi.models import WORKLOADS
from tpufi.stale import holding, recording
from tpufi.training import Program, Session, make_deterministic, state_digest

ROWS = 60

# Of the small workload under a name that injection files know.
REPLAYED = dataclasses.replace(SMALL, name="resnet18")
# Name -> stage, fault model, layer, replica, step, positions, bits written there.
INJECTIONS = {
    "forward": (
        "fwrd_inject", "N16_RD", "block_conv1", 1, 2,
        ((3, 7, 9, 5), (0, 0, 0, 7), (3, 7, 9, 4)),
        (0xC0200000, 0x40490FDB, 0x3F800001),
    ),
    "forward, to NaN": (
        "fwrd_inject", "RD", "conv1", 0, 4, ((1, 30, 31, 2),), (0xFFC00123,),
    ),
    "grad_in": (
        "bkwd_inject", "INPUT", "block_conv2_grad_in", 0, 3,
        ((2, 4, 6, 1),), (0x3DCCCCCD,),
    ),
    "grad_wt": (
        "bkwd_inject", "RD", "conv1_grad_wt", 1, 6, ((1, 2, 0, 3),), (0x44FA0001,),
    ),
}  # fmt: skip


def all_training(folder: pathlib.Path) -> dict[str, dict]:
    """Return the parts by name; one program serves them all.

    Args:
      folder: for golden runs.
    """
    known_workload()
    make_deterministic()
    session = CONFIG.session()
    return {
        "steps": steps(session, drawn("small")[1]),
        "replays": replays(session.program, folder / "replays"),
        "campaign": campaign(session, folder / "campaign"),
    }


def steps(session: Session, faults: list[Fault]) -> dict:
    """Run one step of training with each fault.

    It is the first step; for stale faults the second, and the first is read.
    """
    state, table = session.initial_state(), session.program.table
    first = session.step(state, 0)
    second = session.step(first.state, 1)
    cases = []
    for number, fault in enumerate(faults):
        before, at = state, 0
        if fault.stale:
            read = recording(fault, session.steps_per_epoch).descriptor(table)
            (row,) = read_record(session.step(state, 0, read).record)
            fault, before, at = holding(fault, row.golden.tolist()), first.state, 1
        result = session.step(before, at, fault.descriptor(table))
        case = {"number": number, "loss": result.loss.hex()}
        case["state"] = state_digest(result.state)
        cases.append(case | {"record": recorded(result.record)})
    golden = [state_digest(s.state) for s in (first, second)]
    return {"golden": golden, "cases": cases}


def replays(program: Program, folder: pathlib.Path) -> dict:
    """Replay injections of each direction of a pass; most cross an epoch's end."""
    WORKLOADS[REPLAYED.name] = REPLAYED  # In this process only.
    config = dataclasses.replace(CONFIG, workload=REPLAYED.name)
    session = config.session(program=program)
    train_golden(config, folder, 10, 4, session)
    cases = []
    for name, values in INJECTIONS.items():
        stage, model, layer, worker, step, positions, bits = values
        injection = Injection(
            model=REPLAYED.name,
            stage=stage,
            fmodel=model,
            target_worker=worker,
            target_layer=layer,
            target_epoch=0,
            target_step=step,
            inj_pos=positions,
            inj_values=tuple(from_words(bits, "float32").tolist()),
            learning_rate=config.learning_rate,
            inj_bits=bits,
        )
        out = folder / "out"
        result = replay(injection, folder, name="x", out=out, session=session)
        text, lines = (path.read_text().splitlines() for path in result.paths)
        # Written since: the device, and whether the program is compiled.
        since = ', "device": "cpu", "compiled": false'
        lines = [line.replace(since, "") for line in lines]
        cases.append({"name": name, "txt": text, "jsonl": lines})
    return {"golden": _golden(folder), "cases": cases}


def _golden(folder: pathlib.Path) -> list[str]:
    return [line["state"] for line in GoldenFolder(folder).read_lines("steps.jsonl")]


def campaign(session: Session, folder: pathlib.Path) -> dict:
    """Run the experiments of one campaign."""
    train_golden(CONFIG, folder, STEPS, 5, session)
    runner = Experimenter(small_plan(folder, ROWS, seed=SEED), session)
    check_deterministic(runner)
    cases = []
    for row in map(runner.run, range(ROWS)):
        fault = row.fault
        case = {
            "experiment": row.experiment,
            "model": fault.model,
            "site": f"{fault.layer}/{fault.direction}/{fault.operand}",
            "epoch": fault.epoch,
            "step": fault.step,
            "duration": fault.duration,
            "replica": fault.replica,
            "start": fault.start,
            "count": fault.count,
            "bit": fault.bit,
            "outcome": str(row.outcome),
            "steps_run": row.steps_run,
            "diverged": row.diverged_step,
            "reconverged": row.reconverged_step,
            "nonfinite": row.nonfinite_step,
            "visible": row.detection_latency,
            "state": row.state_digest,
            "losses": [[loss.hex(), share.hex()] for loss, share in row.losses],
            "error": row.error,
        }
        spread = [[*s._replace(relative=float(s.relative).hex())] for s in row.spread]
        cases.append(case | {"spread": spread})
    return {"golden": _golden(folder), "cases": cases}
