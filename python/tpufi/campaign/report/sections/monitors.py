# SPDX-License-Identifier: Apache-2.0
"""Section: what monitors noticed of the faults."""

import math
from collections.abc import Iterator

from tpufi.campaign.journal.scores import has_scores
from tpufi.campaign.monitor_table import MonitorRates, monitor_rates
from tpufi.campaign.report.cells import Share
from tpufi.campaign.report.document import Section, Table
from tpufi.campaign.report.facts import Facts

_EXPLAINED = (
    "A monitor looks at the numbers of each step from the fault on, until the training "
    "is golden again, not finite, or at the horizon. Detected: a visible effect and an "
    "alarm; missed: a visible effect and none; false alarm: the fault was masked, or "
    "there was none."
)


def sections(facts: Facts) -> Iterator[Section]:
    """Yield the section; none without monitors, or if detectors have one."""
    if has_scores(facts.journal):
        return
    confidence = facts.options.confidence
    if found := monitor_rates(facts.journal):
        rows = [_row(rates, confidence) for rates in found]
        table = Table.of("monitors", "What each monitor noticed.", rows)
        yield Section("monitors", "Monitors", (_EXPLAINED, table))


def _row(rates: MonitorRates, confidence: float) -> dict[str, object]:
    visible, masked = rates.visible, rates.masked
    return {
        "monitor": rates.name,
        "detected": rates.detected,
        "missed": rates.missed,
        "rate": Share(rates.detected / visible) if visible else None,
        "interval": rates.detection(confidence) if visible else None,
        "steps to the alarm": None if math.isnan(rates.latency) else rates.latency,
        "false alarms": rates.false_alarms,
        "of masked": Share(rates.false_alarms / masked) if masked else None,
        "its interval": rates.false(confidence) if masked else None,
        "golden steps with an alarm": rates.golden_alarms,
    }
