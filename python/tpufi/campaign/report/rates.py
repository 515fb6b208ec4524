# SPDX-License-Identifier: Apache-2.0
"""Rates of strata with their intervals, from counts over the columns."""

import dataclasses
from typing import NamedTuple

import numpy as np

from tpufi.campaign.effect import is_judged, is_visible
from tpufi.campaign.report.columns import Columns
from tpufi.campaign.report.family import Family
from tpufi.campaign.statistics.clusters import ClusteredRate, clustered_rate
from tpufi.campaign.statistics.intervals import Interval, clopper_pearson, wilson

# Below this a rate says little; its interval says how little.
FEW = 30
_CELLS = 4_000_000


class Rate(NamedTuple):
    """A rate with two intervals.

    Args:
      hits: experiments with the outcome.
      trials: all experiments of the stratum that say something about the fault, >= 1.
      share: the rate: hits by trials, or both weighted.
      effective: independent experiments of equal weight that say as much; `trials`
        without weights.
      interval: of independent experiments.
      clustered: the same with (epoch, step) as clusters.
    """

    hits: int
    trials: int
    share: float
    effective: float
    interval: Interval
    clustered: ClusteredRate


@dataclasses.dataclass(frozen=True, eq=False)
class Counter:
    """Counts experiments by strata; outcomes that say nothing of the fault are out.

    Args:
      columns: of the journal.
      confidence: of the intervals, above 0, below 1.
      exact: Clopper-Pearson's intervals instead of Wilson's.
      judged: bool [rows], whether the outcome says something about the fault.
      visible: bool [rows], whether it is not masked.
      cluster: int [rows], number of the (epoch, step).
      clusters: how many there are.
      weight: float64 [rows], by `weights.weights_of`; None: all weigh the same.
    """

    columns: Columns
    confidence: float
    exact: bool
    judged: np.ndarray
    visible: np.ndarray
    cluster: np.ndarray
    clusters: int
    weight: np.ndarray | None = None

    @classmethod
    def of(
        cls,
        columns: Columns,
        confidence: float,
        exact: bool,
        weight: np.ndarray | None = None,
    ) -> "Counter":
        """Return the counter of a journal."""
        outcomes, codes = columns.values["outcome"], columns.codes["outcome"]
        steps = len(columns.values["step"])
        pair = columns.codes["epoch"].astype(np.int64) * steps + columns.codes["step"]
        found, cluster = np.unique(pair, return_inverse=True)
        return cls(
            columns,
            confidence,
            exact,
            np.array([is_judged(o) for o in outcomes], bool)[codes],
            np.array([is_visible(o) for o in outcomes], bool)[codes],
            cluster,
            len(found),
            weight,
        )

    @property
    def total(self) -> int:
        """Experiments that say something about the fault."""
        return int(np.count_nonzero(self.judged))

    def interval(self, hits: float, trials: float) -> Interval:
        """Return the interval of a rate of independent experiments."""
        method = clopper_pearson if self.exact else wilson
        return method(hits, trials, self.confidence)

    def counts(self, codes: np.ndarray, size: int, hit: np.ndarray) -> np.ndarray:
        """Return (hits, trials) by stratum, [size, 2].

        With weights there are three more columns, which add up likewise: weight of the
        hits, of the trials, and the sum of its squares.

        Args:
          codes: int [rows], stratum of each experiment; -1: none.
          size: number of strata.
          hit: bool [rows].
        """
        within = self.judged & (codes >= 0)
        trials = np.bincount(codes[within], minlength=size)
        hits = np.bincount(codes[within & hit], minlength=size)
        sums = [hits, trials]
        if self.weight is not None:
            for rows, power in ((within & hit, 1), (within, 1), (within, 2)):
                weight = self.weight[rows] ** power
                sums.append(np.bincount(codes[rows], weight, size))
        return np.stack(sums, axis=1)

    def outcomes(self, family: Family) -> np.ndarray:
        """Return experiments by stratum and outcome, int64 [strata, outcomes]."""
        outcomes = len(self.columns.values["outcome"])
        within = self.judged & (family.codes >= 0)
        pair = family.codes[within].astype(np.int64) * outcomes
        pair += self.columns.codes["outcome"][within]
        size = len(family) * outcomes
        return np.bincount(pair, minlength=size).reshape(len(family), outcomes)

    def by_cluster(self, family: Family, hit: np.ndarray, strata: range) -> np.ndarray:
        """Return `counts` of some strata by step, [strata, clusters, columns]."""
        size = len(strata) * self.clusters
        pair = (family.codes.astype(np.int64) - strata.start) * self.clusters
        within = (family.codes >= strata.start) & (family.codes < strata.stop)
        counts = self.counts(np.where(within, pair + self.cluster, -1), size, hit)
        return counts.reshape(len(strata), self.clusters, -1)

    def rate(self, clusters: np.ndarray) -> Rate:
        """Return the rate of a stratum from its `counts` by step."""
        clusters = clusters[clusters[:, 1] > 0]
        whole = clusters.sum(axis=0)
        hits, effective = self.evidence(whole)
        pairs = clusters[:, :2]
        if self.weight is not None:
            # Differences of sums are rounded.
            pairs = clusters[:, 2:4].clip(0)
            pairs[:, 0] = pairs.min(axis=1)
        return Rate(
            int(whole[0]),
            int(whole[1]),
            hits / effective,
            effective,
            self.interval(hits, effective),
            clustered_rate(pairs.tolist(), self.confidence, effective),
        )

    def evidence(self, counts: np.ndarray) -> tuple[float, float]:
        """Return (hits, trials) of equal weight that say as much as a stratum's counts.

        Source: L. Kish, Survey Sampling (1965), for the effective number.
        """
        hits, trials, *weighted = counts.tolist()
        if not weighted:
            return hits, trials
        hit_weight, weight, squares = weighted
        effective = min(trials, weight**2 / squares)
        if hits in (0, trials):
            return effective * (hits > 0), effective
        return effective * min(1.0, hit_weight / weight), effective

    def rates(self, family: Family, hit: np.ndarray) -> list[Rate | None]:
        """Return the rate of each stratum; None: it has no experiment."""
        found: list[Rate | None] = []
        block = max(1, _CELLS // max(1, self.clusters))  # Bounds the memory.
        for first in range(0, len(family), block):
            strata = range(first, min(first + block, len(family)))
            for clusters in self.by_cluster(family, hit, strata):
                found.append(self.rate(clusters) if clusters[:, 1].any() else None)
        return found
