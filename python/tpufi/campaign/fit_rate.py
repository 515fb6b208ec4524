# SPDX-License-Identifier: Apache-2.0
"""FIT rate of an accelerator from the outcome of faults in its flip-flops.

FIT is failures in 10**9 hours of operation. By FIdelity's formula

    FIT = raw FIT * sum over classes of share * activeness * P(failure | class)

where P(failure | class) = 1 - P(masked | class) comes from experiments.

Source: Y. He et al., FIdelity, MICRO 2020.
"""

import math
from collections.abc import Mapping, Sequence

from tpufi.errors import InputError
from tpufi.faults.flip_flop_shares import CLASSES, FlipFlopClass
from tpufi.statistics.intervals import Estimate, Interval, weighted_rates

_HOURS = 1e9


def fit_rate(
    raw_fit: float,
    failures: Mapping[str, tuple[int, int]],
    classes: Sequence[FlipFlopClass] = CLASSES,
    confidence: float = 0.95,
) -> Estimate:
    """Return the FIT rate and its interval.

    Args:
      raw_fit: FIT of all flip-flops together, were no fault masked; > 0.
      failures: class name -> experiments that failed, and all experiments with a fault
        of this class.
      classes: flip-flops with share and activeness.
      confidence: above 0, below 1.

    Raises:
      InputError: `raw_fit` is not positive; a class has no experiment or is unknown.

    Example:
      >>> all_fail = {group.name: (100, 100) for group in CLASSES}
      >>> round(fit_rate(600, all_fail).value, 2)
      122.65
    """
    if not 0 < raw_fit < math.inf:
        raise InputError(f"raw FIT {raw_fit}; expected a positive number")
    known = [group.name for group in classes]
    if unknown := failures.keys() - set(known):
        raise InputError(
            f"unknown flip-flop class {min(unknown)!r}; known: {', '.join(known)}"
        )
    for name in known:
        if failures.get(name, (0, 0))[1] < 1:
            raise InputError(
                f"no experiment with a fault of class {name}; run some, or leave the "
                "class out of `classes` and say so"
            )
    weights = [raw_fit * float(c.share * c.activeness) for c in classes]
    return weighted_rates(weights, [failures[name] for name in known], confidence)


def hours_to_failure(fit: Estimate) -> Estimate:
    """Return the mean time to failure in hours, for a constant rate."""

    def hours(rate: float) -> float:
        return _HOURS / rate if rate > 0 else math.inf

    low, high = fit.interval
    return Estimate(hours(fit.value), Interval(hours(high), hours(low)))
