# SPDX-License-Identifier: Apache-2.0
"""Outcome classes of a run with a fault, and the thresholds between them."""
