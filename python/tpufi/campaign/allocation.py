# SPDX-License-Identifier: Apache-2.0
"""How a campaign's experiments are allotted to strata, as its journal records it."""

import dataclasses
import json
from collections.abc import Mapping

from tpufi.campaign.effect import is_judged, is_visible
from tpufi.campaign.plan import Plan, strata
from tpufi.faults.sampler import FaultSource


@dataclasses.dataclass(frozen=True)
class Allocation:
    """Neyman's allocation after a pilot.

    Experiments of the pilot are drawn by the plan; of the later ones, strata whose
    outcomes vary little lose some. So the rate of the whole is no longer hits by
    trials: strata have to be weighted by their shares.

    Args:
      pilot: experiments below this number are all run.
      keys: what makes a stratum, among `stop_rule.STRATUM_KEYS`.
      shares: probability of an experiment of the plan to lie in each stratum.
    """

    pilot: int
    keys: tuple[str, ...]
    shares: Mapping[tuple[str, ...], float]

    @classmethod
    def of(cls, plan: Plan, sampler: FaultSource) -> "Allocation | None":
        """Return the allocation of a plan; None: it has none."""
        if plan.stop.pilot is None:
            return None
        shares = {k: float(v) for k, v in strata(sampler, plan.stop.strata).items()}
        return cls(plan.stop.pilot, plan.stop.strata, shares)

    def text(self) -> str:
        """Return canonical JSON."""
        shares = sorted(
            (list(stratum), share) for stratum, share in self.shares.items()
        )
        entries = {"pilot": self.pilot, "strata": self.keys, "shares": shares}
        return json.dumps(entries, separators=(",", ":"))

    @classmethod
    def of_text(cls, text: str) -> "Allocation | None":
        """Return what `text` returned; of an empty text None."""
        if not text:
            return None
        entries = json.loads(text)
        shares = {tuple(stratum): share for stratum, share in entries["shares"]}
        return cls(entries["pilot"], tuple(entries["strata"]), shares)


def visible_effects(
    tally: Mapping[tuple, int], strata: Mapping[tuple, object]
) -> dict[tuple, tuple[int, int]]:
    """Return visible effects and judged experiments of each stratum.

    Args:
      tally: (*stratum, outcome) -> experiments, as `Reader.tally` counts them.
      strata: all there can be.
    """
    found = {stratum: (0, 0) for stratum in strata}
    for (*values, outcome), count in tally.items():
        stratum = tuple(values)
        if stratum in found and is_judged(outcome):
            hits, trials = found[stratum]
            more = count if is_visible(outcome) else 0
            found[stratum] = hits + more, trials + count
    return found
