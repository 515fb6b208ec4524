# SPDX-License-Identifier: Apache-2.0
"""Every detector: its formula in numpy, and a fault made to violate it.

A new detector is one line of `CASES`.
"""

import dataclasses
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from tpufi.detect import Detector
from tpufi.detect.signals import Change, Network, Signals

F64 = np.float64
RATE = 0.01
NETWORK = Network(
    labels=12,
    terms={"conv/kernel": 12 * 16, "norm/gamma": 12 * 16, "fc/kernel": 12},
    gains=("norm/gamma",),
    weights=("conv/kernel", "norm/gamma", "fc/kernel"),
    replicas=4,
    slots=("first_moment", "second_moment"),
    variance_bounds=lambda weights, x: {
        "norm/moving_variance": tf.square(
            x * tf.reduce_max(tf.reduce_sum(tf.abs(weights["conv/kernel"]), [0, 1, 2]))
        )
    },
)
_SHAPES = {"conv/kernel": (3, 3, 2, 4), "norm/gamma": (4,), "fc/kernel": (4, 5)}


@dataclasses.dataclass
class Step:
    """The signals of one step as float32 arrays."""

    loss: np.ndarray
    gradients: dict
    weights: tuple[dict, dict]
    slots: tuple[dict, dict]
    statistics: tuple[dict, dict]
    largest_input: np.ndarray
    replica_norms: np.ndarray
    layer_scores: np.ndarray

    def signals(self, found: Detector) -> Signals:
        """Return the signals; all layers of a replica have one score.

        Args:
          found: the detector that looked at the layers.
        """
        changes = (self.weights, self.slots, self.statistics)
        return Signals(
            *(self.loss, self.gradients, *(Change(*c) for c in changes)),
            *(tf.constant(RATE), self.largest_input, self.replica_norms),
            {found: self.layer_scores},
        )

    def tensors(self) -> dict:
        """Return the same as tensors, by name."""
        fields = [field.name for field in dataclasses.fields(self)]
        return {
            name: tf.nest.map_structure(tf.constant, getattr(self, name))
            for name in fields
        }


def run_of_adam(steps: int, seed: int) -> list[Step]:
    """Return steps of Adam on random gradients of the scale 1 / labels."""
    rng = np.random.default_rng(seed)

    def draw(shape, scale):
        return rng.normal(size=shape, scale=scale).astype(np.float32)

    weights = {name: draw(shape, 0.3) for name, shape in _SHAPES.items()}
    moments = ("first_moment", "second_moment")
    slots = {f"{n}/{m}": np.zeros(s, np.float32) for n, s in _SHAPES.items()
             for m in moments}  # fmt: skip
    variance = {"norm/moving_variance": np.ones(4, np.float32)}
    found = []
    for _ in range(steps):
        gradients = {name: draw(shape, 0.08) for name, shape in _SHAPES.items()}
        new_slots, new_weights = {}, {}
        for name, g in gradients.items():
            m = slots[f"{name}/first_moment"] * 0.9 + 0.1 * g
            v = slots[f"{name}/second_moment"] * 0.999 + 0.001 * g**2
            new_slots |= {f"{name}/first_moment": m.astype(np.float32),
                          f"{name}/second_moment": v.astype(np.float32)}  # fmt: skip
            change = RATE * m / (np.sqrt(v) + 1e-7)
            new_weights[name] = (weights[name] - change).astype(np.float32)
        new_variance = {"norm/moving_variance": np.abs(draw(4, 1.0))}
        norms = np.abs(draw((4, 3), 0.1)) + np.float32(1)
        found.append(
            Step(np.float32(2 + 0.1 * rng.normal()), gradients,
                 (weights, new_weights), (slots, new_slots),
                 (variance, new_variance), np.float32(3), norms,
                 np.abs(draw(4, 0.1)))
        )  # fmt: skip
        weights, slots, variance = new_weights, new_slots, new_variance
    return found


def _largest(x: np.ndarray) -> float:
    return float(np.abs(x.astype(F64)).max())


def _norm(*tensors: np.ndarray) -> float:
    return float(np.sqrt(sum((x.astype(F64) ** 2).sum() for x in tensors)))


def non_finite(steps: list[Step]) -> list[float]:
    return [
        float(
            sum(
                not np.isfinite(x).all()
                for x in [s.loss, *s.gradients.values(), *s.weights[1].values(),
                          *s.slots[1].values(), *s.statistics[1].values()]
            )
        )
        for s in steps
    ]  # fmt: skip


def _bound(name: str) -> float:
    return 20 * NETWORK.terms[name] ** 0.5 / NETWORK.labels


def history_bounds(steps: list[Step]) -> list[float]:
    return [
        max(
            max(_largest(s.slots[1][f"{n}/first_moment"]) / _bound(n),
                (_largest(s.slots[1][f"{n}/second_moment"]) / _bound(n) ** 2) ** 0.5)
            for n in NETWORK.terms
        )
        for s in steps
    ]  # fmt: skip


def variance_bounds(steps: list[Step]) -> list[float]:
    found = []
    for s in steps:
        kernel = np.abs(s.weights[0]["conv/kernel"].astype(F64)).sum((0, 1, 2)).max()
        bound = max((float(s.largest_input) * kernel) ** 2, 1)
        found.append(_largest(s.statistics[1]["norm/moving_variance"]) / bound)
    return found


