# SPDX-License-Identifier: Apache-2.0
"""What a fault left in the state of training, compared with the golden state."""

import dataclasses

import numpy as np

from tpufi.training import State
from tpufi.training.state import to_arrays


@dataclasses.dataclass(frozen=True)
class Quantity:
    """One kind of tensor of a state, such as all second moments.

    Args:
      golden: largest absolute value in the golden state.
      faulty: largest absolute finite value in the state after the fault.
      difference: largest absolute finite difference of the two.
      tensor: the tensor with that difference, or with the most non-finite elements.
      changed: elements that differ in their bits.
      not_finite: elements that are infinite or no number after the fault.
    """

    golden: float
    faulty: float
    difference: float
    tensor: str
    changed: int
    not_finite: int


def compare_states(golden: State, faulty: State) -> dict[str, Quantity]:
    """Return the quantities by kind: `weights`, or the last part of a tensor's name.

    Args:
      golden: state after a step without the fault.
      faulty: state after the same step with it.
    """
    right, wrong = to_arrays(golden), to_arrays(faulty)
    kinds: dict[str, list[str]] = {}
    for name in right:
        if name == "updates":
            continue
        weights = name.startswith("parameters/")
        kinds.setdefault("weights" if weights else name.rsplit("/", 1)[1], []).append(
            name
        )
    return {
        kind: _quantity({n: (right[n], wrong[n]) for n in names})
        for kind, names in kinds.items()
    }


def _quantity(pairs: dict[str, tuple[np.ndarray, np.ndarray]]) -> Quantity:
    largest_golden = largest_faulty = largest = 0.0
    changed = not_finite = most = 0
    where = ""
    for name, (golden, faulty) in pairs.items():
        finite = np.isfinite(faulty)
        # In float64 the difference of two float32 numbers cannot overflow.
        apart = np.abs(
            faulty[finite].astype(np.float64) - golden[finite].astype(np.float64)
        )
        difference = float(apart.max(initial=0))
        missing = int(faulty.size - finite.sum())
        if (missing, difference) > (most, largest):
            where, most = name.split("/", 1)[1], missing
        largest = max(largest, difference)
        largest_golden = max(largest_golden, float(np.abs(golden).max(initial=0)))
        largest_faulty = max(
            largest_faulty, float(np.abs(faulty[finite]).max(initial=0))
        )
        bits = f"u{golden.dtype.itemsize}"
        changed += int((golden.view(bits) != faulty.view(bits)).sum())
        not_finite += missing
    return Quantity(largest_golden, largest_faulty, largest, where, changed, not_finite)
