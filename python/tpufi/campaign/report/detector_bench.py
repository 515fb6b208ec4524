# SPDX-License-Identifier: Apache-2.0
"""The page on a bench of detectors: what they cover, how fast, at which price."""

import itertools
from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from tpufi.campaign.detector_bench import HALF, TOGETHER, Bench
from tpufi.campaign.detector_table import covered, mcnemar
from tpufi.campaign.report.cells import PValue, Share, count_text
from tpufi.campaign.report.document import Block, Document, Picture, Section, Table
from tpufi.campaign.report.figures import FIRST, INK, LINE, SECOND, THIRD, new_figure
from tpufi.outcomes.outcome import IMMEDIATE, MASKED_IDENTICAL, SHORT_TERM
from tpufi.statistics.intervals import wilson

_MILLION = 1e6
_CURVES = 6  # Detectors in the picture of ROC curves.
_FEW = 5  # Harmful experiments below which a cell of the map is pale.
_RULES = (
    "Harmful: the outcome is not masked. Covered: an alarm in any step from the fault "
    "on. Harmless: masked, with other bits than golden; an alarm there is true and of "
    "no use. Finite harm: harmful, and no loss becomes Inf or NaN. Latency: steps from "
    "the fault to the first alarm; 0 is its own step.",
    "Thresholds are fitted for each workload on the experiments of even number: "
    "largest coverage less share of alarms on masked ones, not below any score of "
    "their golden run. All tables are of the experiments of odd number.",
    "SPFM: the term of ISO 26262's single-point fault metric, the share of faults that "
    "are masked or covered. Of 1,000 FIT of raw faults in these shares, 1,000 (1 - "
    "SPFM) are left as silent corruption.",
    "All detectors saw the same steps, so comparisons are paired. McNemar's exact test "
    "compares with the single detector of the largest coverage.",
    "Clean steps are those of golden runs with another seed, which no threshold knows.",
)


def bench_document(
    bench: Bench, title: str, summary: str, closing: tuple[Section, ...] = ()
) -> Document:
    """Return the page.

    Args:
      bench: what was found.
      title: of the page.
      summary: one line under it.
      closing: sections behind its own.
    """
    scored = bench.scored
    return Document(
        title,
        summary,
        {
            "experiments": count_text(
                sum(len(p.numbers) for p in bench.parts.values())
            ),
            "scored half": count_text(len(scored.numbers)),
            "harmful in it": count_text(int(scored.harmful.sum())),
            "clean steps for false alarms": count_text(bench.clean_steps),
        },
        (*bench_sections(bench), *closing),
    )


def bench_sections(bench: Bench) -> tuple[Section, ...]:
    """Return the sections of the page."""
    return (
        Section("size", "Size", (_sizes(bench), _RULES)),
        Section("leaderboard", "Leaderboard", tuple(_leaderboard(bench))),
        Section("where", "Coverage by kind of fault", tuple(_by_all(bench))),
        Section("blind_spots", "Blind spots", tuple(_blind_spots(bench))),
        Section("roc", "ROC", (_roc(bench),)),
    )


def long_tables(bench: Bench, confidence: float = 0.95) -> tuple[Table, ...]:
    """Return tables that are too long for the page.

    Args:
      bench: what was found.
      confidence: of the intervals.
    """
    rows = []
    for fitted, by in itertools.product((False, True), _properties(bench)):
        title, values = by
        for name, own in bench.latencies(fitted).items():
            for value, among in bench.scored.harmful_by(values):
                hits, total = covered(own, among)
                rows.append(
                    {
                        "detector": name,
                        "thresholds": "fitted" if fitted else "default",
                        "by": title,
                        "value": value,
                        "harmful": total,
                        "covered": hits,
                        "share": Share(hits / total),
                        "interval": wilson(hits, total, confidence),
                    }
                )
    limits = [
        {"workload": workload, "detector": name, "threshold": value}
        for workload, own in bench.thresholds.items()
        for name, value in own.items()
    ]
    clean = [
        {
            "workload": workload,
            "detector": name,
            "thresholds": "fitted" if fitted else "default",
            "clean steps": len(hits),
            "alarms": int(hits.sum()),
            "first": int(hits.argmax()) if hits.any() else None,
        }
        for workload in bench.clean
        for fitted in (False, True)
        for name, hits in bench.clean_hits_of(workload, fitted).items()
    ]
    return (
        Table.of("coverage", "Coverage with intervals.", rows),
        Table.of("clean_alarms", "Alarms in clean steps, and the first.", clean),
        Table.of("thresholds", "Fitted thresholds.", limits),
    )


