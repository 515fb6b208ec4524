# SPDX-License-Identifier: Apache-2.0
"""The determinism gate: what must hold before a campaign may count anything."""

import dataclasses

from tpufi.campaign.workload.experiment import Experimenter
from tpufi.errors import InputError
from tpufi.experiment.control import ARMED
from tpufi.experiment.inject import NotActive, check_injected
from tpufi.faults.broken_unit import BrokenUnit
from tpufi.training import state_digest
from tpufi.units import UnitFault

_ALLOW = "--allow-nondeterminism goes on all the same and says so in the manifest"


def check_deterministic(experimenter: Experimenter) -> None:
    """Check on the plan's first step that this set-up repeats the golden run, bitwise.

    The golden step is done twice. A third time the fault of experiment 0 is injected
    into its site with every bit kept, or its unit is whole: that must give what the
    armed program gives without it, which in graph mode is the golden state too.

    Raises:
      InputError: one of the three states is not the golden run's, or the control's.
    """
    plan, session, walk = (
        experimenter.plan,
        experimenter.session,
        experimenter.walk,
    )
    first = plan.moments(session.steps_per_epoch).first
    state = walk.state(first)
    fault = experimenter.fault(0)
    armed: int | UnitFault = 1
    if isinstance(fault, BrokenUnit):
        # Not broken: what it adds to a sum, even of no bit, may make 0 of -0.
        harmless = armed = fault.fault.whole
    else:
        fault = dataclasses.replace(fault, when=None, duration=1)
        harmless = dataclasses.replace(
            fault, operation="flip", keep=0, words=(0,), stale=False
        ).descriptor(session.program.table, experimenter.rows)
    golden = walk.curve[first]["state"]
    control = golden
    if experimenter.control == ARMED:
        control = state_digest(walk.control(first, 1, armed=armed))
    for what, descriptor, expected in (
        ("the golden step", None, golden),
        ("the golden step, done again,", None, golden),
        (f"a fault at {fault.site} that changes no bit", harmless, control),
    ):
        result = session.step(state, first, descriptor)
        if descriptor is not None:
            try:
                check_injected(fault, result.record, int(armed == 1))
            except NotActive as problem:
                raise InputError(f"{plan.golden}: step {first}: {problem}") from None
        if state_digest(result.state) != expected:
            without = descriptor and experimenter.control == ARMED
            other = "the armed program without it" if without else "the golden run"
            raise InputError(
                f"{plan.golden}: step {first}: {what} gives another state than {other} "
                "has; run where the golden run was trained, or train a new "
                f"one here; {_ALLOW}"
            )
