# SPDX-License-Identifier: Apache-2.0
"""Checkpoints of the ISCA'23 artefact as the start of golden runs."""

from tpufi.artefact_checkpoint.imported import (
    Origin,
    import_into,
    imported_state,
    updates_of,
)
from tpufi.artefact_checkpoint.mapping import by_mapping, format_mapping, read_mapping
from tpufi.artefact_checkpoint.matching import by_order
from tpufi.artefact_checkpoint.object_graph import (
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
