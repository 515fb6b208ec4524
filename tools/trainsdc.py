#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Tests TrainSDC's claim on the decoder and writes docs/results/trainsdc.

The claim: in the forward pass the place of a fault decides whether it harms (the path
of queries and keys), in the backward pass the exponents of the gradients do, and hardly
the place. Golden runs and the campaign of docs/results/trainsdc/plan.yaml are made in a
folder; stopped, they go on where they were.
"""

import argparse
import csv
import dataclasses
import math
import os
import pathlib
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # Errors are one line.

import numpy as np

from tpufi.campaign.journal.reader import Reader
from tpufi.campaign.journal.row import Row
from tpufi.campaign.plan_file import read_plan
from tpufi.campaign.workload.experiment import Experimenter
from tpufi.campaign.workload.golden_check import check_golden
from tpufi.campaign.workload.subject import WorkloadSubject
from tpufi.cli import Parser, run
from tpufi.element import from_words
from tpufi.experiment.inject import golden_bits
from tpufi.golden import GoldenFolder
from tpufi.outcomes.outcome import MASKED, MASKED_IDENTICAL
from tpufi.statistics.comparison import fisher
from tpufi.statistics.intervals import wilson
from tpufi.training import make_deterministic

PAGE = pathlib.Path(__file__).parents[1] / "docs/results/trainsdc"
SEEDS = {"golden": 123, "golden_124": 124, "golden_125": 125}
STEPS, REPLICAS, PER_REPLICA = 132, 2, 4
PARTS = {
    "queries, keys": ("query", "key", "scores", "softmax"),
    "values, context": ("value", "context", "projection"),
    "feed-forward": ("expand", "contract", "gelu"),
    "norms": ("norm",),
    "embeddings": ("embedding", "position"),
    "head, loss": ("head", "loss"),
}
QK = "queries, keys"
LASTING = 0.01  # Of the golden loss.
LATE = 8  # Last steps of the horizon.
_SHUFFLES = 10_000


@dataclasses.dataclass(frozen=True)
class Case:
    """One experiment of the campaign.

    Args:
      number: of the experiment.
      direction: of its site.
      layer: of its site.
      bit: that is flipped.
      golden: value of the element before.
      faulty: value with the bit flipped.
      outcome: class.
      deviation: mean absolute difference of the last losses of the horizon from the
        golden run's, over the mean of these; inf if a loss was not finite.
    """

    number: int
    direction: str
    layer: str
    bit: int
    golden: float
    faulty: float
    outcome: str
    deviation: float

    @property
    def is_forward(self) -> bool:
        return self.direction == "forward"

    @property
    def part(self) -> str:
        """Which part of the network its layer belongs to."""
        for part, words in PARTS.items():
            if any(word in self.layer for word in words):
                return part
        raise ValueError(f"layer {self.layer} belongs to no part")

    @property
    def visible(self) -> bool:
        """Whether the outcome is not masked."""
        return self.outcome not in (MASKED, MASKED_IDENTICAL)

    @property
    def lasting(self) -> bool:
        """Whether the losses at the end of the horizon are others."""
        return self.deviation > LASTING

    @property
    def exponent(self) -> str:
        """Class of the golden value's exponent."""
        return _exponent(self.golden)

    @property
    def faulty_exponent(self) -> str:
        """Class of the faulty value's exponent."""
        return _exponent(self.faulty)


_HEAD = """\
# TrainSDC's claim, tested on the decoder

Written by `tools/trainsdc.py --out FOLDER`; do not edit. The claim (TrainSDC, arXiv
2608.30769): in the forward pass the place decides whether a fault harms, above all the
path of queries and keys; in the backward pass the exponents of the gradients decide,
and hardly the place.

{count} experiments of [the plan](plan.yaml): the decoder (4 blocks of width 64, context
64), Adam, {replicas} replicas of {texts} texts, float32, on a CPU. Each flips one bit
of one element of one tensor, once, in a step from 40 to 99, and is followed for 24
steps. Half of the flips are of any bit, half of an exponent bit; every site is equally
likely.

Two kinds of harm are told apart:

- *visible*: the [outcome](../../outcomes.md) is not masked;
- *lasting*: in the last {late} steps the loss differs from the golden run's by more
  than {lasting} of it, in the mean, or a loss was not finite.

Intervals are Wilson's at 95 %; p is that of Fisher's exact test, two-sided.

"""
_LIMITS = """\
## What this does not show
The network has 0.2 million weights, TrainSDC's a billion, and the training has just
begun. Every site is equally likely, so small tensors count as much as large ones. One
flipped bit is TrainSDC's sparse fault; its dense ones are not here. Adam divides a
gradient by its running size: a large wrong gradient moves a weight by a bounded step,
and makes the next steps smaller. [experiments.csv](experiments.csv) has all
experiments: number, place, bit, values, outcome.
"""


