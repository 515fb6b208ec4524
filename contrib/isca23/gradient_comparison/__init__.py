# SPDX-License-Identifier: Apache-2.0
"""Gradients of one training step compared: with autodiff, or with a fault."""

from tpufi.contrib.isca23.gradient_comparison.autodiff import without_backward
from tpufi.contrib.isca23.gradient_comparison.cases import (
    Case,
    Comparison,
    against_autodiff,
    with_injection,
)
from tpufi.contrib.isca23.gradient_comparison.difference import (
    Difference,
    compare,
    compare_all,
)
from tpufi.contrib.isca23.gradient_comparison.summed import GradientProgram, Summed
from tpufi.contrib.isca23.gradient_comparison.table import (
    COLUMNS,
    ORDER,
    as_csv,
    as_json,
    as_text,
    matching,
    plot_differences,
    select,
)

__all__ = [
    "COLUMNS",
    "ORDER",
    "Case",
    "Comparison",
    "Difference",
    "GradientProgram",
    "Summed",
    "against_autodiff",
    "as_csv",
    "as_json",
    "as_text",
    "compare",
    "compare_all",
    "matching",
    "plot_differences",
    "select",
    "with_injection",
    "without_backward",
]
