# SPDX-License-Identifier: Apache-2.0
"""DenseNet-121 for 32x32 images, trained with Adam.

| part              | output   | layers                                                |
|-------------------|----------|-------------------------------------------------------|
| stem              | 8x8x64   | 7x7/2 convolution, batch norm, ReLU, 3x3/2 convolution|
| dense block 1     | 8x8x256  | 6 bottlenecks                                         |
| transition 1      | 4x4x128  | batch norm, ReLU, 1x1 and 3x3/2 convolution           |
| dense block 2     | 4x4x512  | 12 bottlenecks                                        |
| transition 2      | 2x2x256  | the same                                              |
| dense block 3     | 2x2x1024 | 24 bottlenecks                                        |
| transition 3      | 1x1x512  | the same                                              |
| dense block 4     | 1x1x1024 | 16 bottlenecks                                        |
| head              | 10       | global average pooling, fully connected               |

A bottleneck appends 32 channels to its input: batch norm, ReLU, 1x1 convolution to 128
channels, batch norm, ReLU, 3x3 convolution, dropout.

As in the ISCA'23 artefact: trained 3x3/2 convolutions (`conv_p`) in place of the max-
and average-pooling, a bias on every convolution, no batch norm or ReLU behind the last
block.

Source: Huang et al. 2017; docs/workloads.md.
"""

from tpufi.layers import (
    BatchNorm,
    Bias,
    Concatenation,
    Dense,
    Dropout,
    GlobalAveragePooling,
    Node,
    ReLU,
    Sequence,
)
from tpufi.models.resnet18 import convolution
from tpufi.optimizers import Adam, LinearDecay
from tpufi.workload import Workload

GROWTH = 32
# Bottlenecks of each dense block of DenseNet-121.
BLOCKS = (6, 12, 24, 16)


def activation(name: str, index: str = "") -> tuple[Node, ...]:
    """Return batch norm and ReLU."""
    return BatchNorm(f"{name}_bn{index}"), ReLU(f"{name}_relu{index}")


def bottleneck(name: str, dropout: float) -> Concatenation:
    """Return the layers that append `GROWTH` channels."""
    drop = (Dropout(f"{name}_dropout", dropout),) if dropout else ()
    return Concatenation(
        Sequence(
            (
                *activation(name, "1"),
                convolution(f"{name}_conv1", 4 * GROWTH, 1),
                *activation(name, "2"),
                convolution(f"{name}_conv2", GROWTH, 3),
                *drop,
            )
        )
    )


def transition(name: str, filters: int) -> tuple[Node, ...]:
    """Return the layers that leave `filters` channels and a quarter of the pixels."""
    return (
        *activation(name),
        convolution(f"{name}_conv", filters, 1),
        convolution(f"{name}_conv_p", filters, 3, 2),
    )


def architecture(
    dropout: float, classes: int = 10, blocks: tuple[int, ...] = BLOCKS
) -> Sequence:
    """Return the model.

    Args:
      dropout: rate at the end of every bottleneck; 0 leaves dropout out.
      classes: outputs.
      blocks: bottlenecks of each dense block.
    """
    name, channels = "densenet", 2 * GROWTH
    parts: list[Node] = [
        convolution(f"{name}_conv", channels, 7, 2),
        *activation(name),
        convolution(f"{name}_conv_p", channels, 3, 2),
    ]
    for i, count in enumerate(blocks, 1):
        block = f"{name}_dense_block_{i}_bottleneck"
        parts += [bottleneck(f"{block}_{j}", dropout) for j in range(count)]
        channels += count * GROWTH
        if i < len(blocks):
            channels //= 2
            parts += transition(f"{name}_transition_{i}", channels)
    head = (GlobalAveragePooling("pool"), Dense("fc", classes), Bias("fc_bias"))
    return Sequence((*parts, *head))


WORKLOAD = Workload(
    name="densenet",
    model=architecture(dropout=0.5),
    optimizer=Adam(),
    schedule=LinearDecay(final=0.0001, steps=5000),
    learning_rate=0.001,
)
