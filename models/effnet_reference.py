# SPDX-License-Identifier: Apache-2.0
"""EfficientNet-B0 as published, trained as `effnet` is.

Squeeze-excite reduces to a quarter of the block's input width and stands behind the
second swish; a block with expansion 1 has no expansion convolution. Dropout and
drop-connect are left out here too, and the strides are those for large images, so
that blocks 6 and 7 work on single pixels. Only convolutions of squeeze-excite have a
bias.

Source: Tan and Le 2019.
"""

from tpufi.models.effnet import architecture
from tpufi.optimizers import Adam, LinearDecay
from tpufi.workload import Workload

WORKLOAD = Workload(
    name="effnet_reference",
    model=architecture(reference=True),
    optimizer=Adam(),
    schedule=LinearDecay(final=0.0005, steps=2000),
    learning_rate=0.002,
)
