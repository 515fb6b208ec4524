#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Draws the picture of the README: one fault, three ends of a training.

A small network trains on Fashion-MNIST, once without a fault and three times with one
in the gradient of a convolution's kernel. The picture has no background, so that it
can be read on a light and on a dark page.

    python -m tools.site.hero_picture
"""

import math
import pathlib
from collections.abc import Callable

import matplotlib as mpl
import numpy as np
import tensorflow as tf
from matplotlib import pyplot

import tpufi
from tpufi.instrument import GraphSite, SiteFault

FILE = pathlib.Path(__file__).resolve().parents[2] / "docs" / "one_fault.svg"
STEP, STEPS, BATCH = 40, 120, 64
Make = Callable[[GraphSite], SiteFault | list[SiteFault]]
CASES: dict[str, Make] = {
    "a low bit flips: no effect": lambda site: tpufi.flip(site, 4, 12),
    "512 gradients of 20: no learning": lambda site: [
        tpufi.replace(site, range(64 * run, 64 * run + 64), 20.0) for run in range(8)
    ],
    "a high bit flips: loss NaN": lambda site: tpufi.flip(site, 5, 30),
}
_GREY, _GOLDEN, _FAULTY = "#808080", "#5b8def", "#e4572e"


def losses(make: Make | None) -> list[float]:
    """Return the loss of each step of a training with one fault, or none."""
    tf.keras.utils.set_random_seed(1)
    layers = tf.keras.layers
    model = tf.keras.Sequential(
        [
            tf.keras.Input((32, 32, 3)),
            layers.Conv2D(8, 3, 2, activation="relu"),
            layers.Conv2D(16, 3, 2, activation="relu"),
            layers.Flatten(),
            layers.Dense(10),
        ]
    )
    loss = tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(tf.keras.optimizers.SGD(0.05), loss, jit_compile=False)
    data = tpufi.load_dataset("fashion-mnist")
    count = STEPS * BATCH
    x, y = data.standardise(data.train_images[:count]), data.train_labels[:count]
    found: list[float] = []
    before = [0.0]

    def note(step: int, logs: dict) -> None:
        # Keras tells the mean since the epoch began.
        total = logs["loss"] * (step + 1)
        found.append(total - before[0])
        before[0] = total

    callbacks = [tf.keras.callbacks.LambdaCallback(on_train_batch_end=note)]
    if make is not None:
        fi = tpufi.instrument(model.train_step, sites=["Conv2DBackpropFilter"])
        site = fi.armed((x[:BATCH], y[:BATCH])).sites[0]
        callbacks.append(tpufi.InjectionCallback(fi, make(site), step=STEP))
    how = {"batch_size": BATCH, "shuffle": False, "verbose": 0}
    model.fit(x, y, callbacks=callbacks, **how)
    return found


def draw(golden: list[float], faulty: dict[str, list[float]]) -> None:
    """Write the picture: a panel for each fault, golden and faulty losses in it."""
    plain = {"svg.hashsalt": "tpufi", "svg.fonttype": "none", "text.color": _GREY}
    edges = {f"{part}.color": _GREY for part in ("xtick", "ytick")}
    names = {"axes.edgecolor": _GREY, "axes.labelcolor": _GREY, "font.size": 10}
    with mpl.rc_context(plain | edges | names):
        figure, panels = pyplot.subplots(
            1, len(faulty), figsize=(9.6, 2.9), layout="constrained", sharey=True
        )
        for axes, (title, values) in zip(panels, faulty.items(), strict=True):
            axes.plot(golden, color=_GOLDEN, linewidth=3.5, alpha=0.6, label="golden")
            finite = [v for v in values if math.isfinite(v)]
            axes.plot(finite, color=_FAULTY, linewidth=1.3, label="with the fault")
            if len(finite) < len(values):
                end = len(finite) - 1
                axes.plot(end, min(finite[-1], 3.0), "x", color=_FAULTY, ms=10, mew=2)
                axes.annotate("NaN", (end + 3, 2.2), color=_FAULTY)
            axes.axvline(STEP, color=_GREY, linewidth=0.8, linestyle=":")
            axes.set_title(title, color=_GREY)
            axes.set_xlabel("training step")
            axes.set_ylim(0, 3.2)
            axes.spines[["top", "right"]].set_visible(False)
            axes.patch.set_alpha(0)
        panels[0].set_ylabel("loss")
        panels[0].legend(frameon=False, loc="upper right")
        figure.patch.set_alpha(0)
        figure.savefig(FILE, transparent=True, metadata={"Date": None})
        pyplot.close(figure)


def main() -> None:
    """Train and draw."""
    mpl.use("Agg")
    golden = losses(None)
    print("golden", np.round(golden[-3:], 3))
    faulty = {title: losses(make) for title, make in CASES.items()}
    for title, values in faulty.items():
        print(title, np.round(values[STEP - 1 : STEP + 4], 3), values[-1])
    draw(golden, faulty)


if __name__ == "__main__":
    main()
