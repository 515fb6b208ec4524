# SPDX-License-Identifier: Apache-2.0
"""Faults and fault models: where a fault strikes, how many elements, what it writes."""
