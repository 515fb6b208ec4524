# SPDX-License-Identifier: Apache-2.0
"""Draws the faults of a campaign, one line of JSON or one file for each experiment.

Line i is experiment FIRST + i; so is injection file fault_I.csv of --csv, which
`tpufi replay --file` runs. The same options give the same bytes, whatever the
number of workers; a longer campaign begins with the lines of a shorter one.
"""

import argparse
import pathlib
from collections.abc import Iterator
from fractions import Fraction

import tpufi
from tpufi.cli import natural, positive, print_lines
from tpufi.cli.command import Command, CommandParser
from tpufi.errors import InputError
from tpufi.io import atomic_write, make_folder
from tpufi.messages import quote
from tpufi.site_table import DIRECTIONS

# Its module imports numpy, which help does without; a test compares.
SITE_WEIGHTS = ("elements", "sites", "macs")
_FLIP_FLOPS = "flip_flops"
_STAGES = {"forward": "fwrd_inject", "backward": "bkwd_inject"}
_LIMIT = 1 << 64


def _check(options: argparse.Namespace) -> None:
    if options.seed >= _LIMIT or options.first + options.count > _LIMIT:
        raise InputError(
            f"seed {options.seed}, experiments {options.first} to "
            f"{options.first + options.count - 1}; expected numbers below 2**64"
        )
    from tpufi.campaign.unit_keys import is_kind

    _plan(options)
    if options.csv is not None and any(map(is_kind, options.models)):
        raise InputError(
            "--csv: injection files are of tensors, and a broken unit is in all "
            "layers; leave out --csv or the unit"
        )


def _draw(options: argparse.Namespace) -> int:
    from tpufi.faults.jsonl import fault_lines

    lines = fault_lines(
        options.workload,
        options.per_replica,
        _plan(options),
        options.seed,
        options.first,
        options.count,
        options.workers,
    )
    if options.csv is not None:
        _write_files(pathlib.Path(options.csv), lines, options)
    elif options.out is None:
        print_lines(lines)
    else:
        _write(pathlib.Path(options.out), lines)
    return 0


def _add_options(parser: CommandParser) -> None:
    add = parser.add_argument
    add("--workload", required=True, help="workload, or file.py:NAME")
    add("--seed", type=natural, required=True, help="seed of the campaign")
    add("--count", type=positive, required=True, help="number of experiments")
    add("--first", type=natural, default=0, help="number of the first experiment")
    add("--workers", type=positive, default=1, help="processes")
    add("--per-replica", type=positive, default=128, help="images of a replica")
    add(
        "--weights",
        choices=(*SITE_WEIGHTS, _FLIP_FLOPS),
        default="elements",
        help="how sites are weighted; flip_flops: by MACs, models by FIdelity's shares",
    )
    add(
        "--models",
        nargs="+",
        metavar="NAME[:PARAMETER][=WEIGHT]",
        default=["published"],
        help="fault models; `published`: the 18 (default), `all`: all; and units: "
        "pe:128x128/output, lane, memory:TENSOR, saved:LAYER, link:ERROR",
    )
    add("--sites", nargs="+", default=[], metavar="PATTERN", help="names of sites")
    add("--directions", nargs="+", default=[], metavar="D", help=", ".join(DIRECTIONS))
    add(
        "--lists",
        nargs="+",
        choices=tuple(_STAGES),
        default=[],
        help="the artefact's sampling lists",
    )
    add("--epochs", type=_range, default=(0, 79), metavar="A-B", help="default 0-79")
    add("--steps", type=_range, default=(0, 48), metavar="A-B", help="default 0-48")
    add("--durations", type=_range, default=(1, 1), metavar="A-B", help="in steps")
    add(
        "--when",
        nargs="+",
        metavar="CONDITION",
        help="once, always, or rate=P every=N steps=A-B,... between=LOW:HIGH "
        "exponents=E,...",
    )
    add("--replicas", type=_range, default=(0, 7), metavar="A-B", help="default 0-7")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--out", help="file; default: standard output")
    where.add_argument(
        "--csv", metavar="FOLDER", help="injection files in place of lines"
    )
    add(
        "--learning-rate",
        type=float,
        metavar="RATE",
        help="of the golden run that injection files are for; default: the workload's",
    )


def _write_files(
    folder: pathlib.Path, lines: Iterator[str], options: argparse.Namespace
) -> None:
    from tpufi.faults.injection_file import DrawnInjection
    from tpufi.faults.jsonl import parse_fault
    from tpufi.models import any_workload

    work, rate = any_workload(options.workload), options.learning_rate
    if rate is None:
        rate = work.learning_rate
    make_folder(folder, "name a new or an existing folder", "--csv ")
    last = options.first + options.count - 1
    for number, line in enumerate(lines, options.first):
        injection = DrawnInjection(work.name, parse_fault(line), rate)
        name = f"fault_{number:0{len(str(last))}}.csv"
        tpufi.write_injection(injection, folder / name)


def _plan(options: argparse.Namespace) -> "tpufi.SamplingPlan":
    from tpufi.faults.flip_flop_shares import flip_flop_weights
    from tpufi.when_text import parse_when

    weights, when = options.weights, None
    if options.when is not None:
        when = parse_when(" ".join(options.when))
    models = [choice for text in options.models for choice in _models(text, when)]
    if weights == _FLIP_FLOPS:
        if any("=" in text for text in options.models):
            raise InputError(
                "--weights flip_flops gives the models their weights; drop =WEIGHT"
            )
        models = flip_flop_weights([model for model, _ in models])
        weights = "macs"
    first, last = options.replicas
    return tpufi.SamplingPlan(
        models=tuple(models),
        site_weights=weights,
        patterns=tuple(options.sites),
        directions=tuple(options.directions),
        stages=tuple(_STAGES[name] for name in options.lists),
        epochs=options.epochs,
        steps=options.steps,
        durations=options.durations,
        when=when,
        replicas=tuple(range(first, last + 1)),
    )


def _models(
    text: str, when: "tpufi.When | None"
) -> "list[tuple[tpufi.FaultModel | tpufi.faults.unit_model.UnitModel, Fraction]]":
    from tpufi.campaign.unit_keys import is_kind, named_unit
    from tpufi.faults.catalogue import FAULT_MODELS, NAMES

    name, equals, weight = text.partition("=")
    groups = {"published": tuple(FAULT_MODELS), "all": NAMES}
    names = groups.get(name, (name,))
    try:
        share = Fraction(weight) if equals else Fraction(1)
    except (ValueError, ZeroDivisionError):
        raise InputError(
            f"--models {quote(text)}: weight {quote(weight)} is not a number; write "
            f"e.g. {name}=0.25"
        ) from None
    if is_kind(name):
        return [(named_unit(name, when), share)]
    return [(tpufi.any_fault_model(n), share / len(names)) for n in names]


def _range(text: str) -> tuple[int, int]:
    first, dash, last = text.partition("-")
    ends = (natural(first), natural(last if dash else first))
    if ends[0] > ends[1] or ends[1] - ends[0] > 1 << 31:
        raise argparse.ArgumentTypeError(f"{text!r} is no range; write FIRST-LAST")
    return ends


def _write(path: pathlib.Path, lines: Iterator[str]) -> None:
    with (
        atomic_write(path) as scratch,
        open(scratch, "x", encoding="ascii", newline="\n") as file,
    ):
        for line in lines:
            file.write(line + "\n")


COMMAND = Command(
    __doc__,
    ("tpufi draw --workload resnet18 --seed 1 --count 1000 --out faults.jsonl",),
    _add_options,
    _draw,
    _check,
)
