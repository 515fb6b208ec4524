# SPDX-License-Identifier: Apache-2.0
"""ResNet-18 for 32x32 images, trained with Adam.

| part   | output   | layers                                              |
|--------|----------|-----------------------------------------------------|
| stem   | 16x16x64 | 7x7/2 convolution, batch norm, ReLU                 |
| stage 1| 16x16x64 | 2 blocks of two 3x3 convolutions                    |
| stage 2| 8x8x128  | 2 blocks, the first with stride 2                   |
| stage 3| 4x4x256  | 2 blocks, the first with stride 2                   |
| stage 4| 2x2x512  | 2 blocks, the first with stride 2                   |
| head   | 10       | global average pooling, fully connected             |

As in the ISCA'23 artefact: no max-pooling behind the stem, a bias on every convolution,
dropout behind both ReLUs of a block. A fault can be injected into the stem's forward
pass too.

Source: He et al. 2016; docs/workloads.md.
"""

from tpufi.layers import (
    BatchNorm,
    Bias,
    Conv2D,
    Dense,
    Dropout,
    GlobalAveragePooling,
    Node,
    ReLU,
    Residual,
    Sequence,
)
from tpufi.optimizers import Adam, LinearDecay
from tpufi.workload import Workload

# (filters, stride of the first block) of each stage.
STAGES = ((64, 1), (128, 2), (256, 2), (512, 2))
BLOCKS = 2


def convolution(name: str, filters: int, kernel: int, stride: int = 1) -> Sequence:
    """Return a convolution with bias."""
    return Sequence((Conv2D(name, filters, kernel, stride), Bias(f"{name}_bias")))


def normalisation(name: str, batch_norm: bool) -> tuple[Node, ...]:
    """Return a batch norm, or nothing."""
    return (BatchNorm(name),) if batch_norm else ()


def basic_block(
    name: str, filters: int, stride: int, dropout: float, batch_norm: bool = True
) -> Sequence:
    """Return two 3x3 convolutions with a shortcut around them."""

    def drop(where: str) -> tuple[Node, ...]:
        return (Dropout(f"{name}_{where}", dropout),) if dropout else ()

    main = Sequence(
        (
            convolution(f"{name}_conv1", filters, 3, stride),
            *normalisation(f"{name}_bn1", batch_norm),
            ReLU(f"{name}_relu1"),
            *drop("dropout1"),
            convolution(f"{name}_conv2", filters, 3),
            *normalisation(f"{name}_bn2", batch_norm),
        )
    )
    downsample = (
        convolution(f"{name}_downsample", filters, 1, stride),
        *normalisation(f"{name}_bn3", batch_norm),
    )
    shortcut = Sequence(downsample if stride > 1 else ())
    return Sequence(
        (Residual(main, shortcut), ReLU(f"{name}_relu2"), *drop("dropout2"))
    )


def architecture(
    dropout: float, classes: int = 10, *, batch_norm: bool = True
) -> Sequence:
    """Return the model.

    Args:
      dropout: rate behind both ReLUs of every block; 0 leaves dropout out.
      classes: outputs.
      batch_norm: False leaves every batch norm out.
    """
    stem = (
        convolution("conv1", 64, 7, 2),
        *normalisation("bn1", batch_norm),
        ReLU("relu1"),
    )
    blocks = [
        basic_block(
            f"basicblock_{s}_basic_{b}",
            filters,
            stride if b == 0 else 1,
            dropout,
            batch_norm,
        )
        for s, (filters, stride) in enumerate(STAGES, 1)
        for b in range(BLOCKS)
    ]
    head = (GlobalAveragePooling("pool"), Dense("fc", classes), Bias("fc_bias"))
    return Sequence((*stem, *blocks, *head))


WORKLOAD = Workload(
    name="resnet18",
    model=architecture(dropout=0.15),
    optimizer=Adam(),
    schedule=LinearDecay(final=0.0001, steps=5000),
    learning_rate=0.001,
)
