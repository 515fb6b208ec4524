# SPDX-License-Identifier: Apache-2.0
"""A decoder that traces in seconds: two blocks of width 8, a context of 6 tokens."""

import dataclasses

from tpufi.models import workload
from tpufi.models.decoder import architecture

SMALL_DECODER = dataclasses.replace(
    workload("decoder"),
    model=architecture(blocks=2, width=8, heads=2),
    input_shape=(6,),
)
