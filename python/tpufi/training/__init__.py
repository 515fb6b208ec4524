# SPDX-License-Identifier: Apache-2.0
"""Training steps, states and sessions."""

from tpufi.training.determinism import make_deterministic
from tpufi.training.program import Program, StepResult
from tpufi.training.session import Session
from tpufi.training.state import State, initial_state, same_state, state_digest

__all__ = [
    "Program",
    "Session",
    "State",
    "StepResult",
    "initial_state",
    "make_deterministic",
    "same_state",
    "state_digest",
]
