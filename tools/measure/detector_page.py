# SPDX-License-Identifier: Apache-2.0
"""The page on the bench of detectors, written from its data set."""

import json
import pathlib
from collections.abc import Mapping

import pandas as pd

from measure.detector_price import IMAGES, ROUNDS
from measure.trainfi import read_bench, read_experiments
from tpufi.campaign.detector_bench import Bench
from tpufi.campaign.detector_sets import best_set, scored_set
from tpufi.campaign.report.detector_bench import bench_document, long_tables
from tpufi.campaign.report.document import Section, Table
from tpufi.campaign.report.write import write_beside
from tpufi.campaign.workload.recovered import MEASURES
from tpufi.campaign.workload.recovered import RECOVERY as MEASURE
from tpufi.detect.catalogue import SETS
from tpufi.detect.recovery import IDENTICAL, LOST, WITHIN
from tpufi.statistics.intervals import wilson
from tpufi.tpu.page import detector_prices as detector_cycles

CLEAN = "clean"  # The plan of golden runs that are for false alarms.
RECOVERY = "recovery"  # That of experiments done again under recovery.
PRICES = "prices.json"
# Prices in clean steps, for which the best set of detectors is looked for.
BUDGETS = (0.005, 0.02, 0.1, 0.2, 0.5, 1.0)
TITLE = "A bench of detectors of silent data corruption in training"
SUMMARY = (
    "Four small trainings under faults, every step seen by all detectors of tpufi; "
    "written by tools/detector_bench.py page."
)


def write_page(page: pathlib.Path) -> int:
    """Write page, tables and pictures."""
    bench = read_bench(page, CLEAN)
    cycles = detector_cycles(page.parent)
    found = _recovery(page)
    closing = (
        _recovery_section(found),
        *_prices(page, cycles),
        _sets(bench, cycles),
        _goals(bench, page, cycles, found),
    )
    document = bench_document(bench, TITLE, SUMMARY, (*filter(None, closing),))
    write_beside(document, page, long_tables(bench))
    print(page / "report.md")
    return 0


def _recovery(page: pathlib.Path) -> pd.DataFrame:
    """Return what became of experiments that were done again, by workload."""
    experiments = read_experiments(page, RECOVERY)
    outcomes = [name for name, is_truth in MEASURES if is_truth]
    if experiments.empty:
        return pd.DataFrame()
    counts = experiments.groupby("workload", observed=True)[outcomes].sum().astype(int)
    counts.columns = [name.removeprefix(MEASURE) for name in outcomes]
    counts.insert(0, "experiments", counts.sum(axis=1))
    counts.loc["all"] = counts.sum()
    return counts


def _identical(counts: pd.DataFrame) -> tuple[int, int]:
    """Return how many experiments end in golden's bits, of those with an alarm."""
    total = counts.loc["all"]
    return int(total[IDENTICAL]), int(total[[IDENTICAL, WITHIN, LOST]].sum())


def _recovery_section(counts: pd.DataFrame) -> Section | None:
    """Return the section about recovery, if there are such experiments."""
    if counts.empty:
        return None
    rows = [{"workload": name} | dict(row) for name, row in counts.iterrows()]
    table = Table.of("recovery", "Experiments done again under recovery.", rows)
    hits, seen = _identical(counts)
    low, high = wilson(hits, seen)
    note = (
        f"Of {seen} experiments with a confirmed alarm {hits} end in the bits of the "
        f"golden run ({low:.1%} to {high:.1%}; the goal is 99 %). Thresholds are the "
        "default ones; a restored step is done again without the fault."
    )
    return Section(RECOVERY, "Recovery", (table, note))


