# SPDX-License-Identifier: Apache-2.0
"""Rows of a journal from a cheap fake experiment, a pure function of its number."""

import random

from tpufi.campaign.journal.manifest import Manifest
from tpufi.campaign.journal.row import FaultColumns, Row

MANIFEST = Manifest('{"seed":7,"horizon":2}', "g", "d", "l", "2.19.1", "2.1.3")
SESSION = '{"command": ["campaign.py", "run"]}'


def fake_row(experiment: int, **changes) -> Row:
    """The row of an experiment, always the same but for the wall time."""
    rng = random.Random(experiment)
    masked = rng.random() < 0.6
    drawn = FaultColumns(
        model=rng.choice(("FLIP", "INPUT_16", "ZERO")),
        layer=rng.choice(("conv1", "fc")),
        direction=rng.choice(("forward", "grad_in")),
        operand="input",
        epoch=rng.randrange(3),
        step=rng.randrange(5),
        duration=1,
        replica=0,
        start=rng.randrange(1 << 40),
        count=rng.randrange(1, 17),
        operation="flip",
        bit=rng.choice((None, 30, 3)),
        fault_digest=f"{rng.getrandbits(64):016x}",
    )
    entries = {
        "fault": drawn,
        "outcome": "masked" if masked else "short-term INF/NaN",
        "steps_run": 2,
        "diverged_step": 0,
        "reconverged_step": 1 if masked else None,
        "nonfinite_step": None if masked else 1,
        "detection_latency": None if masked else rng.randrange(9),
        "state_digest": f"{rng.getrandbits(128):032x}",
        "losses": ((2.3, 0.125), (rng.random() if masked else float("inf"), 0.0)),
        "wall_s": random.SystemRandom().random(),
        "error": None if masked else "line 1\nline 2",
    }
    return Row(experiment, **{**entries, **changes})


def told_apart(row: Row) -> tuple:
    """What must not depend on who ran the experiment, and when."""
    return (row.experiment, row.fault, row.outcome, row.losses, row.state_digest)
