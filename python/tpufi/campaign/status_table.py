# SPDX-License-Identifier: Apache-2.0
"""A journal as lines: what ran, outcomes with intervals, detection latency."""

import math
from collections.abc import Callable, Iterator, Mapping

from tpufi.campaign.allocation import Allocation
from tpufi.campaign.inference import KIND
from tpufi.campaign.journal.answers import measures_of, values_of
from tpufi.campaign.journal.reader import Reader
from tpufi.campaign.moment_table import moment_lines
from tpufi.campaign.monitor_table import monitor_lines
from tpufi.campaign.widest import stratum_sizes, widest_interval
from tpufi.messages import counted
from tpufi.statistics.clusters import clustered_rate
from tpufi.statistics.intervals import Interval, clopper_pearson, wilson
from tpufi.statistics.latency import summarise_latency
from tpufi.text_table import aligned_table

# A rate of less time says more about starting than about running.
_SECONDS = 60


def status_lines(
    journal: Reader,
    by: tuple[str, ...] = (),
    confidence: float = 0.95,
    exact: bool = False,
) -> Iterator[str]:
    """Yield the state of a campaign: outcomes first, then how it was run.

    Args:
      journal: open for reading.
      by: columns that make a stratum; empty: all experiments are one, or the strata of
        the campaign's allocation if it has one.
      confidence: of the intervals, above 0, below 1.
      exact: Clopper-Pearson's intervals instead of Wilson's.
    """
    allocation = Allocation.of_text(journal.manifest().get("allocation", ""))
    if allocation:
        by = by or allocation.keys
    tally = journal.tally(by)
    if tally:
        yield from _outcomes(journal, tally, by, confidence, exact)
    if allocation:
        yield (
            f"experiments from {allocation.pilot} on were allotted to strata; rates of "
            "the whole need their shares: tpufi campaign report has them"
        )
    else:
        yield from _unfinished(journal)
    yield from moment_lines(journal)
    yield from _latency(journal)
    yield from monitor_lines(journal, confidence)
    yield from _sessions(journal)


def _outcomes(
    journal: Reader,
    tally: Mapping[tuple, int],
    by: tuple[str, ...],
    confidence: float,
    exact: bool,
) -> Iterator[str]:
    method = clopper_pearson if exact else wilson
    interval = f"{100 * confidence:.4g}% interval"
    if measures := list(_measures(journal, confidence, method)):
        yield from _table(["measure", "experiments", "share", interval], measures, 1)
        yield ""
    heads = [*by, "outcome", "experiments", "share", interval]
    cluster = "input" if journal.plan().get("kind") == KIND else "step"
    if not by:
        heads.append(f"interval by {cluster}")
    clustered = {} if by else _by_steps(journal, confidence)
    sizes = stratum_sizes(tally)
    rows = []
    for stratum in sorted(sizes):
        for outcome in sorted({key[-1] for key in tally}):
            hits, total = tally.get((*stratum, outcome), 0), sizes[stratum]
            row = [*map(str, stratum), outcome]
            row += _rate(hits, total, method(hits, total, confidence))
            rows.append(row if by else [*row, _shares(clustered[outcome])])
    yield from _table(heads, rows, len(by) + 1)
    name = "Clopper-Pearson" if exact else "Wilson"
    shared = f"by {cluster}: cluster-robust, for faults that share one"
    robust = "" if by else f"; {shared}"
    yield f"intervals: {name}{robust}"
    widest = widest_interval(tally, sizes, confidence, method)
    yield (
        f"widest interval: {widest.width:.3%}, {widest.outcome} in "
        f"{_label(widest.stratum)}"
    )


def _measures(
    journal: Reader, confidence: float, method: Callable[[int, int, float], Interval]
) -> Iterator[list[str]]:
    """Yield the rate of each measure of inferences that holds or not."""
    for number, name, is_truth in measures_of(journal):
        values = list(values_of(journal, number)) if is_truth else []
        if values:
            hits, total = sum(map(bool, values)), len(values)
            yield [name, *_rate(hits, total, method(hits, total, confidence))]


def _rate(hits: int, total: int, interval: Interval) -> list[str]:
    return [f"{hits} of {total}", f"{hits / total:.3%}", _shares(interval)]


def _shares(interval: Interval) -> str:
    low, high = interval
    return f"{low:.3%} to {high:.3%}"


def _table(heads: list[str], rows: list[list[str]], left: int) -> list[str]:
    return aligned_table([heads, *rows], left).splitlines()


def _sessions(journal: Reader) -> Iterator[str]:
    count, sessions = journal.count(), journal.noted()
    seconds = sum(took for _, took in sessions)
    rate = f", {count / seconds * 3600:.0f} an hour" if seconds >= _SECONDS else ""
    yield (
        f"{counted(count, 'experiment')} in {counted(len(sessions), 'session')}, "
        f"{seconds:.0f} s{rate}"
    )
    for noted, took in sessions:
        command = " ".join(noted.get("command", []))
        yield f"  {noted.get('begun', '')} {took:.0f} s  {command}"
    yield "made of:"
    for key, value in journal.manifest().items():
        if not value:
            continue
        yield f"  {key}: {value}"


def _unfinished(journal: Reader) -> Iterator[str]:
    """Tell if the experiments are no random sample yet."""
    highest = journal.highest()
    missing = 0 if highest is None else highest + 1 - journal.count()
    if missing:
        yield (
            f"the last window is not complete: below {highest}, "
            f"{counted(missing, 'experiment')} of later steps "
            f"{'is' if missing == 1 else 'are'} missing; the rates lean towards "
            "earlier steps"
        )


def _latency(journal: Reader) -> Iterator[str]:
    counts = journal.tally(("detection_latency",), outcome=False)
    summary = summarise_latency({steps: n for (steps,), n in counts.items()})
    if summary.detected:
        shown = ", ".join(
            f"{p:.0%} {'not detected' if math.isinf(s) else f'within {s:g}'}"
            for p, s in summary.quantiles.items()
        )
        yield (
            f"detected: {summary.detected} of {summary.experiments}, after "
            f"{summary.mean:.2f} steps on average; steps of all experiments: {shown}"
        )


def _by_steps(journal: Reader, confidence: float) -> dict[str, Interval]:
    """Return intervals by outcome that respect shared checkpoints and batches."""
    tally = journal.tally(("epoch", "step", "item"))
    sizes = stratum_sizes(tally)
    return {
        outcome: clustered_rate(
            [(tally.get((*step, outcome), 0), total) for step, total in sizes.items()],
            confidence,
        ).interval
        for outcome in {key[-1] for key in tally}
    }


def _label(stratum: tuple) -> str:
    return " ".join(map(str, stratum)) or "all"
