#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Measures an injected inference, and campaigns, against other ways to inject.

Keras models with random weights, one image. All ways are interleaved in one run; ratios
are paired, medians with their intervals of 95 %.
"""

import json
import os
import pathlib
import sys
import time
from collections.abc import Callable, Sequence

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # Errors are one line.

import tensorflow as tf
from measure.paired import Spread, interleaved, ratios
from peers.host_twin import HostTwin
from peers.pytorch_peer import PyTorchFI
from peers.split_model import SetWeights, SplitModel, UnstackedWeights

import tpufi
from tpufi.cli import Parser, positive, run
from tpufi.instrument import Instrumented, SiteFault, WeightFault, flip

keras = tf.keras
BITS = 32
REMADE_ROUNDS = 4


def lenet() -> keras.Model:
    """Return LeNet-5 with ReLU."""
    layers = keras.layers
    x = inputs = keras.Input((28, 28, 1))
    x = layers.Conv2D(6, 5, padding="same", activation="relu", name="first")(x)
    x = layers.AveragePooling2D(2)(x)
    x = layers.Conv2D(16, 5, activation="relu", name="faulty")(x)
    x = layers.Flatten()(layers.AveragePooling2D(2)(x))
    x = layers.Dense(84, activation="relu")(layers.Dense(120, activation="relu")(x))
    return keras.Model(inputs, layers.Dense(10, activation="softmax")(x))


def resnet50(size: int) -> keras.Model:
    """Return ResNet-50 with random weights for images of this size."""
    return keras.applications.ResNet50(
        weights=None, input_shape=(size, size, 3), classes=10
    )


# Model, faulty layer, whose output every path passes, and a layer with weights.
PLACES = {"lenet": ("faulty", "faulty"), "resnet50": ("conv3_block4_out", "conv1_conv")}


def main(argv: Sequence[str] | None) -> int:
    """Measure and print a table, or one JSON object on the last line."""
    parser = Parser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="JSON on the last line")
    parser.add_argument("--quick", action="store_true", help="smaller, about 3 minutes")
    parser.add_argument("--rounds", type=positive, help="rounds of each way, >= 2")
    parser.add_argument("--injections", type=positive, help="of a campaign")
    parser.add_argument(
        "--peer-python",
        type=pathlib.Path,
        metavar="PYTHON",
        help="of an environment with torch and pytorchfi, to measure PyTorchFI too",
    )
    options = parser.parse_args(argv)
    sys.stdout.reconfigure(line_buffering=True)
    tf.get_logger().setLevel("ERROR")  # TensorFI2 retraces: that is the point.
    begun = time.monotonic()
    rounds = max(options.rounds or (10 if options.quick else 30), 2)
    injections = options.injections or (100 if options.quick else 1000)
    size = 32 if options.quick else 224
    result = {"rounds": rounds, "injections": injections, "image": size}
    result |= {"cores": len(os.sched_getaffinity(0)), "tensorflow": tf.__version__}
    keras.utils.set_random_seed(1)
    for name, model in (("lenet", lenet()), ("resnet50", resnet50(size))):
        peer = None
        if options.peer_python is not None:
            peer = PyTorchFI(
                options.peer_python, name, model.input_shape[1], result["cores"]
            )
        result[name] = measure(name, model, rounds, injections, peer)
        show(name, result[name])
        if peer is not None:
            peer.close()
    if options.peer_python is None:
        result["pytorchfi"] = "not measured: no --peer-python was given"
        print(f"PyTorchFI {result['pytorchfi']}")
    result["seconds"] = round(time.monotonic() - begun)
    if options.json:
        print(json.dumps(result))
    return 0


def measure(
    name: str,
    model: keras.Model,
    rounds: int,
    injections: int,
    peer: PyTorchFI | None,
) -> dict:
    """Time all ways on one model."""
    x = tf.random.stateless_normal((1, *model.input_shape[1:]), (1, 2))
    faulty, weights = PLACES[name]
    clean = tf.function(lambda x: model(x, training=False))
    made, seconds = {}, {}

    def make(way: str, function: Callable[[], object]) -> object:
        begun = time.perf_counter()
        made[way] = function()
        seconds[way] = time.perf_counter() - begun
        return made[way]

    ours = make("graph", lambda: _armed(model, x, None))
    compiled = make("xla", lambda: _armed(model, x, True))
    split = make("split once", lambda: SplitModel(model, faulty))
    setter = make("set_weights", lambda: SetWeights(model, weights))
    unstacked = make("tensorfi2 weights", lambda: UnstackedWeights(model, weights))
    twin = make("callback twin", lambda: HostTwin(model))
    count = [0]

    def number() -> int:
        count[0] += 1
        return count[0]

    def weight_fault() -> object:
        n = number()
        with ours.corrupted(WeightFault(0, [n % 100], -1, [1 << n % BITS])):
            return clean(x).numpy()

    ways = {
        "clean": lambda: clean(x).numpy(),
        "graph": lambda: _inject(ours, x, number()),
        "xla": lambda: _inject(compiled, x, number()),
        "weights": weight_fault,
        "split once": lambda: split.infer(x, number() % 100, number() % BITS),
        "set_weights": lambda: setter.infer(x, number() % 100, number() % BITS),
        "callback twin": lambda: twin.infer(x, faulty, number() % 100, number() % BITS),
        "tensorfi2 weights": lambda: unstacked.infer(x, number() % 100, 3),
    }
    if peer is not None:
        ways["pytorchfi"] = lambda: peer.infer(number())
    for way, function in ways.items():
        begun = time.perf_counter()
        function()  # Traces or compiles.
        seconds[way] = seconds.get(way, 0.0) + time.perf_counter() - begun
    times = interleaved(ways, rounds)
    # TensorFI2 makes both halves again for each injection: too slow for every round.
    remade = {"tensorfi2 outputs": lambda: SplitModel(model, faulty).infer(x, 5, 3)}
    few = interleaved({"graph": ways["graph"], **remade}, REMADE_ROUNDS)
    return {
        "sites": {"graph": len(ours.sites), "xla": len(compiled.sites)},
        "traces": ours.traces,
        "campaign": campaign(ours, x, injections) | {"first": seconds["graph"]},
        "ways": {
            way: {
                "first_seconds": seconds[way],
                "seconds": vars(Spread.of(times[way])),
                "ratio_to_clean": vars(ratios(times[way], times["clean"])),
                "ratio_to_graph": vars(ratios(times[way], times["graph"])),
            }
            for way in ways
        },
        "tensorfi2_outputs": {
            "seconds": vars(Spread.of(few["tensorfi2 outputs"])),
            "ratio_to_graph": vars(ratios(few["tensorfi2 outputs"], few["graph"])),
        },
    }


def campaign(fi: Instrumented, x: tf.Tensor, injections: int) -> dict[str, float]:
    """Time a campaign of single faults."""
    begun = time.perf_counter()
    for number in range(injections):
        _inject(fi, x, number)
    return {"injections": time.perf_counter() - begun}


def _armed(model: keras.Model, x: tf.Tensor, compiled: bool | None) -> Instrumented:
    sites = ["Conv2D", "MatMul"] if compiled else None
    fi = tpufi.instrument(model, sites=sites, jit_compile=compiled)
    fi.armed(x)
    return fi


def _fault(fi: Instrumented, number: int) -> SiteFault:
    site = fi.sites[number * 7919 % len(fi.sites)]
    return flip(site.id, number * 31 % site.size, number % BITS)


def _inject(fi: Instrumented, x: tf.Tensor, number: int) -> object:
    outcome = fi.run([_fault(fi, number)], x)
    assert outcome.injections[0].times == 1
    return outcome.outputs.numpy()


def show(name: str, result: dict) -> None:
    """Print the table of one model."""
    print(f"{name}: sites {result['sites']}, one trace: {result['traces'] == 1}")
    took = result["campaign"]
    print(f"  campaign: {took['injections']:.1f} s, {took['first']:.1f} s before it")
    for way, row in result["ways"].items():
        milliseconds = {k: 1e3 * v for k, v in row["seconds"].items()}
        print(
            f"  {way:18} {Spread(**milliseconds)} ms, "
            f"{Spread(**row['ratio_to_clean'])} x clean, "
            f"{Spread(**row['ratio_to_graph'])} x ours in graph mode; "
            f"first {row['first_seconds']:.1f} s"
        )
    row = result["tensorfi2_outputs"]
    print(
        f"  tensorfi2 outputs  {Spread(**row['seconds'])} s, "
        f"{Spread(**row['ratio_to_graph'])} x ours in graph mode"
    )


if __name__ == "__main__":
    run(main)
