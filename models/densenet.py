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
block, dropout behind the second convolution of a bottleneck only. `densenet_reference`
has the published forms.

Source: Huang et al. 2017.
"""

from tpufi.layers import (
    AveragePooling,
    BatchNorm,
    Bias,
    Concatenation,
    Conv2D,
    Dense,
    Dropout,
    GlobalAveragePooling,
    MaxPooling,
    Node,
    ReLU,
    Sequence,
    ZeroPadding,
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


def drop(name: str, rate: float) -> tuple[Node, ...]:
    """Return a dropout, or nothing at rate 0."""
    return (Dropout(name, rate),) if rate else ()


def bottleneck(name: str, dropout: float, reference: bool) -> Concatenation:
    """Return the layers that append `GROWTH` channels."""
    conv = Conv2D if reference else convolution
    return Concatenation(
        Sequence(
            (
                *activation(name, "1"),
                conv(f"{name}_conv1", 4 * GROWTH, 1),
                *drop(f"{name}_dropout1", dropout if reference else 0),
                *activation(name, "2"),
                conv(f"{name}_conv2", GROWTH, 3),
                *drop(f"{name}_dropout", dropout),
            )
        )
    )


def transition(
    name: str, filters: int, dropout: float, reference: bool
) -> tuple[Node, ...]:
    """Return the layers that leave `filters` channels and a quarter of the pixels."""
    if reference:
        return (
            *activation(name),
            Conv2D(f"{name}_conv", filters, 1),
            *drop(f"{name}_dropout", dropout),
            AveragePooling(f"{name}_pool", 2, 2),
        )
    return (
        *activation(name),
        convolution(f"{name}_conv", filters, 1),
        convolution(f"{name}_conv_p", filters, 3, 2),
    )


def stem(name: str, filters: int, reference: bool) -> tuple[Node, ...]:
    """Return the layers before the first block, which leave a 16th of the pixels."""
    if reference:
        return (
            Conv2D(f"{name}_conv", filters, 7, 2),
            *activation(name),
            ZeroPadding(f"{name}_pool_padding", 1),
            MaxPooling(f"{name}_pool", 3, 2),
        )
    return (
        convolution(f"{name}_conv", filters, 7, 2),
        *activation(name),
        convolution(f"{name}_conv_p", filters, 3, 2),
    )


def architecture(
    dropout: float,
    classes: int = 10,
    blocks: tuple[int, ...] = BLOCKS,
    *,
    reference: bool = False,
) -> Sequence:
    """Return the model.

    Args:
      dropout: rate of every dropout; 0 leaves dropout out.
      classes: outputs.
      blocks: bottlenecks of each dense block.
      reference: as published, not as in the artefact.
    """
    name, channels = "densenet", 2 * GROWTH
    parts: list[Node] = [*stem(name, channels, reference)]
    for i, count in enumerate(blocks, 1):
        block = f"{name}_dense_block_{i}_bottleneck"
        parts += [bottleneck(f"{block}_{j}", dropout, reference) for j in range(count)]
        channels += count * GROWTH
        if i < len(blocks):
            channels //= 2
            parts += transition(f"{name}_transition_{i}", channels, dropout, reference)
    if reference:
        parts += activation(f"{name}_final")
    head = (GlobalAveragePooling("pool"), Dense("fc", classes), Bias("fc_bias"))
    return Sequence((*parts, *head))


WORKLOAD = Workload(
    name="densenet",
    model=architecture(dropout=0.5),
    optimizer=Adam(),
    schedule=LinearDecay(final=0.0001, steps=5000),
    learning_rate=0.001,
)
