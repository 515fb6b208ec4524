# SPDX-License-Identifier: Apache-2.0
"""ResNet-18 without batch norm, trained with Adam.

The architecture is that of `resnet18` with every batch norm left out, dropout kept.
"""

from tpufi.models.resnet18 import architecture
from tpufi.optimizers import Adam, LinearDecay
from tpufi.workload import Workload

WORKLOAD = Workload(
    name="resnet18_nobn",
    model=architecture(dropout=0.15, batch_norm=False),
    optimizer=Adam(),
    schedule=LinearDecay(final=0.0001, steps=5000),
    learning_rate=0.001,
)