def _properties(bench: Bench) -> tuple[tuple[str, np.ndarray], ...]:
    found = bench.scored
    cells = [f"{f}, {p}" for f, p in zip(found.families, found.places, strict=True)]
    return (
        ("outcome", found.outcomes),
        ("direction", found.directions),
        ("family", found.families),
        ("workload", bench.workloads),
        ("fault model", found.models),
        ("family and place", np.array(cells)),
    )


def _sizes(bench: Bench) -> Table:
    rows = []
    for workload, part in bench.parts.items():
        clean = bench.clean.get(workload)
        kinds = {f: int((part.families == f).sum()) for f in sorted({*part.families})}
        rows.append(
            {
                "workload": workload,
                "experiments": len(part.numbers),
                **kinds,
                "harmful": int(part.harmful.sum()),
                "harmless": int(part.harmless.sum()),
                "bit-identical": int((part.outcomes == MASKED_IDENTICAL).sum()),
                "clean steps": 0 if clean is None else clean.golden_steps,
            }
        )
    return Table.of("size", "Experiments, both halves.", rows)


def _leaderboard(bench: Bench, confidence: float = 0.95) -> Iterator[Block]:
    """Yield the tables at fitted and default thresholds."""
    areas, steps = bench.areas(), bench.clean_steps
    found = bench.scored
    total, harmless = int(found.harmful.sum()), int(found.harmless.sum())
    finite = found.harmful & ~np.isin(found.outcomes, (IMMEDIATE, SHORT_TERM))
    for fitted in (True, False):
        latencies, clean = bench.latencies(fitted), bench.clean_alarms(fitted)
        alarms = {name: own >= 0 for name, own in latencies.items()}
        hits = {name: int(own[found.harmful].sum()) for name, own in alarms.items()}
        best = max(bench.detectors, key=lambda name: hits[name])
        rows = []
        for name in sorted(hits, key=lambda name: (-hits[name], name != TOGETHER)):
            own = latencies[name][found.harmful & alarms[name]]
            p_value = None
            if name not in (best, TOGETHER):
                pair = (alarms[name][found.harmful], alarms[best][found.harmful])
                p_value = PValue(mcnemar(*pair))
            true = int(alarms[name][found.harmless].sum())
            rows.append(
                {
                    "detector": name,
                    "covered": hits[name],
                    "coverage": Share(hits[name] / total) if total else None,
                    "interval": wilson(hits[name], total, confidence),
                    f"finite harm ({finite.sum()})": (
                        Share(alarms[name][finite].mean()) if finite.any() else None
                    ),
                    "median latency": float(np.median(own)) if own.size else None,
                    "95 % within": (
                        float(np.quantile(own, 0.95, method="higher"))
                        if own.size
                        else None
                    ),
                    "alarms, harmless": Share(true / harmless) if harmless else None,
                    "SPFM": Share(1 - (total - hits[name]) / len(found.numbers)),
                    "ROC area": areas.get(name),
                    "clean alarms": clean[name],
                    "per million": clean[name] / steps * _MILLION if steps else None,
                    "at most per million": (
                        wilson(clean[name], steps, confidence)[1] * _MILLION
                        if steps
                        else None
                    ),
                    "McNemar": p_value,
                }
            )
        kind = "fitted" if fitted else "default"
        caption = (
            f"Thresholds: {kind}. {total} harmful and {harmless} harmless experiments, "
            f"{steps} clean steps."
        )
        yield Table.of(f"leaderboard_{kind}", caption, rows)


def _by_all(bench: Bench) -> Iterator[Block]:
    """Yield the coverage by the properties that have few values."""
    latencies = bench.latencies(True)
    outcome, *others = _properties(bench)[:4]
    for title, by in ((outcome[0], [outcome]), ("direction, family, workload", others)):
        groups = [
            (f"{value} ({int(among.sum())})", among)
            for _, values in by
            for value, among in bench.scored.harmful_by(values)
        ]
        rows = [
            {"detector": name}
            | {label: Share((own[among] >= 0).mean()) for label, among in groups}
            for name, own in latencies.items()
        ]
        caption = f"By {title} (harmful experiments), fitted thresholds."
        yield Table.of(f"by_{title.partition(',')[0]}", caption, rows)
    yield (
        "Intervals, the default thresholds, and coverage by fault model and by family "
        "and place: tables/coverage.csv."
    )


