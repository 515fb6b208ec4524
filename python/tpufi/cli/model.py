# SPDX-License-Identifier: Apache-2.0
"""Lists, shows, imports and checks measured error models.

Wherever a fault model has a name, that of an error model or of a file of one can stand:
`tpufi draw --models ANATOMY beam.toml`, `faults: [V_ABFT]` in a campaign file.
"""

import argparse
import pathlib

import tpufi
from tpufi.cli import natural, positive, print_lines
from tpufi.cli.command import Command, CommandParser, add_commands
from tpufi.errors import InputError
from tpufi.io import atomic_write
from tpufi.messages import nearest_first, printable, quote

# Their modules import numpy, which help does without; a test compares.
TARGETS = ("input", "weight", "output", "any")
_BOUND = 0.002
_MOST_DRAWS = 1 << 32


def _error_model(name: str) -> "tpufi.faults.error_model.ErrorModel":
    from tpufi.faults.catalogue import any_fault_model, is_file
    from tpufi.faults.error_model import error_model_of
    from tpufi.faults.error_model_file import TABLES

    if name not in TABLES and not is_file(name):
        raise InputError(
            f"unknown error model {quote(name)}; expected one of: "
            f"{nearest_first(name, TABLES)}, or FILE.toml; write one of these"
        )
    return error_model_of(any_fault_model(name))


def _list(options: argparse.Namespace) -> int:
    from tpufi.faults.error_model_file import TABLES, shipped_model

    for name in TABLES:
        print(f"{name:8}  {shipped_model(name).title}")
    return 0


def _show(options: argparse.Namespace) -> int:
    model = _error_model(options.name)
    lines = [model.title, f"source: {model.source}", f"target: {model.target}"]
    lines += [
        f"{float(model.shares[one.name]):8.3%}  {one.name}: {one.rule}, {one.extent}"
        for one in model.classes
    ]
    lines += [f"caveat: {caveat}" for caveat in model.caveats]
    print_lines(map(printable, lines))
    return 0


def _import(options: argparse.Namespace) -> int:
    from tpufi.faults.error_model_csv import import_csv

    out = pathlib.Path(options.out)
    if out.suffix != ".toml":
        raise InputError(
            f"--out {out}: the name of an error model ends in .toml; add it"
        )
    found = import_csv(options.file, options.dtype, options.target, out.name)
    with atomic_write(out) as scratch:
        scratch.write_text(found.model.text, "utf-8")
    print_lines(map(printable, found.report()))
    print(f"{out}: a fault model, e.g. of tpufi draw --models {out}")
    return 0


def _check_draws(options: argparse.Namespace) -> None:
    if options.seed >= 1 << 64 or options.draws > _MOST_DRAWS:
        raise InputError(
            f"seed {options.seed}, {options.draws} draws; expected a seed below 2**64 "
            "and at most 2**32 draws"
        )


def _check(options: argparse.Namespace) -> int:
    from tpufi.faults.fidelity import deviations

    model = _error_model(options.name)
    rows = deviations(model, options.seed, options.draws)
    print("   table    drawn  deviation  class")
    for name, share, drawn in rows:
        print_lines(
            [f"{share:8.3%} {drawn:8.3%} {drawn - share:+10.3%}  {printable(name)}"]
        )
    worst = max(abs(drawn - share) for _, share, drawn in rows)
    good = worst <= _BOUND
    print(
        f"{options.draws} draws of seed {options.seed}: largest deviation "
        f"{100 * worst:.3f} points, {'within' if good else 'beyond'} the bound of "
        f"{100 * _BOUND:g}"
    )
    return 0 if good else 1


def _add_options(parser: CommandParser) -> None:
    add_commands(parser, COMMANDS)


def _add_name(parser: CommandParser) -> None:
    parser.add_argument("name", help="an error model, or a file of one")


def _add_import(parser: CommandParser) -> None:
    add = parser.add_argument
    add("file", type=pathlib.Path, help="CSV with columns weight, elements, value")
    add("--out", required=True, help="file of the error model, .toml")
    add("--dtype", default="float32", help="element type of XOR words")
    add("--target", choices=TARGETS, default="any", help="operand; default any")


def _add_check(parser: CommandParser) -> None:
    _add_name(parser)
    parser.add_argument("--draws", type=positive, default=1_000_000, help="how many")
    parser.add_argument("--seed", type=natural, default=1, help="of the draws")


COMMANDS = {
    "list": Command(
        "Lists the error models that tpufi has.",
        ("tpufi model list",),
        lambda _: None,
        _list,
    ),
    "show": Command(
        "Shows classes, source and caveats of an error model.",
        ("tpufi model show ANATOMY",),
        _add_name,
        _show,
    ),
    "import": Command(
        "Makes an error model of a CSV of results.",
        ("tpufi model import beam.csv --out beam.toml",),
        _add_import,
        _import,
    ),
    "check": Command(
        "Draws many faults and compares their classes with the table.",
        ("tpufi model check ANATOMY",),
        _add_check,
        _check,
        _check_draws,
    ),
}
COMMAND = Command(
    __doc__,
    ("tpufi model list", "tpufi model import beam.csv --out beam.toml"),
    _add_options,
)
