# SPDX-License-Identifier: Apache-2.0
"""ResNet-18 trained with plain SGD and without dropout.

The architecture is that of `resnet18`; optimiser, schedule and dropout differ.
"""

from tpufi.models.resnet18 import architecture
from tpufi.optimizers import SGD, LinearDecay
from tpufi.workload import Workload

WORKLOAD = Workload(
    name="resnet18_sgd",
    model=architecture(dropout=0.0),
    optimizer=SGD(),
    schedule=LinearDecay(final=0.001, steps=2000),
    learning_rate=0.1,
)