def main(argv: Sequence[str] | None) -> int:
    """Run what is missing and write the page."""
    parser = Parser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--out", type=pathlib.Path, required=True, help="folder of the campaign"
    )
    parser.add_argument(
        "--page-only", action="store_true", help="of the experiments that are there"
    )
    options = parser.parse_args(argv)
    out: pathlib.Path = options.out
    if not options.page_only:
        _run(out)
    cases = examined(out)
    with open(PAGE / "experiments.csv", "w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(field.name for field in dataclasses.fields(Case))
        writer.writerows(map(dataclasses.astuple, cases))
    _picture(cases, PAGE / "rates.png")
    (PAGE / "README.md").write_text("\n".join(page(cases)) + "\n")
    return 0


def _run(out: pathlib.Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    shutil.copy(PAGE / "plan.yaml", out)
    tpufi = [sys.executable, "-m", "tpufi"]
    for folder, seed in SEEDS.items():
        sizes = {"replicas": REPLICAS, "per-replica": PER_REPLICA, "steps": STEPS}
        sizes |= {"seed": seed, "checkpoint-every": 10}
        options = [f"--{name}={value}" for name, value in sizes.items()]
        data = ["--model=decoder", "--data=python-text"]
        command = [*tpufi, "golden", f"--out={out / folder}", *data, *options]
        subprocess.run(command, check=True)
    command = [*tpufi, "campaign", "run", out / "plan.yaml", "--out", out / "campaign"]
    subprocess.run(command, check=True)


def examined(out: pathlib.Path) -> list[Case]:
    """Return the experiments that are there, with the values of their elements.

    The faulty step of each is run again to read the golden value.
    """
    make_deterministic()
    plan = read_plan(out / "plan.yaml")
    check_golden(plan)
    with Reader.open(out / "campaign") as reader:
        rows = list(reader.rows())
    runner = WorkloadSubject(plan, verify=False).open()
    curve = GoldenFolder(plan.golden).curve()
    golden = [curve[number]["loss"] for number in range(len(curve))]
    cases = []
    for row in sorted(rows, key=lambda r: (r.fault.epoch, r.fault.step, r.experiment)):
        cases.append(_case(row, runner, golden))
    return sorted(cases, key=lambda case: case.number)


def _case(row: Row, runner: Experimenter, golden: list[float]) -> Case:
    fault = runner.fault(row.experiment)
    first = runner.follower.first(fault)
    given = fault.descriptor(runner.session.program.table, runner.rows, first)
    result = runner.session.step(runner.walk.state(first), first, given)
    (before,) = golden_bits(fault, result.record)
    bit = row.fault.bit
    words = np.array([before, int(before) ^ (1 << bit)], np.uint32)
    old, new = map(float, from_words(words, "float32"))
    losses = np.array([loss for loss, _ in row.losses])
    usual = np.array(golden[first : first + runner.plan.horizon])
    if row.reconverged_step is not None:  # The rest is the golden run's.
        deviation = 0.0
    elif len(losses) < len(usual):
        deviation = math.inf
    else:
        late = usual[-LATE:]
        deviation = float(np.abs(losses[-LATE:] - late).mean() / late.mean())
        deviation = deviation if math.isfinite(deviation) else math.inf
    return Case(
        *(row.experiment, row.fault.direction, row.fault.layer, bit, old, new),
        *(row.outcome, deviation),
    )


def _exponent(value: float) -> str:
    if value == 0:
        return "zero"
    if not math.isfinite(value):
        return "not finite"
    bounds = (-30, -20, -10, 0, 10)
    exponent = math.frexp(value)[1] - 1
    below = [bound for bound in bounds if exponent < bound]
    if not below:
        return f"2^{bounds[-1]} or more"
    return f"below 2^{below[0]}"


def cramers_v(
    factor: Sequence[str], harmed: Sequence[bool], seed: int = 1
) -> tuple[float, float]:
    """Return Cramer's V of a factor and the harm, and its permutation p-value.

    V is 0 if they are independent and 1 if the factor tells the harm. It is nan if all
    or none were harmed.
    """
    names, codes = np.unique(np.asarray(factor), return_inverse=True)
    sizes, hits = np.bincount(codes), np.bincount(codes, harmed)
    total, share = len(codes), hits.sum() / len(codes)
    if share in (0, 1) or len(names) < 2:
        return math.nan, math.nan

    def chi_square(counts: np.ndarray) -> np.ndarray:
        return ((counts - sizes * share) ** 2 / sizes).sum(-1) / (share * (1 - share))

    found = chi_square(hits)
    # What a permutation of the harm leaves in each class.
    drawn = np.random.default_rng(seed).multivariate_hypergeometric(
        sizes, int(hits.sum()), size=_SHUFFLES
    )
    above = int((chi_square(drawn) >= found - 1e-9).sum())
    return math.sqrt(found / total), (above + 1) / (_SHUFFLES + 1)


def page(cases: Sequence[Case]) -> list[str]:
    """Return the lines of the page."""
    forward = [case for case in cases if case.is_forward]
    backward = [case for case in cases if not case.is_forward]
    lines = [
        *_HEAD.format(
            count=f"{len(cases):,}",
            replicas=REPLICAS,
            texts=PER_REPLICA,
            late=LATE,
            lasting=f"{LASTING:.0%}",
        ).splitlines(),
        *_answer(forward, backward),
        "## Queries and keys against all else",
        "",
        "| pass | harm | queries, keys | all else | p |",
        "| --- | --- | --- | --- | --- |",
    ]
    for name, some in (("forward", forward), ("backward", backward)):
        for harm, told in _HARMS.items():
            inside, outside = _split(some, lambda case: case.part == QK, told)
            p = fisher(inside, outside)
            cells = (name, harm, _rate(inside), _rate(outside), _p(p))
            lines.append(f"| {' | '.join(cells)} |")
    lines += [
        "",
        "## How much each factor tells",
        "",
        "Cramer's V of a factor and the harm: 0 if they are independent, 1 if the",
        f"factor decides. p is that of {_SHUFFLES:,} permutations. The golden exponent",
        "is that of the golden value, in steps of 10.",
        "",
        "| pass | harm | part | golden exponent | faulty exponent | bit |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for name, some in (("forward", forward), ("backward", backward)):
        for harm, told in _HARMS.items():
            cells = [name, harm]
            for factor in _FACTORS.values():
                v, p = cramers_v([factor(c) for c in some], [told(c) for c in some])
                cells.append("none harmed" if math.isnan(v) else f"{v:.2f} ({_p(p)})")
            lines.append(f"| {' | '.join(cells)} |")
    lines += [
        "",
        "## By part of the network",
        "",
        *_table(cases, lambda c: c.part, PARTS),
    ]
    names = sorted({c.faulty_exponent for c in cases}, key=_order)
    lines += [
        "## By the exponent of the faulty value",
        "",
        *_table(cases, lambda c: c.faulty_exponent, names),
    ]
    names = sorted({c.exponent for c in cases}, key=_order)
    lines += [
        "## By the exponent of the golden value",
        "",
        *_table(cases, lambda c: c.exponent, names),
        "![Rates of lasting harm](rates.png)",
        "",
        *_LIMITS.splitlines(),
    ]
    return lines


_HARMS: dict[str, Callable[[Case], bool]] = {
    "visible": lambda case: case.visible,
    "lasting": lambda case: case.lasting,
}
_FACTORS: dict[str, Callable[[Case], str]] = {
    "part": lambda case: case.part,
    "exponent": lambda case: case.exponent,
    "faulty exponent": lambda case: case.faulty_exponent,
    "bit": lambda case: str(case.bit),
}


def _answer(forward: Sequence[Case], backward: Sequence[Case]) -> list[str]:
    """Return what the lasting harm says about the claim."""
    told = _HARMS["lasting"]
    lines = ["## Answer", ""]
    for name, some in (("Forward", forward), ("Backward", backward)):
        inside, outside = _split(some, lambda case: case.part == QK, told)
        p = fisher(inside, outside)
        more = inside[0] / inside[1] > outside[0] / outside[1]
        how = "more" if more else "less"
        said = (
            f"harm {how} than the rest" if p < 0.05 else "do not differ from the rest"
        )
        harmed = [told(c) for c in some]
        v = {n: cramers_v([f(c) for c in some], harmed)[0] for n, f in _FACTORS.items()}
        lines += [
            f"- {name}: faults in queries and keys {said} ({_rate(inside)} against",
            f"  {_rate(outside)}, p {_p(p)}). Cramer's V of the lasting harm and the",
            f"  part of the network is {v['part']:.2f}, and the golden exponent",
            f"  {v['exponent']:.2f}, and the faulty one {v['faulty exponent']:.2f}.",
        ]
    return [*lines, ""]


def _table(
    cases: Sequence[Case], group: Callable[[Case], str], names: Sequence[str]
) -> list[str]:
    heads = [f"{way}, {harm}" for way in ("forward", "backward") for harm in _HARMS]
    lines = [f"| | {' | '.join(heads)} |", f"| --- {'| --- ' * len(heads)}|"]
    for name in names:
        cells = [name]
        for is_forward in (True, False):
            for told in _HARMS.values():
                some = [
                    told(c)
                    for c in cases
                    if c.is_forward == is_forward and group(c) == name
                ]
                cells.append(_rate((sum(some), len(some))) if some else "none")
        lines.append(f"| {' | '.join(cells)} |")
    return [*lines, ""]


def _split(
    cases: Sequence[Case], inside: Callable[[Case], bool], told: Callable[[Case], bool]
) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return harmed and all experiments, of those inside and of the others."""
    both = []
    for wanted in (True, False):
        some = [told(case) for case in cases if inside(case) == wanted]
        both.append((sum(some), len(some)))
    return both[0], both[1]


def _rate(counts: tuple[int, int]) -> str:
    low, high = wilson(*counts)[:2]
    return f"{counts[0]} of {counts[1]}, {low:.1%} to {high:.1%}"


def _p(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def _order(name: str) -> tuple[int, str]:
    order = ("zero", "below 2^-30", "below 2^-20", "below 2^-10", "below 2^0")
    order += ("below 2^10", "2^10 or more", "not finite")
    return order.index(name), name


def _picture(cases: Sequence[Case], path: pathlib.Path) -> None:
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(9, 3.6), sharey=True)
    names = sorted({case.faulty_exponent for case in cases}, key=_order)
    groups = (
        ("part of the network", list(PARTS), _FACTORS["part"]),
        ("exponent of the faulty value", names, _FACTORS["faulty exponent"]),
    )
    for axis, (title, order, group) in zip(axes, groups, strict=True):
        for shift, is_forward, label in (
            (-0.12, True, "forward"),
            (0.12, False, "backward"),
        ):
            for place, name in enumerate(order):
                some = [
                    c.lasting
                    for c in cases
                    if c.is_forward == is_forward and group(c) == name
                ]
                if not some:
                    continue
                rate = sum(some) / len(some)
                low, high = wilson(sum(some), len(some))[:2]
                axis.errorbar(
                    *(place + shift, rate, [[rate - low], [high - rate]]),
                    fmt="o",
                    color="#1f77b4" if is_forward else "#d95f02",
                    label=label if place == 0 else None,
                )
        axis.set_title(title)
        axis.set_xticks(range(len(order)), order, rotation=30, ha="right")
    axes[0].set_ylabel("share with lasting harm")
    axes[0].legend()
    figure.tight_layout()
    figure.savefig(path, dpi=110, metadata={"Software": None})
    plt.close(figure)


if __name__ == "__main__":
    sys.exit(run(main))
