# SPDX-License-Identifier: Apache-2.0
"""CONTRIBUTING's recipes for things that nobody needs: the places that each touches.

A place is a file that somebody writes; rows of docs/ are told apart (ROWS).
"""

import dataclasses
from collections.abc import Mapping, Sequence

Edit = tuple[str, str]  # A piece of text that is there once, and what replaces it.


@dataclasses.dataclass(frozen=True)
class Recipe:
    """One recipe.

    Args:
      most: places that it may touch.
      edits: of files that are there.
      new: files that are not.
      rows: the same as `edits`, of docs/.
      checks: arguments of pytest in the copy.
    """

    most: int
    edits: Mapping[str, Sequence[Edit]]
    checks: Sequence[str]
    new: Mapping[str, str] = dataclasses.field(default_factory=dict)
    rows: Mapping[str, Sequence[Edit]] = dataclasses.field(default_factory=dict)

    @property
    def places(self) -> set[str]:
        """The files that it touches."""
        return {*self.edits, *self.new}


LICENCE = "# SPDX-License-Identifier: Apache-2.0\n"

OPERATION = Recipe(
    3,
    {
        # Every bit of an element flips; it takes no word.
        "cc/lib/operation.h": [
            ("  kOperations = 11,", "  kInvert = 11,  // ~x.\n  kOperations = 12,"),
            (
                '"copy_random", "carry"}',
                '"copy_random", "carry", "invert"}',
            ),
            (
                "return operation == kZero ? 0",
                "return operation == kZero || operation == kInvert ? 0",
            ),
            (
                "Or(is(kFlip), is(kErrorRate))",
                "Or(is(kInvert), Or(is(kFlip), is(kErrorRate)))",
            ),
            (
                "  return Literal(operation, 0);",
                "  return Select(Eq(operation, Literal(operation, kInvert)),\n"
                "                Literal(operation, -1), Literal(operation, 0));",
            ),
        ],
        "tests/fault_reference.py": [
            (
                '    "carry": _carry,\n',
                '    "carry": _carry,\n    "invert": lambda g: ~g.old,\n',
            ),
        ],
    },
    [
        "tests/fault_rules_test.py",
        "tests/fault_test.py",
        "tests/prepare_faults_test.py",
    ],
)

FAULT_MODEL = Recipe(
    1,
    {
        "python/tpufi/faults/catalogue.py": [
            (
                '    FaultModel("ROW_ZERO",',
                '    FaultModel("ROW_INF", "any", Row(), Constant(math.inf)),\n'
                '    FaultModel("ROW_ZERO",',
            )
        ]
    },
    ["tests/fault_models_test.py", "tests/sampler_test.py::"
     "test_every_model_draws_faults_of_its_own_sites",
     "tests/frozen_test.py::test_every_frozen_fault_model_is_in_the_catalogue"],
)  # fmt: skip

LAYER = Recipe(
    3,
    {
        "tests/layer_cases.py": [
            (
                "from tpufi.layers.pooling import",
                "from tpufi.layers.negative import Negative\n"
                "from tpufi.layers.pooling import",
            ),
            (
                '    Case(SkipGain("skip")',
                '    Case(Negative("minus"), (3, 2), 2),\n    Case(SkipGain("skip")',
            ),
        ],
        "tests/plain_layers.py": [
            (
                "from tpufi.layers.pooling import",
                "from tpufi.layers.negative import Negative\n"
                "from tpufi.layers.pooling import",
            ),
            (
                "    SkipGain: lambda",
                "    Negative: lambda layer, x, w, _: 0.0 - x,\n    SkipGain: lambda",
            ),
        ],
    },
    ["tests/layer_conformance_test.py", "-k", "Negative or every_layer"],
    {
        "python/tpufi/layers/negative.py": LICENCE
        + '''"""The negative of a tensor."""

import dataclasses

import tensorflow as tf

from tpufi.layers.context import LayerSites
from tpufi.layers.layer import Layer, Run


@dataclasses.dataclass(frozen=True)
class Negative(Layer):
    """Change the sign of every element."""

    name: str

    def forward(
        self, sites: LayerSites, run: Run, x: tf.Tensor
    ) -> tuple[tf.Tensor, tuple]:
        y = -sites.inject(x, "forward", "input")
        return sites.inject(y, "forward", "output"), ()

    def backward(
        self, sites: LayerSites, saved: tuple, dy: tf.Tensor
    ) -> tuple[tf.Tensor]:
        dx = -sites.inject(dy, "grad_in", "input")
        return (sites.inject(dx, "grad_in", "output"),)
'''
    },
)

OUTCOME = Recipe(
    2,
    {
        "python/tpufi/outcomes/outcome.py": [
            ('MASKED = "masked"\n', 'MASKED = "masked"\nBETTER = "better"\n'),
            ("    MASKED,\n", "    MASKED,\n    BETTER,\n"),
            (
                "    return MASKED\n\n",
                "    return BETTER if faulty[-1].accuracy == 1.0 else MASKED\n\n",
            ),
        ],
        "tests/outcome_test.py": [
            (
                "def test_the_band_of_one_run_has_no_width():",
                "def test_a_run_that_ends_perfect_is_better():\n"
                "    found = classify(run(LOSSES, accuracy=1.0), GOLDEN, LIMITS)\n"
                '    assert found == outcome.BETTER == "better"\n\n\n'
                "def test_the_band_of_one_run_has_no_width():",
            )
        ],
    },
    ["tests/outcome_test.py", "tests/campaign_report_test.py",
     "tests/campaign_report_notes_test.py::test_notes_tell_what_limits_the_figures"],
)  # fmt: skip

