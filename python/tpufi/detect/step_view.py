# SPDX-License-Identifier: Apache-2.0
"""What can be seen of a training step that is not made of our layers.

Weights and the optimiser's state are variables; the gradient follows from how the
optimiser changed them.
"""

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import tensorflow as tf

from tpufi.detect.detector import Detector
from tpufi.detect.detectors.history_bounds import HistoryBounds
from tpufi.detect.signals import (
    GRADIENTS,
    LOSS,
    RATE,
    REPLAY,
    SLOTS,
    WEIGHTS,
    Change,
    Network,
    Signals,
)
from tpufi.errors import InputError

_ALWAYS = (LOSS, WEIGHTS, SLOTS, RATE, REPLAY)
_MOMENTS = ("first_moment", "second_moment")


@dataclasses.dataclass(frozen=True, eq=False)
class StepView:
    """Variables of a step by what they are.

    Args:
      weights: the trained weights, by name.
      slots: the optimiser's slots that detectors know, by `weight/slot`.
      others: all else that the step changes, such as moving averages, metrics and
        counters of random numbers.
      rate: returns the learning rate; None: it is not known.
      beta_1: decay of the first moment; None: the optimiser is not Adam.
      plain: whether the update is the gradient times the rate.
    """

    weights: Mapping[str, tf.Variable]
    slots: Mapping[str, tf.Variable]
    others: Sequence[tf.Variable]
    rate: Callable[[], Any] | None = None
    beta_1: float | None = None
    plain: bool = False

    @classmethod
    def of_optimizer(
        cls,
        weights: Sequence,
        optimizer: "tf.keras.optimizers.Optimizer | None",
        others: Sequence = (),
    ) -> "StepView":
        """Return the view of weights that an optimiser of Keras trains.

        Args:
          weights: variables, in the order that the optimiser was built with.
          optimizer: of Keras; None: not known.
          others: what else the step changes.
        """
        named = {f"{i}/{_name(w)}": _variable(w) for i, w in enumerate(weights)}
        if optimizer is None:
            return cls(named, {}, [_variable(v) for v in others])
        if not optimizer.built:
            optimizer.build(list(weights))
        slots, beta_1, plain = {}, None, False
        if isinstance(optimizer, tf.keras.optimizers.Adam):
            beta_1 = float(optimizer.beta_1)
            for moment, found in zip(
                _MOMENTS, (optimizer._momentums, optimizer._velocities), strict=True
            ):
                pairs = zip(named, found, strict=True)
                slots |= {f"{n}/{moment}": _variable(v) for n, v in pairs}
        elif isinstance(optimizer, tf.keras.optimizers.SGD):
            plain = not optimizer.momentum and not optimizer.weight_decay
        known = {id(v) for v in slots.values()}
        state = [_variable(v) for v in (*optimizer.variables, *others)]
        rest = [v for v in state if id(v) not in known]

        def rate() -> Any:
            return optimizer.learning_rate

        return cls(named, slots, rest, rate, beta_1, plain)

    @property
    def variables(self) -> list[tf.Variable]:
        """All that a step changes, each once."""
        found = [*self.weights.values(), *self.slots.values(), *self.others]
        return list({id(v): v for v in found}.values())

    @property
    def offered(self) -> tuple[str, ...]:
        """Names of the signals that there are."""
        reachable = self.plain or self.beta_1 is not None
        return (*_ALWAYS, GRADIENTS) if reachable else _ALWAYS

    def check(self, detectors: Mapping[str, Detector], network: Network) -> None:
        """Refuse detectors that read what there is not.

        Raises:
          InputError: one does; the message says what there is.
        """
        for name, found in detectors.items():
            for signal in found.reads:
                if signal not in self.offered:
                    raise InputError(
                        f"detector {name} reads {signal}, which this step does not "
                        f"offer; it offers {', '.join(self.offered)}; leave it out"
                    )
            if isinstance(found, HistoryBounds) and not network.terms:
                raise InputError(
                    f"detector {name} needs the shapes of the layers, which this model "
                    "does not tell; leave it out"
                )

    def signals(
        self, before: Sequence[tf.Tensor], after: Sequence[tf.Tensor], loss: tf.Tensor
    ) -> Signals:
        """Return the signals of a step.

        Args:
          before: values of `variables` before it.
          after: values of them after it.
          loss: its loss.
        """
        places = {id(v): i for i, v in enumerate(self.variables)}

        def change(group: Mapping[str, tf.Variable]) -> Change:
            return Change(
                *({n: x[places[id(v)]] for n, v in group.items()}
                  for x in (before, after))
            )  # fmt: skip

        weights, slots = change(self.weights), change(self.slots)
        rate = 0.0 if self.rate is None else self.rate()
        rate = tf.cast(tf.convert_to_tensor(rate), tf.float32)
        return Signals(
            loss,
            self._gradients(weights, slots, rate),
            weights,
            slots,
            Change({}, {}),
            rate,
            tf.zeros([]),
            tf.zeros([0, 0]),
        )

    def network(self, labels: int, positions: Mapping[str, int]) -> Network:
        """Return what is known of the network.

        Args:
          labels: of a step.
          positions: of the weights whose layer's output has them; empty: unknown.
        """
        return Network(
            labels,
            {n: labels * positions[n] for n in self.weights if n in positions},
            (),
            tuple(self.weights),
            1,
            _MOMENTS if self.slots else (),
        )

    def _gradients(self, weights: Change, slots: Change, rate: tf.Tensor) -> dict:
        if self.beta_1 is not None:
            found = {}
            for name in self.weights:
                slot = f"{name}/{_MOMENTS[0]}"
                new, old = slots.after[slot], slots.before[slot]
                found[name] = (new - self.beta_1 * old) / (1 - self.beta_1)
            return found
        if not self.plain:
            return {}
        return {
            name: (weights.before[name] - weights.after[name]) / rate
            for name in self.weights
        }


def positions_of(model: "tf.keras.Model") -> dict[str, int]:
    """Return how many positions of an example each weight of a Keras model meets.

    Embeddings are left out: a normalisation behind small values multiplies their
    gradients. Empty if a layer does not tell the shape of its output.
    """
    found, names = {}, {id(w): i for i, w in enumerate(model.trainable_variables)}
    embeddings: set[str] = set()
    for layer in model._flatten_layers(include_self=False, recursive=True):
        own = [w for w in layer.trainable_variables if id(w) in names]
        shape = getattr(getattr(layer, "output", None), "shape", None)
        keys = [f"{names[id(weight)]}/{_name(weight)}" for weight in own]
        if isinstance(layer, tf.keras.layers.Embedding):
            embeddings |= {*keys}
        elif own and shape is not None and None not in tuple(shape)[1:-1]:
            # Inner layers come later and know better.
            found |= dict.fromkeys(keys, math.prod(tuple(shape)[1:-1]))
    known = len({*found} | embeddings) == len(names)
    return {k: n for k, n in found.items() if k not in embeddings} if known else {}


def _name(weight: object) -> str:
    return getattr(weight, "path", None) or weight.name


def _variable(variable: object) -> tf.Variable:
    """Return the TensorFlow variable of a variable of Keras, or it itself."""
    return getattr(variable, "value", variable) if hasattr(
        variable, "path") else variable  # fmt: skip
