# SPDX-License-Identifier: Apache-2.0
"""Faults and fault models: where they are injected, how many elements, which values."""
