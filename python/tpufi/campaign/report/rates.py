# SPDX-License-Identifier: Apache-2.0
"""Rates of strata with their intervals."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from tpufi.campaign.report.cells import Share
from tpufi.statistics.clusters import ClusteredRate, clustered_rate
from tpufi.statistics.intervals import Interval, clopper_pearson, wilson

# Below this a rate says little; its interval says how little.
FEW = 30


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

    def cells(self) -> dict[str, object]:
        """Return the cells of a table of visible effects."""
        return {
            "experiments": self.trials,
            "visible": self.hits,
            "rate": Share(self.share),
            "interval": self.interval,
            "interval by steps": self.clustered.interval,
        }


class Strata(NamedTuple):
    """Groups of experiments by one property of the fault.

    Args:
      title: the property, in words.
      rates: of a visible effect, by value of the property, in order; those of which an
        experiment says something about the fault.
    """

    title: str
    rates: Mapping[object, Rate]

    @property
    def small(self) -> int:
        """Number of strata with few experiments."""
        return sum(rate.trials < FEW for rate in self.rates.values())


@dataclasses.dataclass(frozen=True, eq=False)
class Estimator:
    """Estimates rates of groups of experiments.

    Args:
      judged: the experiments that say something about their fault; with a column
        `weight` they do not weigh the same.
      confidence: of the intervals, above 0, below 1.
      exact: Clopper-Pearson's intervals instead of Wilson's.
    """

    judged: pd.DataFrame
    confidence: float
    exact: bool

    def interval(self, hits: float, trials: float) -> Interval:
        """Return the interval of a rate of independent experiments."""
        method = clopper_pearson if self.exact else wilson
        return method(hits, trials, self.confidence)

    def counts(
        self, by: Sequence[str | pd.Series], hit: pd.Series | None = None
    ) -> pd.DataFrame:
        """Return hits and trials of groups, those that have an experiment.

        With weights there are three more columns, which add up likewise: weight of the
        hits, of the trials, and the sum of its squares.

        Args:
          by: columns, or their names.
          hit: whether the experiment counts; default: the visible effects.
        """
        hit = self.judged["visible"] if hit is None else hit
        sums = pd.DataFrame({"hits": hit.astype("int64"), "trials": 1})
        if "weight" in self.judged:
            weight = self.judged["weight"]
            sums = sums.assign(
                hit_weight=weight * hit, weight=weight, squares=weight**2
            )
        keys = [self.judged[key] if isinstance(key, str) else key for key in by]
        return sums.groupby(keys, observed=True).sum()

    def evidence(self, counts: Sequence[float]) -> tuple[float, float]:
        """Return (hits, trials) of equal weight that say as much as the counts.

        Source: L. Kish, Survey Sampling (1965), for the effective number.
        """
        hits, trials, *weighted = counts
        if not weighted:
            return hits, trials
        hit_weight, weight, squares = weighted
        effective = min(trials, weight**2 / squares)
        if hits in (0, trials):
            return effective * (hits > 0), effective
        return effective * min(1.0, hit_weight / weight), effective

    def rate(self, clusters: pd.DataFrame) -> Rate:
        """Return the rate of a stratum from its `counts` by cluster."""
        counts = clusters.to_numpy()
        counts = counts[counts[:, 1] > 0]
        whole = counts.sum(axis=0).tolist()
        hits, effective = self.evidence(whole)
        pairs = counts[:, :2]
        if len(whole) > 2:
            # Differences of sums are rounded.
            pairs = counts[:, 2:4].clip(0)
            pairs[:, 0] = pairs.min(axis=1)
        return Rate(
            int(whole[0]),
            int(whole[1]),
            hits / effective,
            effective,
            self.interval(hits, effective),
            clustered_rate(pairs.tolist(), self.confidence, effective),
        )

    def rates(self, key: str) -> dict[object, Rate]:
        """Return the rate of a visible effect in each category of a column."""
        groups = self.counts([key, "cluster"]).groupby(level=0, observed=True)
        return {label: self.rate(clusters) for label, clusters in groups}

    def others(self, key: str) -> dict[object, Rate]:
        """Return, by category of a column, the rate of all other categories."""
        counts = self.counts([key, "cluster"])
        whole = counts.groupby(level=1).sum()
        found = {}
        for label, own in counts.groupby(level=0, observed=True):
            rest = whole.sub(own.droplevel(0), fill_value=0)
            if np.any(rest["trials"]):
                found[label] = self.rate(rest.astype(whole.dtypes))
        return found

    def outcomes(self, key: str) -> pd.DataFrame:
        """Return the experiments of each outcome by category of a column."""
        groups = self.judged.groupby([key, "outcome"], observed=True)
        return groups.size().unstack(fill_value=0)
