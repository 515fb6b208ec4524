# SPDX-License-Identifier: Apache-2.0
"""Outcomes that say something about the campaign and nothing about the fault."""

# The fault was not injected into all that it names: a defect, or a plan that asks for
NOT_ACTIVE = "not active"

# The worker's process ended, or gave no sign of life for too long; twice each.
CRASHED = "crashed"
HUNG = "hung"

# An error of ours or of TensorFlow's ended the experiment twice.
FAILED = "failed"

UNPLANNED = (NOT_ACTIVE, CRASHED, HUNG, FAILED)
