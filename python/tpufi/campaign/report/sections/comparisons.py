# SPDX-License-Identifier: Apache-2.0
"""Section: two-proportion tests between the strata of each family."""

from tpufi.campaign.report.comparing import OTHERS, Test, tests
from tpufi.campaign.report.document import Block, Column, Paragraph, Section, Table
from tpufi.campaign.report.facts import Facts

_MOST_STRATA = 200
_NUMBERS = ("bit", "epoch")  # Their curves say more than tests of single values.


def sections(facts: Facts) -> tuple[Section, ...]:
    """Return the section."""
    tables, large = [], []
    for key, family in facts.families.items():
        if key in _NUMBERS:
            continue
        if len(family) > _MOST_STRATA:
            large.append(f"{family.title} ({len(family)} strata)")
        elif found := tests(facts, family):
            tables.append(_table(key, family.title, found, facts.options.confidence))
    if not tables:
        return ()
    blocks: list[Block] = [Paragraph(_explained())]
    if large:
        blocks.append(Paragraph(f"Left out, too many strata: {', '.join(large)}."))
    return (Section("comparisons", "Differences between strata", (*blocks, *tables)),)


def _explained() -> str:
    return (
        "Two-sided tests of equal rates of a visible effect: all pairs of up to six "
        "strata; of more, each stratum against all others. p: of independent "
        "experiments, by the pooled z test, or Fisher's exact test where a count of "
        "fewer than 5 is expected. p by steps: the same with the effective number of "
        "experiments (Rao and Scott), as those at one step are alike, and never below "
        "p. Holm's adjustment is over all tests of a table, so that one false alarm in "
        "it is as rare as the confidence says."
    )


def _table(key: str, title: str, found: list[Test], confidence: float) -> Table:
    rows = [
        (
            test.first,
            test.second,
            test.rates[0].share,
            test.rates[1].share,
            test.difference,
            tuple(test.interval),
            test.method,
            test.p_value,
            test.by_steps,
            test.adjusted,
            _verdict(test, confidence),
        )
        for test in found
    ]
    against = f"against {OTHERS}" if found[0].second == OTHERS else "in pairs"
    return Table(
        f"tests_{key}",
        f"By {title}, {against}.",
        (
            Column(title),
            Column("against"),
            Column("rate", "share"),
            Column("other rate", "share"),
            Column("difference", "share"),
            Column("interval of the difference", "interval"),
            Column("test"),
            Column("p", "p"),
            Column("p by steps", "p"),
            Column("p by steps, Holm", "p"),
            Column("verdict"),
        ),
        tuple(rows),
    )


def _verdict(test: Test, confidence: float) -> str:
    if test.adjusted is None:
        return "too few steps"
    return "differs" if test.adjusted <= 1 - confidence else "not shown"
