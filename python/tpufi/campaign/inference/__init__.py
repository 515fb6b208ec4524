# SPDX-License-Identifier: Apache-2.0
"""Campaigns of inferences with a journal: any program, its inputs, single bit flips."""

KIND = "inference"  # Of a plan, as the manifest of a journal names it.
