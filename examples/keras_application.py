#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""MobileNetV2 of Keras under bit flips: how often its answer changes, and where.

    python examples/keras_application.py --runs 40

The published weights cannot be taken along, so the application is trained for a moment
on Fashion-MNIST. Nothing of it is changed: fault sites are put into its graph.
"""

import collections
import os
import pathlib
from collections.abc import Sequence

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # Errors are one line.

import tensorflow as tf
from clothes import train

import tpufi
from tpufi import InferenceCampaign, load_dataset
from tpufi.cli import Parser, positive, run
from tpufi.statistics.intervals import wilson


def main(argv: Sequence[str] | None) -> int:
    """Train, instrument, run, tell."""
    parser = Parser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--out", type=pathlib.Path, default="runs/keras_application.csv"
    )
    parser.add_argument("--data", default="fashion-mnist", help="docs/data.md")
    parser.add_argument("--steps", type=positive, default=150, help="of the training")
    parser.add_argument("--images", type=positive, default=32, help="of a batch")
    parser.add_argument("--runs", type=positive, default=20, help="batches with faults")
    options = parser.parse_args(argv)

    tf.keras.utils.set_random_seed(1)
    data = load_dataset(options.data)
    model = tf.keras.applications.MobileNetV2(
        input_shape=(32, 32, 3), weights=None, classes=10, classifier_activation=None
    )
    train(model, data, options.steps)
    images = data.standardise(data.test_images[: options.images])
    labels = data.test_labels[: options.images]

    fi = tpufi.instrument(model, sites=["Conv2D", "DepthwiseConv2dNative", "MatMul"])
    armed = len(fi.armed(images).sites)
    print(f"{armed} sites, {model.count_params()} parameters")
    result = InferenceCampaign(fi, seed=1).run([(images, labels)], options.runs)
    print(result.summary())

    counts = collections.defaultdict(lambda: [0, 0])
    changed = result.values("sdc_1")
    for trial, wrong in zip(result.trials, changed, strict=True):
        for key in (trial.op, f"bit {trial.bit}"):
            counts[key][0] += wrong
            counts[key][1] += 1
    for key, (hits, trials) in sorted(counts.items()):
        low, high = wilson(hits, trials)
        print(f"{key:24} {hits:4} of {trials:5} wrong  [{low:.2%}, {high:.2%}]")
    options.out.parent.mkdir(parents=True, exist_ok=True)
    result.write(options.out)
    print("trials:", options.out)
    return 0


if __name__ == "__main__":
    run(main)
