# SPDX-License-Identifier: Apache-2.0
"""Hardware faults in TensorFlow programs."""

from tpufi import _library as _library  # First: says which TensorFlow is missing.
from tpufi import gradients as _gradients  # Registers the gradients of the ops.
from tpufi.errors import InputError
from tpufi.experiment.replay import replay
from tpufi.faults.csv import read_injection, write_injection
from tpufi.faults.injection import Injection
from tpufi.instrument import instrument
from tpufi.models import sites
from tpufi.ops import flip_bits, inject_fault, inject_random, zero_out
from tpufi.random import random_patterns
from tpufi.site_table import Site, SiteTable

__version__ = "0.1.0"

__all__ = [
    "InputError",
    "Injection",
    "Site",
    "SiteTable",
    "flip_bits",
    "inject_fault",
    "inject_random",
    "instrument",
    "random_patterns",
    "read_injection",
    "replay",
    "sites",
    "write_injection",
    "zero_out",
]
