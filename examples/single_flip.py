#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""One flipped bit in the first layer, and its spread through the network as a picture.

python examples/single_flip.py --bit 27 --out runs/single_flip.png
"""

import os
import pathlib
from collections.abc import Sequence

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # Errors are one line.

import numpy as np
import tensorflow as tf
from clothes import NAMES, trained_network
from matplotlib.figure import Figure

import tpufi
from tpufi import flip
from tpufi.cli import Parser, natural, positive, run


def main(argv: Sequence[str] | None) -> int:
    """Train, flip, compare every layer, draw."""
    parser = Parser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=pathlib.Path, default="runs/single_flip.png")
    parser.add_argument("--data", default="fashion-mnist", help="docs/data.md")
    parser.add_argument("--steps", type=positive, default=200, help="of the training")
    parser.add_argument(
        "--image", type=natural, default=0, help="test image to inject into"
    )
    parser.add_argument("--bit", type=natural, default=27, help="0 to 31")
    options = parser.parse_args(argv)

    network, data = trained_network(options.data, options.steps)
    image = data.standardise(data.test_images[options.image : options.image + 1])
    layers = network.layers[1:]  # Behind the input.
    everything = tf.keras.Model(network.inputs, [layer.output for layer in layers])

    fi = tpufi.instrument(everything, sites=["Conv2D"])
    golden = fi.run((), image).outputs
    site = next(site for site in fi.sites if layers[0].name in site.name)
    pixel = int(np.argmax(np.abs(golden[0])))  # A pixel at which there is something.
    result = fi.run([flip(site.id, pixel, options.bit)], image)
    (injection,) = result.injections
    print(f"{site.name}: {injection.golden[0]:#010x} -> {injection.faulty[0]:#010x}")

    names = [layer.name for layer in layers]
    spread = [changes(g, f) for g, f in zip(golden, result.outputs, strict=True)]
    for name, (share, largest) in zip(names, spread, strict=True):
        print(f"{name:12} {share:8.3%} of elements changed, by up to {largest:.3g}")
    before, after = (NAMES[int(np.argmax(o[-1]))] for o in (golden, result.outputs))
    print(f"class: {before} -> {after}")
    draw(names, spread, golden, result.outputs, f"{before} -> {after}", options.out)
    print("picture:", options.out)
    return 0


def changes(golden: tf.Tensor, faulty: tf.Tensor) -> tuple[float, float]:
    """Return the share of elements with other bits, and the largest relative change."""
    bits = tf.bitcast(golden, tf.uint32) != tf.bitcast(faulty, tf.uint32)
    scale = float(tf.reduce_max(tf.abs(golden))) or 1.0
    change = np.abs(faulty.numpy().astype(np.float64) - golden.numpy())
    return float(tf.reduce_mean(tf.cast(bits, tf.float64))), float(change.max()) / scale


def draw(
    names: list[str],
    spread: list[tuple[float, float]],
    golden: list[tf.Tensor],
    faulty: list[tf.Tensor],
    title: str,
    file: pathlib.Path,
) -> None:
    """Write the picture: shares of all layers; golden and faulty maps of three."""
    figure = Figure((11, 6), layout="constrained")
    left, right = figure.subfigures(1, 2, width_ratios=(1, 1.2))
    axes = left.subplots()
    axes.barh(names, [share for share, _ in spread], color="#c44e00")
    axes.invert_yaxis()
    axes.set_xscale("symlog", linthresh=1e-4)
    axes.set_xlim(0, 1)
    axes.set_xlabel("share of elements whose bits changed")
    axes.set_title(title)
    rows = [names.index(f"relu{block}b") for block in (1, 2, 3)]
    for row, cells in zip(rows, right.subplots(3, 3), strict=True):
        pair = [x[row][0].numpy().mean(axis=-1) for x in (golden, faulty)]
        changed = np.any(golden[row][0].numpy() != faulty[row][0].numpy(), axis=-1)
        for axis, cell, kind in zip(
            cells, (*pair, changed), ("golden", "faulty", "changed"), strict=True
        ):
            limits = (0, 1) if kind == "changed" else (pair[0].min(), pair[0].max())
            axis.imshow(cell, vmin=limits[0], vmax=limits[1], cmap="gray")
            axis.set_title(f"{names[row]}, {kind}", fontsize=9)
            axis.set_xticks([])
            axis.set_yticks([])
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, dpi=100)


if __name__ == "__main__":
    run(main)
