# SPDX-License-Identifier: Apache-2.0
"""Checkpoints of the ISCA'23 artefact as the start of golden runs."""

from tpufi.contrib.isca23.checkpoint.imported import (
    Origin,
    import_into,
    imported_state,
    updates_of,
)
from tpufi.contrib.isca23.checkpoint.mapping import (
    by_mapping,
    format_mapping,
    read_mapping,
)
from tpufi.contrib.isca23.checkpoint.matching import by_order
from tpufi.contrib.isca23.checkpoint.object_graph import (
    Checkpoint,
    Variable,
    read_checkpoint,
)

__all__ = [
    "Checkpoint",
    "Origin",
    "Variable",
    "by_mapping",
    "by_order",
    "format_mapping",
    "import_into",
    "imported_state",
    "read_checkpoint",
    "read_mapping",
    "updates_of",
]