WORKLOAD = Recipe(
    3,
    {
        "models/__init__.py": [('    "decoder",\n', '    "decoder",\n    "linear",\n')],
        "tests/workloads_test.py": [
            (
                '    "decoder": (70, 237_184, 0),\n',
                '    "decoder": (70, 237_184, 0),\n    "linear": (1, 30, 0),\n',
            )
        ],
    },
    ["tests/workloads_test.py", "-k", "linear or published or unknown"],
    {
        "models/linear.py": LICENCE
        + '''"""One dense layer on the mean of the pixels."""

from tpufi.layers import Dense, GlobalAveragePooling, Sequence
from tpufi.optimizers import SGD, LinearDecay
from tpufi.workload import Workload

WORKLOAD = Workload(
    name="linear",
    model=Sequence((GlobalAveragePooling("pool"), Dense("dense", 10))),
    optimizer=SGD(),
    schedule=LinearDecay(final=0.001, steps=2000),
    learning_rate=0.1,
)
'''
    },
)

MEASURE = Recipe(
    2,
    {
        "python/tpufi/instrument/inference/measures.py": [
            (
                "def _relative_delta(",
                "def _detected(golden: np.ndarray, faulty: np.ndarray) -> bool:\n"
                "    return bool(np.abs(faulty).max() > 2 * np.abs(golden).max())\n\n\n"
                "def _relative_delta(",
            ),
            (
                '    "delta: largest absolute change": _largest_delta,\n',
                '    "delta: largest absolute change": _largest_delta,\n'
                '    "detected: output beyond twice the golden one": _detected,\n',
            ),
        ],
        "tests/instrument_inference_test.py": [
            (
                "def test_bounds_leave_golden_runs_alone",
                "def test_what_is_too_large_is_detected():\n"
                '    name = "detected: output beyond twice the golden one"\n'
                "    found = [REGRESSION[name](np.ones(2), np.full(2, x)) for x in "
                "(2.0, 3.0)]\n"
                "    assert found == [False, True]\n\n\n"
                "def test_bounds_leave_golden_runs_alone",
            )
        ],
    },
    ["tests/instrument_inference_test.py", "-k", "detected or measures"],
)

COMMAND = Recipe(
    2,
    {
        "python/tpufi/cli/main.py": [
            ('    "golden",\n', '    "golden",\n    "greet",\n')
        ]
    },
    ["tests/command_test.py", "-k", "greet or imports_the_program or every_command"],
    {
        "python/tpufi/cli/greet.py": LICENCE
        + '''"""Greets whoever is named."""

import argparse

from tpufi.cli.command import Command, CommandParser


def _add_options(parser: CommandParser) -> None:
    parser.add_argument("--name", default="you", help="whom")


def _greet(options: argparse.Namespace) -> int:
    print(f"hello {options.name}")
    return 0


COMMAND = Command(__doc__, ("tpufi greet --name Ada",), _add_options, _greet)
'''
    },
    {
        "docs/commands.md": [
            ("| `golden` |", "| `greet` | greets | [here](commands.md) |\n| `golden` |")
        ]
    },
)

# TensorFI's manual has a recipe for each of these.
_TENSORFI = ["tests/instrument_config_test.py", "tests/instrument_fault_types_test.py"]
FAULT_TYPE = Recipe(
    1,
    {
        "contrib/tensorfi/fault_types.py": [
            (
                '    "Zero": _zero,\n',
                '    "Zero": _zero,\n'
                '    "Ones": lambda tensor, *_: Change(range(tensor.size), 0, (1,)),\n',
            )
        ]
    },
    _TENSORFI,
)
OPERATION_NAME = Recipe(
    1,
    {
        "contrib/tensorfi/operation_names.py": [
            ('    ELU = "ELU"\n', '    ELU = "ELU"\n    EXP = "EXP"\n'),
            ('    "ELU": ("Elu",),\n', '    "ELU": ("Elu",),\n    "EXP": ("Exp",),\n'),
        ]
    },
    _TENSORFI,
)
PARAMETER = Recipe(
    1,
    {
        "contrib/tensorfi/config.py": [
            (
                '    weight: str = "executions"\n',
                '    weight: str = "executions"\n    note: str = ""\n',
            ),
            (
                '        values.get("weight", "executions"),\n',
                '        values.get("weight", "executions"),\n'
                '        values.get("Note", ""),\n',
            ),
            (
                '        "weight": lambda node:',
                '        "Note": lambda node: node.text("a note"),\n'
                '        "weight": lambda node:',
            ),
        ]
    },
    _TENSORFI,
)
STATISTIC = Recipe(
    1,
    {
        "contrib/tensorfi/statistics.py": [
            (
                '    Runs = "Runs"',
                '    Worst = "Worst"  # Runs whose difference was above 1.\n'
                '    Runs = "Runs"',
            ),
            (
                "    difference = float(difference)\n",
                "    difference = float(difference)\n"
                "    stats.update(Stats.Worst, difference > 1)\n",
            ),
        ]
    },
    ["tests/instrument_campaign_test.py", "-k", "launch_counts or collected"],
)
LOG_FIELD = Recipe(
    1,
    {
        "python/tpufi/instrument/injection_record.py": [
            (
                '            "times": self.times,\n',
                '            "times": self.times,\n'
                '            "size": self.site.size,\n',
            )
        ]
    },
    ["tests/instrument_campaign_test.py", "-k", "logged or text_log"],
)

RECIPES = {
    "fault model": FAULT_MODEL,
    "layer": LAYER,
    "outcome": OUTCOME,
    "workload": WORKLOAD,
    "measure": MEASURE,
    "command": COMMAND,
    "fault type of TensorFI": FAULT_TYPE,
    "operation of TensorFI": OPERATION_NAME,
    "parameter of TensorFI": PARAMETER,
    "statistic of TensorFI": STATISTIC,
    "log field of TensorFI": LOG_FIELD,
}