def update_jump(steps: list[Step]) -> list[float]:
    found, roots, norms, jumps = [], [], [], []
    for t, s in enumerate(steps):
        each = []
        for n in NETWORK.weights:
            m, v = (s.slots[1][f"{n}/{k}_moment"].astype(F64) for k in
                    ("first", "second"))  # fmt: skip
            each.append(np.sqrt(np.mean((RATE * m / (np.sqrt(v) + 1e-8)) ** 2)))
        roots.append(max(each))
        norms.append(_norm(*s.gradients.values()))
        score = 0.0
        if t:
            jump, rise = abs(roots[-1] - roots[-2]), norms[-1] - norms[-2]
            if t >= 10 and rise > 0:
                score = jump * 0.05 * rise**0.5 / np.mean(jumps)
            jumps.append(jump)
        found.append(score)
    return found


def _z_scores(values: list[float]) -> list[float]:
    # Fewer steps than the running mean's memory: plain mean and variance.
    found = [0.0] * 20
    for t in range(20, len(values)):
        before = np.array(values[:t])
        deviation = max(before.std(), 0.1 * abs(before.mean()))
        found.append(abs(values[t] - before.mean()) / deviation)
    return found


def loss_z_score(steps: list[Step]) -> list[float]:
    return _z_scores([float(s.loss) for s in steps])


def gradient_norm_z_score(steps: list[Step]) -> list[float]:
    return _z_scores([_norm(*s.gradients.values()) for s in steps])


def feature_value(steps: list[Step]) -> list[float]:
    values, found = [_norm(s.gradients["norm/gamma"]) for s in steps], []
    for t, value in enumerate(values):
        shares = 0.99 ** np.arange(t)[::-1]  # The last step before has the share 1.
        usual = (shares * values[:t]).sum() / shares.sum() if t else np.inf
        found.append(value / usual)
    return found


def state_checksum(steps: list[Step]) -> list[float]:
    def bits(groups, which):
        arrays = [x for group in groups for x in group[which].values()]
        return [sum(x.view(np.uint32).ravel().tolist()) for x in arrays]

    found = [0.0]
    for last, now in zip(steps, steps[1:], strict=False):
        pairs = zip(bits((last.weights, last.slots), 1),
                    bits((now.weights, now.slots), 0), strict=True)  # fmt: skip
        found.append(float(sum(a != b for a, b in pairs)))
    return found


def replica_outlier(steps: list[Step]) -> list[float]:
    found = []
    for s in steps:
        norms = s.replica_norms.astype(F64)
        median = np.median(norms, 0)
        usual = np.maximum(median, 1e-3 * median.max())
        found.append(float((np.abs(norms - median) / usual).max()))
    return found


def exact_replay(steps: list[Step]) -> list[float]:
    return [0.0 for _ in steps]


def worst_of_layers(steps: list[Step]) -> list[float]:
    """What is wrong with a layer has its own tests: `tests/layer_checks_test.py`."""
    return [float(s.layer_scores.max()) for s in steps]


@dataclasses.dataclass(frozen=True)
class Case:
    """One detector.

    Args:
      reference: its scores of a run, in numpy and float64.
      site: where a fault violates it, of `tests.detectors_test`; empty: in the state,
        between two steps.
      value: what the fault writes.
      settings: of the detector.
      workload: of `tests.detectors_test`, which has the site.
    """

    reference: Callable[[list[Step]], list[float]]
    site: str
    value: float
    settings: dict = dataclasses.field(default_factory=dict)
    workload: str = "small"


CASES = {
    "non_finite": Case(non_finite, "fc/forward/output", np.nan),
    "history_bounds": Case(history_bounds, "conv1/grad_wt/output", 1e4),
    "variance_bounds": Case(variance_bounds, "conv1/forward/output", 1e9),
    "update_jump": Case(update_jump, "conv1/grad_wt/output", 1e12),
    "loss_z_score": Case(loss_z_score, "fc/forward/output", 1e4),
    "gradient_norm_z_score": Case(gradient_norm_z_score, "conv1/grad_wt/output", 1e4),
    "feature_value": Case(feature_value, "bn1/grad_wt/output", 1e7),
    "state_checksum": Case(state_checksum, "", 0.0),
    "replica_outlier": Case(replica_outlier, "conv1/grad_wt/output", 1e5),
    "exact_replay": Case(exact_replay, "conv1/grad_wt/output", 1e-3, {"every": 1}),
    "norm_zero_sums": Case(worst_of_layers, "bn1/grad_in/output", 1.0),
    "softmax_zero_sums": Case(
        worst_of_layers, "block0_softmax/grad_in/output", 1.0, {}, "small_decoder"
    ),
    "logit_zero_sums": Case(worst_of_layers, "loss/grad_in/output", 1.0),
    "attention_column_sums": Case(
        worst_of_layers, "block0_context/grad_wt/output", 1.0, {}, "small_decoder"
    ),
    "linear_products": Case(worst_of_layers, "conv1/grad_wt/output", 10.0),
    "dense_checksums": Case(worst_of_layers, "fc/forward/output", 100.0),
    "conv_checksums": Case(worst_of_layers, "conv1/forward/output", 100.0),
}