def _prices(
    page: pathlib.Path, cycles: Mapping[str, Mapping[str, float]]
) -> tuple[Section, ...]:
    """Return the section about the price of detectors, as far as it was measured."""
    prices = _measured_prices(page)
    names = dict.fromkeys([*prices, *(n for own in cycles.values() for n in own)])
    rows = [
        {"detector": name}
        | {step: own.get(name) for step, own in cycles.items()}
        | (
            {"CPU": prices[name]["median"], "from": prices[name]["least"],
             "to": prices[name]["most"]}
            if name in prices else {}
        )
        for name in names
    ]  # fmt: skip
    note = (
        "What a clean step costs under detectors, in clean steps. On a TPU: estimated "
        "cycles of its compiler (docs/results/tpu.md). On a CPU: resnet18 with "
        f"{IMAGES} images in graph mode, medians of {ROUNDS} pairs with 95 % "
        "intervals. Exact replay of every n-th step costs 1 / n. `sentinel` and `all` "
        "are sets."
    )
    table = Table.of("prices", "Price of detectors.", rows)
    return (Section("price", "Price", (table, note)),) if rows else ()


def _measured_prices(page: pathlib.Path) -> dict[str, dict[str, float]]:
    """Return what `price` measured."""
    file = page / PRICES
    return json.loads(file.read_text()) if file.exists() else {}


def _sets(bench: Bench, cycles: Mapping[str, Mapping[str, float]]) -> Section | None:
    """Return which detectors together cover most for a price."""
    if not cycles:
        return None
    step, ratios = next(iter(cycles.items()))
    prices = {name: ratio - 1 for name, ratio in ratios.items()}
    chosen = dict.fromkeys(best_set(bench, prices, budget) for budget in BUDGETS)
    rows = []
    for names in dict.fromkeys([*chosen, SETS["sentinel"], bench.detectors]):
        if not names:
            continue
        own = scored_set(bench, names)
        low, high = wilson(own.covered, own.harmful)
        kind = {SETS["sentinel"]: "sentinel", bench.detectors: "all"}.get(names)
        rows.append(
            {
                "detectors": kind or ", ".join(names),
                "price": sum(prices.get(n, 0) for n in names) + 1,
                "covered": own.covered,
                "of": own.harmful,
                "from": low,
                "to": high,
                "median latency": own.latency,
                "clean alarms": own.alarms,
                "harmless alarms": own.harmless,
            }
        )
    note = (
        "All sets of detectors were tried. Each row is the set that covers most "
        "harmful experiments of the fitted half for at most a price, the sum of its "
        f"detectors' in clean steps of {step}; then `sentinel` and all. Figures are "
        "those of the scored half, at default thresholds."
    )
    table = Table.of("sets", "Sets of detectors.", rows)
    return Section("sets", "What a price covers", (table, note))


def _goals(
    bench: Bench,
    page: pathlib.Path,
    cycles: Mapping[str, Mapping[str, float]],
    recovery: pd.DataFrame,
) -> Section:
    """Return the goals of the sentinel and of all detectors, reached or not."""
    cells, steps, cpu = [], bench.clean_steps, _measured_prices(page)
    for kind, names in {"sentinel": SETS["sentinel"], "all": bench.detectors}.items():
        own = scored_set(bench, names)
        rows = [
            ("coverage, lower bound", 0.95, wilson(own.covered, own.harmful)[0], True),
            ("median latency, steps", 1.0, own.latency, False),
        ]
        if steps:
            most = wilson(own.alarms, steps)[1] * 1e6
            rows.append(("false alarms per million, upper bound", 1.0, most, False))
        rows += [
            (f"price, {step}", 1.005, ratios[kind], False)
            for step, ratios in cycles.items()
            if kind in ratios
        ]
        if kind in cpu:
            rows.append(("price on a CPU", 1.02, cpu[kind]["median"], False))
        if kind == "all" and not recovery.empty:
            hits, seen = _identical(recovery)
            rows.append(("recovered bit-identically", 0.99, hits / seen, True))
        for what, goal, value, is_least in rows:
            reached = value >= goal if is_least else value <= goal
            cells.append(
                {"of": kind, "what": what, "goal": goal, "measured": value,
                 "reached": "yes" if reached else "no"}
            )  # fmt: skip
    note = (
        f"At default thresholds, in the scored half and {steps:,} clean steps of "
        "another seed. A rate of 1 per million needs 3.7 million steps without alarm "
        "to be shown."
    )
    table = Table.of("goals", "Goals.", cells)
    return Section("goals", "Goals", (table, note))
