# SPDX-License-Identifier: Apache-2.0
"""The clean part of a program in front of a fault, computed once for many faults."""

from tpufi.instrument.prefix.clean_prefix import CleanPrefix
from tpufi.instrument.prefix.cut_program import CutProgram

__all__ = ["CleanPrefix", "CutProgram"]
