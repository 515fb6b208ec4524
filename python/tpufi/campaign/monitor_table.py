# SPDX-License-Identifier: Apache-2.0
"""What monitors noticed: faults detected and missed, and false alarms."""

import math
from collections.abc import Iterator
from typing import NamedTuple

from tpufi.campaign.effect import is_judged, is_visible
from tpufi.campaign.journal.answers import ALARM, measures_of
from tpufi.campaign.journal.reader import Reader
from tpufi.statistics.intervals import Interval, wilson

_ALARMS = (
    "SELECT outcome, value FROM experiment JOIN answer USING (experiment) "
    "WHERE measure = ?"
)


class MonitorRates(NamedTuple):
    """What one monitor noticed.

    Args:
      name: of the monitor.
      detected: experiments with a visible effect and an alarm.
      missed: experiments with a visible effect and none.
      false_alarms: experiments whose fault was masked, with an alarm.
      quiet: experiments whose fault was masked, without.
      latency: mean steps from the fault to the alarm of those detected; NaN: none was.
      golden_alarms: steps of the golden run with an alarm.
    """

    name: str
    detected: int
    missed: int
    false_alarms: int
    quiet: int
    latency: float
    golden_alarms: int

    @property
    def visible(self) -> int:
        """Experiments with a visible effect."""
        return self.detected + self.missed

    @property
    def masked(self) -> int:
        """Experiments whose fault was masked."""
        return self.false_alarms + self.quiet

    def detection(self, confidence: float = 0.95) -> Interval:
        """Return Wilson's interval of the share of visible effects it detects."""
        return wilson(self.detected, self.visible, confidence)

    def false(self, confidence: float = 0.95) -> Interval:
        """Return Wilson's interval of the share of masked faults with an alarm."""
        return wilson(self.false_alarms, self.masked, confidence)


def monitor_rates(journal: Reader) -> list[MonitorRates]:
    """Return what each monitor of a campaign noticed; none without monitors."""
    golden = journal.plan().get("golden alarms", {})
    found = []
    for number, name, _ in measures_of(journal):
        if not name.startswith(ALARM):
            continue
        own = name.removeprefix(ALARM)
        counts = {(v, a): 0 for v in (True, False) for a in (True, False)}
        steps = 0.0
        for outcome, value in journal.query(_ALARMS, (number,)):
            if is_judged(outcome):
                seen, visible = value is not None, is_visible(outcome)
                counts[visible, seen] += 1
                steps += value if seen and visible else 0
        detected = counts[True, True]
        latency = steps / detected if detected else math.nan
        found.append(
            MonitorRates(own, detected, counts[True, False], counts[False, True],
                         counts[False, False], latency, golden.get(own, 0))
        )  # fmt: skip
    return found


def monitor_lines(journal: Reader, confidence: float) -> Iterator[str]:
    """Yield a line for each monitor."""
    for rates in monitor_rates(journal):
        share = ""
        if rates.visible:
            low, high = rates.detection(confidence)
            found = rates.detected / rates.visible
            share = f" = {found:.3%} [{low:.3%}, {high:.3%}]"
        latency = f", after {rates.latency:.2f} steps" if rates.detected else ""
        yield (
            f"monitor {rates.name}: detected {rates.detected}/{rates.visible}{share}"
            f"{latency}; missed {rates.missed}; false alarms {rates.false_alarms}/"
            f"{rates.masked} masked, {rates.golden_alarms} golden steps"
        )
