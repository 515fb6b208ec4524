# SPDX-License-Identifier: Apache-2.0
"""Which detectors together cover most harm for a price.

A set is chosen by the harmful experiments of the fitted half, at default thresholds,
and scored by those of the other.
"""

import dataclasses
from collections.abc import Mapping

import numpy as np

from tpufi.campaign.detector_bench import Bench, first_of
from tpufi.errors import InputError

_MOST = 20  # Detectors whose sets are all looked at.


@dataclasses.dataclass(frozen=True)
class DetectorSet:
    """Some detectors, and what they make of the scored half at default thresholds.

    Args:
      covered: harmful experiments with an alarm.
      harmful: all of them.
      latency: median steps to the first alarm; NaN: there is none.
      alarms: clean steps with an alarm.
      harmless: masked experiments with other bits that have an alarm.
    """

    covered: int
    harmful: int
    latency: float
    alarms: int
    harmless: int


def scored_set(bench: Bench, names: tuple[str, ...]) -> DetectorSet:
    """Return what some detectors together make of the scored half.

    Args:
      bench: what was found.
      names: of at least one detector.

    Raises:
      InputError: the bench has no such detector.
    """
    for name in names:
        if name not in bench.detectors:
            raise InputError(f"{name} is not in the bench; known: {bench.detectors}")
    latencies, clean = bench.latencies(False), bench.clean_hits(False)
    first = first_of(latencies[name] for name in names)
    hits = first[bench.scored.harmful]
    found = hits[hits >= 0]
    return DetectorSet(
        len(found),
        len(hits),
        float(np.median(found)) if found.size else float("nan"),
        int(np.any([clean[name] for name in names], 0).sum()),
        int((first[bench.scored.harmless] >= 0).sum()),
    )


def best_set(
    bench: Bench, prices: Mapping[str, float], budget: float
) -> tuple[str, ...]:
    """Return the detectors that cover most of the fitted half for at most a price.

    All sets are looked at; of equal ones the cheapest is taken, then the smallest.

    Args:
      bench: what was found.
      prices: of the detectors; the price of a set is their sum.
      budget: the largest price of a set.

    Returns:
      Names in the order of the bench; none if all cost more.

    Raises:
      InputError: there are too many detectors.
    """
    names = [n for n in bench.detectors if prices.get(n, budget + 1) <= budget]
    if len(names) > _MOST:
        raise InputError(f"{len(names)} detectors; sets of at most {_MOST} are tried")
    hits = bench.fitted_hits()
    words = [int("0" + "".join("01"[h] for h in hits[name]), 2) for name in names]
    best, chosen = (0, 0.0, 0), 0
    union, total = [0], [0.0]
    for members in range(1, 1 << len(names)):
        last = (members & -members).bit_length() - 1
        rest = members & (members - 1)
        union.append(union[rest] | words[last])
        total.append(total[rest] + prices[names[last]])
        if total[-1] <= budget:
            gain = union[-1].bit_count(), -total[-1], -members.bit_count()
            if gain > best:
                best, chosen = gain, members
    return tuple(n for place, n in enumerate(names) if chosen >> place & 1)
