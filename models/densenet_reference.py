# SPDX-License-Identifier: Apache-2.0
"""DenseNet-121 as published, for 32x32 images, trained as `densenet` is.

| part              | output   | layers                                                |
|-------------------|----------|-------------------------------------------------------|
| stem              | 8x8x64   | 7x7/2 convolution, batch norm, ReLU, 3x3/2 max-pooling|
| dense blocks      |          | 6, 12, 24 and 16 bottlenecks, as in `densenet`        |
| transitions       |          | batch norm, ReLU, 1x1 convolution, 2x2 average pooling|
| head              | 10       | batch norm, ReLU, global average pooling, connected   |

No convolution has a bias. Dropout 0.2 stands behind every convolution but the first;
the paper uses it where it does not augment the images. The strides of the stem are
those for large images, as in the artefact; the stem's convolution is padded as 'same'
(2 zeros before, 3 after; keras.applications has 3 and 3). The other tensors are those
of `keras.applications.DenseNet121` with 10 classes, one by one: 364 with 6,964,106
parameters, and 83,648 numbers in moving averages.

Source: Huang et al. 2017, table 1 (layers), section 3 (bottleneck, compression 0.5),
section 4.2 (dropout).
"""

from tpufi.models.densenet import architecture
from tpufi.optimizers import Adam, LinearDecay
from tpufi.workload import Workload

WORKLOAD = Workload(
    name="densenet_reference",
    model=architecture(dropout=0.2, reference=True),
    optimizer=Adam(),
    schedule=LinearDecay(final=0.0001, steps=5000),
    learning_rate=0.001,
)
