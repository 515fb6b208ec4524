# SPDX-License-Identifier: Apache-2.0
"""The determinism gate: what must hold before a campaign may count anything."""

import dataclasses
from collections.abc import Iterator

from tpufi.campaign.workload.experiment import Experimenter
from tpufi.descriptor import Descriptor
from tpufi.errors import InputError
from tpufi.experiment.control import ARMED
from tpufi.experiment.inject import NotActive, check_injected
from tpufi.faults.broken_unit import AnyFault, BrokenUnit, kind_text
from tpufi.training import State, state_digest
from tpufi.units import UnitFault

_ALLOW = "--allow-nondeterminism goes on all the same and says so in the manifest"


def check_deterministic(experimenter: Experimenter) -> None:
    """Check on the plan's first step that this set-up repeats the golden run, bitwise.

    The golden step is done twice. Then each program that can be armed runs once without
    changing a bit: the fault of experiment 0 keeps every bit at its site, and of each
    kind of unit of the plan one is whole. That must give what the program gives without
    a fault, which in graph mode is the golden state too.

    Raises:
      InputError: one of the states is not the golden run's, or the control's.
    """
    plan, session, walk = (
        experimenter.plan,
        experimenter.session,
        experimenter.walk,
    )
    first = plan.moments(session.steps_per_epoch).first
    state = walk.state(first)
    golden, place = walk.curve[first]["state"], f"{plan.golden}: step {first}"
    for what in ("the golden step", "the golden step, done again,"):
        found = session.step(state, first).state
        _check_same(f"{place}: {what}", found, golden, "the golden run")
    for fault, harmless, armed in _armed(experimenter):
        expected, other = golden, "the golden run"
        if experimenter.control == ARMED:
            expected = state_digest(walk.control(first, 1, armed=armed))
            other = "the armed program without it"
        result = session.step(state, first, harmless)
        experimenter.alive()
        try:
            check_injected(fault, result.record, int(armed == 1))
        except NotActive as problem:
            raise InputError(f"{place}: {problem}") from None
        what = f"{place}: a fault at {fault.site} that changes no bit"
        _check_same(what, result.state, expected, other)


def _armed(
    experimenter: Experimenter,
) -> Iterator[tuple[AnyFault, Descriptor | UnitFault, int | UnitFault]]:
    """Yield faults of all programs, each so that it changes no bit, and the program."""
    fault = experimenter.fault(0)
    if not isinstance(fault, BrokenUnit):
        fault = dataclasses.replace(fault, when=None, duration=1)
        harmless = dataclasses.replace(
            fault, operation="flip", keep=0, words=(0,), stale=False
        )
        table = experimenter.session.program.table
        yield fault, harmless.descriptor(table, experimenter.rows), 1
    for whole in experimenter.units:
        # Not broken: what it adds to a sum, even of no bit, may make 0 of -0.
        kind = kind_text(whole.unit)
        yield BrokenUnit(kind, kind, 0, 0, whole), whole, whole


def _check_same(what: str, found: State, expected: str, other: str) -> None:
    if state_digest(found) != expected:
        raise InputError(
            f"{what} gives another state than {other} has; run where the golden run "
            f"was trained, or train a new one here; {_ALLOW}"
        )