def _blind_spots(bench: Bench) -> Iterator[Block]:
    latencies = bench.latencies(True)
    found = bench.scored
    if not found.harmful.any():
        yield "No harmful experiment is in the scored half."
        return
    rows, spots = [], []
    for name, own in latencies.items():
        for family, place, among in found.harmful_cells(found.families, found.places):
            hits, total = covered(own, among)
            row = {
                "detector": name,
                "family": family,
                "place": place,
                "harmful": total,
                "covered": hits,
                "share": Share(hits / total),
            }
            rows.append(row)
            if name == TOGETHER and hits / total < HALF:
                spots.append(row)
    table = Table.of("cells", "Coverage by detector, family and place.", rows)
    yield Picture(
        "blind_spots",
        "Per cent of harmful experiments with an alarm of any detector, by direction "
        "and operation (rows) and family of faults; pale where there are fewer than "
        f"{_FEW}, empty where there is none.",
        f"Map of coverage; {len(spots)} cells are under half",
        lambda: _map([row for row in rows if row["detector"] == TOGETHER]),
        table,
    )
    if spots:
        spots.sort(key=lambda row: -row["harmful"])
        caption = "Cells where all detectors together cover under half."
        yield Table.of("blind_spots", caption, spots[:12])
    else:
        yield "No cell is covered to less than half by all detectors together."


def _map(rows: list[Mapping[str, object]]) -> Figure:
    frame = pd.DataFrame(rows)
    shares = frame.pivot(index="place", columns="family", values="share")
    counts = frame.pivot(index="place", columns="family", values="harmful").fillna(0)
    figure = new_figure(6.4, 1.2 + 0.22 * len(shares))
    axes = figure.add_subplot()
    masked = np.ma.masked_invalid(shares.to_numpy(float))
    mesh = axes.pcolormesh(
        masked, cmap="cividis", vmin=0, vmax=1, edgecolors=LINE.light, linewidth=0.4,
        alpha=np.where(counts < _FEW, 0.3, 1.0),
    )  # fmt: skip
    for (y, x), count in np.ndenumerate(counts.to_numpy(int)):
        if count:
            light = masked[y, x] > 0.55 or count < _FEW
            axes.text(
                x + 0.5, y + 0.5, f"{100 * masked[y, x]:.0f} of {count}", fontsize=7,
                color=INK.light if light else "#ffffff", ha="center", va="center",
            )  # fmt: skip
    axes.set_xticks(np.arange(len(shares.columns)) + 0.5, shares.columns)
    axes.set_yticks(np.arange(len(shares)) + 0.5, shares.index, fontsize=8)
    axes.set_ylim(len(shares), 0)
    axes.grid(visible=False)
    axes.tick_params(length=0)
    figure.colorbar(
        mesh, ax=axes, location="top", aspect=40, shrink=0.6, pad=0.01,
        format=PercentFormatter(1), label="coverage",
    )  # fmt: skip
    return figure


def _roc(bench: Bench) -> Picture:
    areas = bench.areas()
    best = sorted(areas, key=lambda name: -areas[name])[:_CURVES]
    curves = {name: bench.curves(name) for name in best}
    rows = [
        {
            "detector": name,
            "workload": workload,
            "share of masked with an alarm": Share(x),
            "coverage": Share(y),
        }
        for name in bench.detectors
        for workload, (false, true) in bench.curves(name).items()
        for x, y in zip(false.tolist(), true.tolist(), strict=True)
    ]
    return Picture(
        "roc",
        "Coverage of harmful experiments against the share of masked ones with an "
        f"alarm, for every threshold; the {_CURVES} detectors of the largest area.",
        "ROC curves; largest area: "
        + ", ".join(f"{name} {areas[name]:.3f}" for name in best),
        lambda: _curves(curves, list(bench.parts)),
        Table.of("roc", "ROC curves.", rows),
    )


def _curves(
    curves: Mapping[str, Mapping[str, tuple[np.ndarray, np.ndarray]]],
    workloads: list[str],
) -> Figure:
    columns = 2 if len(workloads) > 1 else 1
    lines = -(-len(workloads) // columns)
    figure = new_figure(3.6 * columns, 2.7 * lines + 0.6)
    styles = list(itertools.product(("-", "--"), (FIRST, SECOND, THIRD)))
    for place, workload in enumerate(workloads, 1):
        axes = figure.add_subplot(lines, columns, place)
        axes.set_title(workload)
        for (name, own), (style, colour) in zip(curves.items(), styles, strict=False):
            if workload in own:
                axes.plot(*own[workload], style, color=colour.light, label=name)
        axes.set_xlabel("masked with an alarm")
        axes.set_ylabel("coverage")
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(PercentFormatter(1))
    handles = figure.axes[0].get_legend_handles_labels()
    figure.legend(*handles, loc="outside lower center", ncols=3)
    return figure
