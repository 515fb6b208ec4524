# SPDX-License-Identifier: Apache-2.0
"""Injection files: one fault of a training run, where, when and what value."""

from tpufi.injection.csv_file import read_injection, write_injection
from tpufi.injection.injection import MODELS, STAGES, Injection

__all__ = ["MODELS", "STAGES", "Injection", "read_injection", "write_injection"]
