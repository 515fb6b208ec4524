# SPDX-License-Identifier: Apache-2.0
"""The determinism gate: what must hold before a campaign may count anything."""

import dataclasses

from tpufi.campaign.engine.experiment import Experimenter, NotActive, check_struck
from tpufi.element import element
from tpufi.errors import InputError
from tpufi.training import state_digest

_ALLOW = "--allow-nondeterminism goes on all the same and says so in the manifest"


def check_deterministic(experimenter: Experimenter) -> None:
    """Check on the plan's first step that this set-up repeats the golden run by bits.

    The golden step is done twice. A third time the fault of experiment 0 strikes its
    site with every bit kept: an armed program that changes nothing must be golden too.

    Raises:
      InputError: one of the three states is not the golden run's.
    """
    plan, session, walk = (
        experimenter.plan,
        experimenter.session,
        experimenter.walk,
    )
    first = plan.sampling.epochs[0] * session.steps_per_epoch + plan.sampling.steps[0]
    state = walk.state(first)
    fault = experimenter.fault(0)
    harmless = dataclasses.replace(
        fault, rule="repeat", keep=element(fault.dtype).mask, words=(0,), stale=False
    ).descriptor(session.program.table)
    golden = walk.curve[first]["state"]
    for what, descriptor in (
        ("the golden step", None),
        ("the golden step, done again,", None),
        (f"a fault at {fault.site} that changes no bit", harmless),
    ):
        result = session.step(state, first, descriptor)
        if descriptor is not None:
            try:
                check_struck(fault, descriptor, result.record)
            except NotActive as problem:
                raise InputError(f"{plan.golden}: step {first}: {problem}") from None
        if state_digest(result.state) != golden:
            raise InputError(
                f"{plan.golden}: step {first}: {what} gives another state than the "
                "golden run has; run where the golden run was trained, or train a new "
                f"one here; {_ALLOW}"
            )
