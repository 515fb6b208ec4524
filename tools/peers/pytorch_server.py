# SPDX-License-Identifier: Apache-2.0
"""Injects with PyTorchFI, in a separate environment without TensorFlow or tpufi.

Started by `pytorch_peer.py` with a model's name, image size and threads; writes
`ready`, then for each line with a number the class that the faulty inference gives.
"""

import logging
import sys

import torch
from pytorchfi.core import fault_injection
from torch import nn


def lenet() -> nn.Module:
    """Return LeNet-5 with ReLU, as in `tools/bench_instrument.py`."""
    return nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.AvgPool2d(2),
        nn.Conv2d(6, 16, 5), nn.ReLU(), nn.AvgPool2d(2), nn.Flatten(),
        nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(),
        nn.Linear(84, 10), nn.Softmax(-1),
    )  # fmt: skip


class Bottleneck(nn.Module):
    """Three convolutions around a shortcut, which is a fourth where shapes change."""

    def __init__(self, before: int, width: int, stride: int):
        super().__init__()
        after = 4 * width
        self.body = nn.Sequential(
            nn.Conv2d(before, width, 1, stride), nn.BatchNorm2d(width), nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU(),
            nn.Conv2d(width, after, 1), nn.BatchNorm2d(after),
        )  # fmt: skip
        self.shortcut = nn.Identity()
        if before != after:
            self.shortcut = nn.Sequential(
                nn.Conv2d(before, after, 1, stride), nn.BatchNorm2d(after)
            )
        self.last = nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the block's output."""
        return self.last(self.body(x) + self.shortcut(x))


def resnet50() -> nn.Module:
    """Return ResNet-50 with random weights, strides and biases as Keras has them."""
    blocks, before = [], 64
    for stage, count in enumerate((3, 4, 6, 3)):
        width = 64 << stage
        for number in range(count):
            stride = 2 if stage and not number else 1
            blocks.append(Bottleneck(before, width, stride))
            before = 4 * width
    return nn.Sequential(
        nn.Conv2d(3, 64, 7, 2, 3), nn.BatchNorm2d(64), nn.ReLU(),
        nn.MaxPool2d(3, 2, 1), *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Linear(before, 10), nn.Softmax(-1),
    )  # fmt: skip


MODELS = {"lenet": (lenet, 1), "resnet50": (resnet50, 3)}


def main() -> None:
    """Answer numbers until the input ends."""
    name, size, threads = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    torch.set_num_threads(threads)
    torch.manual_seed(1)
    make, channels = MODELS[name]
    shape = [channels, size, size]
    model = make().eval()
    injector = fault_injection(model, 1, shape, [nn.Conv2d], use_cuda=False)
    logging.disable(logging.CRITICAL)  # It logs each injection.
    layers = injector.output_size
    x = torch.randn(1, *shape)
    print("ready", flush=True)
    for line in sys.stdin:
        number = int(line)
        layer = number * 7919 % len(layers)
        _, *dims = layers[layer]
        where = [[number * 31 % d] for d in dims]
        faulty = injector.declare_neuron_fi(
            batch=[0], layer_num=[layer], dim1=where[0], dim2=where[1], dim3=where[2],
            value=[10000.0],
        )  # fmt: skip
        with torch.no_grad():
            print(int(faulty(x).argmax()), flush=True)


if __name__ == "__main__":
    main()
