# SPDX-License-Identifier: Apache-2.0
"""Section: what detectors found, and at which price in false alarms."""

from collections.abc import Iterator

import numpy as np

from tpufi.campaign.detector_bench import HALF, TOGETHER, Alarms, with_all
from tpufi.campaign.detector_table import (
    Found,
    covered,
    fitted_half,
    fitted_threshold,
    mcnemar,
    read_found,
)
from tpufi.campaign.report.cells import PValue, Share
from tpufi.campaign.report.document import Section, Table
from tpufi.campaign.report.facts import Facts
from tpufi.statistics.intervals import wilson

_EXPLAINED = (
    "All detectors saw every step of every experiment from its fault on, and every "
    "step of the golden run: comparisons are paired. Harmful: the outcome is not "
    "masked. Covered: an alarm at any step of the experiment. Changed but harmless: "
    "masked, with other bits than golden; an alarm there is true and of no use. "
    "McNemar's exact test compares each detector with the one of the largest coverage."
)
_FITTED = (
    "Thresholds are fitted on the experiments of even number (largest coverage less "
    "share of alarms on masked ones, not below any score of the golden run) and "
    "reported on those of odd number: no experiment is in both halves."
)


def sections(facts: Facts) -> Iterator[Section]:
    """Yield the section; none without detectors."""
    found = read_found(facts.journal)
    if found is None or not len(found.numbers):
        return
    confidence = facts.options.confidence
    latencies = {n: s.latencies(s.threshold) for n, s in found.detectors.items()}
    blocks = [
        _EXPLAINED,
        _coverage(found, latencies, confidence),
        coverage_by(found, latencies, "outcome", found.outcomes, confidence),
        coverage_by(found, latencies, "fault model", found.models, confidence),
        coverage_by(found, latencies, "direction", found.directions, confidence),
        _FITTED,
        _scored(found, confidence),
    ]
    if len(spots := _blind_spots(found, latencies)):
        blocks.append(spots)
    yield Section("detectors", "Detectors", tuple(blocks))


def _coverage(found: Found, latencies: Alarms, confidence: float) -> Table:
    whole = with_all(latencies)
    alarms = {name: own >= 0 for name, own in whole.items()}
    best = max(latencies, key=lambda name: int(alarms[name][found.harmful].sum()))
    rows = []
    for name, own in whole.items():
        scores = found.detectors.get(name)
        hit = own[found.harmful & (own >= 0)]
        p_value = None
        if name not in (best, TOGETHER):
            p_value = PValue(
                mcnemar(alarms[name][found.harmful], alarms[best][found.harmful])
            )
        golden = None
        if scores is not None:
            golden = scores.golden_alarms(scores.threshold)
        steps = found.golden_steps
        rows.append(
            {
                "detector": name,
                "threshold": None if scores is None else scores.threshold,
                **share_cells(alarms[name], found.harmful, "harmful", confidence),
                "median steps to the alarm": float(np.median(hit))
                if hit.size
                else None,
                "95 % within steps": (
                    float(np.quantile(hit, 0.95, method="higher")) if hit.size else None
                ),
                **share_cells(
                    alarms[name], found.harmless, "changed but harmless", None
                ),
                "clean steps": steps,
                "alarms in them": golden,
                "per million": None if golden is None else golden / steps * 1e6,
                "McNemar against the best": p_value,
            }
        )
    caption = "Coverage at the thresholds of the plan."
    return Table.of("detectors", caption, rows)


def share_cells(
    alarms: np.ndarray, among: np.ndarray, what: str, confidence: float | None
) -> dict[str, object]:
    """Return the cells of a share of experiments with an alarm."""
    total, hits = int(among.sum()), int(alarms[among].sum())
    cells: dict[str, object] = {
        what: total,
        f"alarms, {what}": hits,
        f"share, {what}": Share(hits / total) if total else None,
    }
    if confidence is not None:
        cells["interval"] = wilson(hits, total, confidence) if total else None
    return cells


def coverage_by(
    found: Found, latencies: Alarms, title: str, values: np.ndarray, confidence: float
) -> Table:
    """Return the coverage of harmful experiments by a property of them."""
    groups = list(found.harmful_by(values))
    rows = []
    for name, own in with_all(latencies).items():
        row: dict[str, object] = {"detector": name}
        for value, among in groups:
            hits, total = covered(own, among)
            row[f"{value} ({total})"] = Share(hits / total)
            row[f"{value}, interval"] = wilson(hits, total, confidence)
        rows.append(row)
    key = f"detectors_by_{title.replace(' ', '_')}"
    caption = f"Coverage of harmful experiments by {title} (their number)."
    return Table.of(key, caption, rows)


def _scored(found: Found, confidence: float) -> Table:
    fitted = fitted_half(found.numbers)
    rows = []
    for name, scores in found.detectors.items():
        threshold = fitted_threshold(scores, found.harmful, fitted)
        alarms = scores.latencies(threshold) >= 0
        rows.append(
            {
                "detector": name,
                "fitted threshold": threshold,
                **share_cells(alarms, found.harmful & ~fitted, "harmful", confidence),
                **share_cells(
                    alarms, found.harmless & ~fitted, "changed but harmless", None
                ),
                "alarms in clean steps": scores.golden_alarms(threshold),
            }
        )
    return Table.of("detectors_scored", "Thresholds fitted on the other half.", rows)


def _blind_spots(found: Found, latencies: Alarms) -> Table:
    """Return the cells whose harmful experiments mostly pass unseen."""
    together = with_all(latencies)[TOGETHER]
    rows = []
    for model, direction, among in found.harmful_cells(found.models, found.directions):
        hits, total = covered(together, among)
        if hits / total < HALF:
            rows.append(
                {
                    "fault model": model,
                    "direction": direction,
                    "harmful": total,
                    "covered": hits,
                    "share": Share(hits / total),
                }
            )
    caption = "Blind spots: under half of the harmful experiments raise any alarm."
    return Table.of("blind_spots", caption, rows)
