# SPDX-License-Identifier: Apache-2.0
"""A journal as lines: what ran, outcomes with intervals, detection latency."""

from collections.abc import Iterator

from tpufi.campaign.allocation import Allocation
from tpufi.campaign.journal.reader import Reader
from tpufi.campaign.widest import stratum_sizes, widest_interval
from tpufi.statistics.clusters import clustered_rate
from tpufi.statistics.intervals import Interval, clopper_pearson, wilson
from tpufi.statistics.latency import summarise_latency


def status_lines(
    journal: Reader,
    by: tuple[str, ...] = (),
    confidence: float = 0.95,
    exact: bool = False,
) -> Iterator[str]:
    """Yield the state of a campaign.

    Args:
      journal: open for reading.
      by: columns that make a stratum; empty: all experiments are one, or the strata of
        the campaign's allocation if it has one.
      confidence: of the intervals, above 0, below 1.
      exact: Clopper-Pearson's intervals instead of Wilson's.
    """
    allocation = Allocation.of_text(journal.manifest().get("allocation", ""))
    yield from _sessions(journal)
    if allocation:
        yield (
            f"experiments from {allocation.pilot} on were allotted to strata; rates of "
            "the whole need their shares: tpufi campaign report has them"
        )
        by = by or allocation.keys
    else:
        yield from _unfinished(journal)
    tally = journal.tally(by)
    if not tally:
        return
    method = clopper_pearson if exact else wilson
    name = "Clopper-Pearson" if exact else "Wilson"
    yield f"outcomes with {confidence:.4g} intervals ({name}; by steps: clustered)"
    clustered = {} if by else _by_steps(journal, confidence)
    sizes = stratum_sizes(tally)
    for stratum in sorted(sizes):
        for outcome in sorted({key[-1] for key in tally}):
            hits, total = tally.get((*stratum, outcome), 0), sizes[stratum]
            low, high = method(hits, total, confidence)
            line = (
                f"  {_label(stratum)}: {outcome} {hits}/{total} = {hits / total:.3%} "
                f"[{low:.3%}, {high:.3%}]"
            )
            if not by:
                low, high = clustered[outcome]
                line += f", by steps [{low:.3%}, {high:.3%}]"
            yield line
    widest = widest_interval(tally, sizes, confidence, method)
    yield (
        f"widest interval: {widest.width:.3%}, {widest.outcome} in "
        f"{_label(widest.stratum)}"
    )
    yield from _latency(journal)


def _sessions(journal: Reader) -> Iterator[str]:
    count, sessions = journal.count(), journal.noted()
    seconds = sum(took for _, took in sessions)
    rate = f", {count / seconds * 3600:.0f} an hour" if seconds else ""
    yield f"{count} experiments in {len(sessions)} sessions, {seconds:.0f} s{rate}"
    for noted, took in sessions:
        command = " ".join(noted.get("command", []))
        yield f"  {noted.get('begun', '')} {took:.0f} s  {command}"
    for key, value in journal.manifest().items():
        yield f"  {key}: {value}"


def _unfinished(journal: Reader) -> Iterator[str]:
    """Tell if the experiments are no random sample yet."""
    highest = journal.highest()
    missing = 0 if highest is None else highest + 1 - journal.count()
    if missing:
        yield (
            f"the last window is not complete: {missing} experiments below {highest} "
            "are missing, those of later steps; the rates lean towards earlier steps"
        )


def _latency(journal: Reader) -> Iterator[str]:
    counts = journal.tally(("detection_latency",), outcome=False)
    summary = summarise_latency({steps: n for (steps,), n in counts.items()})
    if summary.detected:
        shown = ", ".join(f"{p:.0%} {s:g}" for p, s in summary.quantiles.items())
        yield (
            f"detected: {summary.detected}, after {summary.mean:.2f} steps on average; "
            f"of all experiments, inf being never: {shown}"
        )


def _by_steps(journal: Reader, confidence: float) -> dict[str, Interval]:
    """Return intervals by outcome that respect shared checkpoints and batches."""
    tally = journal.tally(("epoch", "step"))
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
