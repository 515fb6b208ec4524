# SPDX-License-Identifier: Apache-2.0
"""A systolic array cycle by cycle, in numpy: the judge of faults in its elements.

Registers take what their neighbours held one cycle before. A broken register changes
each value that it takes. Nothing here knows which results a fault reaches.
"""

from collections.abc import Callable

import numpy as np

from tpufi.units import ProcessingElement

Change = Callable[[np.ndarray], np.ndarray]


def multiply(
    a: np.ndarray, b: np.ndarray, pe: ProcessingElement, change: Change
) -> np.ndarray:
    """Return A B as an array with one broken register computes it.

    Args:
      a: [M, K], what streams over rows of results.
      b: [K, N], the weight operand.
      pe: the array, the element and its register.
      change: what the register does to a value; numbers in, numbers out, one for one.
    """
    if pe.dataflow == "output":
        return _output_stationary(a, b, pe, change)
    if pe.dataflow == "weight":
        return _stationary(a, b, pe, change, "weight", "input")
    return _stationary(b.T, a.T, pe, change, "input", "weight").T


def _output_stationary(
    a: np.ndarray, b: np.ndarray, pe: ProcessingElement, change: Change
) -> np.ndarray:
    """Each element keeps a sum; both operands move on by one element a cycle."""
    (m, k), n = a.shape, b.shape[1]
    result = np.zeros((m, n), a.dtype)
    for top in range(0, m, pe.rows):
        for left in range(0, n, pe.columns):
            height, width = min(pe.rows, m - top), min(pe.columns, n - left)
            own_a, own_b, sums = (np.zeros((pe.rows, pe.columns), a.dtype),) * 3
            has_a = has_b = np.zeros((pe.rows, pe.columns), bool)
            for cycle in range(k + pe.rows + pe.columns):
                row, column = np.arange(pe.rows), np.arange(pe.columns)
                enters_a = (row < height) & (0 <= cycle - row) & (cycle - row < k)
                enters_b = (column < width) & (0 <= cycle - column)
                enters_b &= cycle - column < k
                edge_a = np.zeros(pe.rows, a.dtype)
                edge_a[enters_a] = a[top + row[enters_a], cycle - row[enters_a]]
                edge_b = np.zeros(pe.columns, a.dtype)
                place = column[enters_b]
                edge_b[enters_b] = b[cycle - place, left + place]
                own_a = np.concatenate([edge_a[:, None], own_a[:, :-1]], 1)
                has_a = np.concatenate([enters_a[:, None], has_a[:, :-1]], 1)
                own_b = np.concatenate([edge_b[None], own_b[:-1]])
                has_b = np.concatenate([enters_b[None], has_b[:-1]])
                own_a = _taken(own_a, has_a, pe, "input", change)
                own_b = _taken(own_b, has_b, pe, "weight", change)
                works = has_a & has_b
                sums = np.where(works, sums + own_a * own_b, sums)
                sums = _taken(sums, works, pe, "accumulator", change)
            leaves = np.zeros_like(works)
            leaves[:height, :width] = True
            sums = _taken(sums, leaves, pe, "output", change)
            result[top : top + height, left : left + width] = sums[:height, :width]
    return result


def _stationary(
    moving: np.ndarray,
    held: np.ndarray,
    pe: ProcessingElement,
    change: Change,
    held_register: str,
    moving_register: str,
) -> np.ndarray:
    """Each element keeps a number; one operand moves right, sums move down.

    An element without a number, beyond the edge of an operand, hands sums on.
    """
    (m, k), n = moving.shape, held.shape[1]
    result = np.zeros((m, n), moving.dtype)
    for first in range(0, k, pe.rows):
        for left in range(0, n, pe.columns):
            depth, width = min(pe.rows, k - first), min(pe.columns, n - left)
            own = np.zeros((pe.rows, pe.columns), moving.dtype)
            own[:depth, :width] = held[first : first + depth, left : left + width]
            holds = np.zeros((pe.rows, pe.columns), bool)
            holds[:depth, :width] = True
            own = _taken(own, holds, pe, held_register, change)
            passing, sums = np.zeros_like(own), np.zeros_like(own)
            has, full = np.zeros_like(holds), np.zeros_like(holds)
            for cycle in range(m + pe.rows + pe.columns):
                row, column = np.arange(pe.rows), np.arange(pe.columns)
                time = cycle - row
                enters = (row < depth) & (0 <= time) & (time < m)
                edge = np.zeros(pe.rows, moving.dtype)
                edge[enters] = moving[time[enters], first + row[enters]]
                passing = np.concatenate([edge[:, None], passing[:, :-1]], 1)
                has = np.concatenate([enters[:, None], has[:, :-1]], 1)
                passing = _taken(passing, has, pe, moving_register, change)
                # A sum begins at the top of a column, as the first number gets there.
                begins = (column < width) & (0 <= cycle - column)
                begins &= cycle - column < m
                full = np.concatenate([begins[None], full[:-1]])
                sums = np.concatenate([np.zeros_like(sums[:1]), sums[:-1]])
                sums = np.where(has & holds & full, sums + passing * own, sums)
                sums = _taken(sums, full, pe, "accumulator", change)
                time = cycle - (pe.rows - 1) - column
                leaves = (column < width) & (0 <= time) & (time < m)
                result[time[leaves], left + column[leaves]] += sums[-1, leaves]
    return result


def _taken(
    values: np.ndarray,
    valid: np.ndarray,
    pe: ProcessingElement,
    register: str,
    change: Change,
) -> np.ndarray:
    """Return what registers of one kind hold once they have taken new values."""
    values = values.copy()
    if register == pe.register and valid[pe.row, pe.column]:
        values[pe.row, pe.column] = change(values[pe.row, pe.column])
    return values
