# SPDX-License-Identifier: Apache-2.0
"""A tiny golden run, its zero-fault control, and one fault replayed twice."""

import pathlib
import tempfile

from tpufi.experiment.replay import replay
from tpufi.faults.csv import read_injection, write_injection
from tpufi.faults.injection import Injection
from tpufi.golden import GoldenConfig, GoldenFolder, train_golden
from tpufi.selftest.check import CheckFailed

_CONFIG = GoldenConfig("resnet18", "synthetic:16", replicas=1, per_replica=2)
_STEPS = 4
_FAULT = Injection(
    model="resnet18",
    stage="fwrd_inject",
    fmodel="N16_RD",
    target_worker=0,
    target_layer="basicblock_2_basic_0_conv2",
    target_epoch=0,
    target_step=1,
    inj_pos=((1, 3, 3, 85),),
    inj_values=(40.0,),
    learning_rate=0.001,
)


def check_replay() -> str:
    """Train, replay without and with a fault, and compare states.

    The fault goes through the injection file. It strikes right before a normalisation,
    so it changes the statistics of the batch and cannot be masked.

    Raises:
      CheckFailed: the control differs from the golden run, the fault changes nothing,
        or it does not repeat.
    """
    session = _CONFIG.session()
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "golden")
        write_injection(_FAULT, file := pathlib.Path(folder, "fault.csv"))
        injection = read_injection(file)
        train_golden(_CONFIG, path, _STEPS, _STEPS, session)
        golden = [e["state"] for e in GoldenFolder(path).read_lines("steps.jsonl")]

        def states(name: str, with_fault: bool) -> list[str]:
            result = replay(
                injection,
                path,
                name=name,
                out=folder,
                with_fault=with_fault,
                session=session,
            )
            return [point.state for point in result.faulty]

        control = states("control", False)
        first, second = states("first", True), states("second", True)
    if control != golden[_FAULT.target_step :]:
        raise CheckFailed("a replay without a fault differs from the golden run")
    if first[0] == control[0]:
        raise CheckFailed(f"the fault at {injection.site_name} changed nothing")
    if first != second:
        raise CheckFailed("the same fault gave two different runs")
    return (
        f"{_CONFIG.workload}, {_STEPS} golden steps; the control is identical by bits, "
        f"{injection.fmodel} at {injection.site_name} repeats by bits, "
        f"{session.program.traces} trace"
    )
