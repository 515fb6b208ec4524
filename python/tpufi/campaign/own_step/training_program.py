# SPDX-License-Identifier: Apache-2.0
"""A training step of a user: what is run, what it changes, what it is given."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import tensorflow as tf

from tpufi.errors import InputError

_WANTED = (
    "expected (step, state, data), (a compiled Keras model, data) or a "
    "tpufi.TrainingProgram"
)


@dataclasses.dataclass(frozen=True, eq=False)
class TrainingProgram:
    """A training step with its state and its data.

    Args:
      step: takes the tensors of a batch and returns the loss, or numbers by name with
        `loss` among them; `accuracy`, 0 to 1, tells degraded trainings, and monitors
        look at all of them. Or a compiled Keras model.
      state: what the step changes besides the variables that are found in it: variables
        or objects with `variables`, e.g. a model and an optimiser; None: nothing.
      data: batches, each a tensor or a tuple of them, which come again from the first;
        or a function of the number of the step, from 0.

    Raises:
      InputError: the step is not a function, or there is no data.
    """

    step: Callable
    state: object = None
    data: Sequence | Callable[[int], object] = ()

    def __post_init__(self) -> None:
        model = self.step
        if isinstance(model, tf.keras.Model):
            object.__setattr__(self, "step", keras_step(model))
            state = [model, model.optimizer, *_listed(self.state)]
            object.__setattr__(self, "state", state)
        if not callable(self.step):
            raise InputError(f"step {type(self.step).__name__}: no function; {_WANTED}")
        if isinstance(self.data, tf.data.Dataset):
            object.__setattr__(self, "data", list(self.data.as_numpy_iterator()))
        if not callable(self.data) and not len(self.data):
            raise InputError("data: no batch; give at least one")

    @classmethod
    def of(cls, made: object) -> "TrainingProgram":
        """Return what a function of the user made as a training program.

        Raises:
          InputError: it is none.
        """
        if isinstance(made, TrainingProgram):
            return made
        if isinstance(made, tuple) and len(made) == 3:
            return cls(*made)
        if isinstance(made, tuple) and len(made) == 2:
            return cls(made[0], None, made[1])
        raise InputError(f"{type(made).__name__}: {_WANTED}")

    def batch(self, number: int) -> tuple[np.ndarray, ...]:
        """Return the tensors of a step."""
        data = self.data
        found = data(number) if callable(data) else data[number % len(data)]
        parts = found if isinstance(found, tuple | list) else (found,)
        return tuple(np.asarray(part) for part in parts)

    def variables(self) -> list[tf.Variable]:
        """Return the variables of the state, each once."""
        found: list[tf.Variable] = []
        for part in _listed(self.state):
            own = getattr(part, "variables", None)
            found += [_plain(v) for v in ([part] if own is None else list(own))]
        return list({id(variable): variable for variable in found}.values())


def keras_step(model: tf.keras.Model) -> Callable:
    """Return a step of a compiled Keras model, with the norm of its gradients.

    It does what the model's own does without its metrics, which are means over steps.

    Raises:
      InputError: the model is not compiled.
    """
    if getattr(model, "optimizer", None) is None:
        raise InputError(f"model {model.name}: not compiled; call model.compile first")
    if not model.optimizer.built:
        model.optimizer.build(model.trainable_variables)

    @tf.function
    def step(x: tf.Tensor, y: tf.Tensor) -> dict[str, tf.Tensor]:
        with tf.GradientTape() as tape:
            predicted = model(x, training=True)
            loss = model.compute_loss(x=x, y=y, y_pred=predicted)
        gradients = tape.gradient(loss, model.trainable_variables)
        model.optimizer.apply(gradients, model.trainable_variables)
        return {"loss": loss, "gradient_norm": tf.linalg.global_norm(gradients)}

    return step


def metrics_of(outputs: object) -> dict[str, float]:
    """Return the numbers that a step returned, by name.

    Raises:
      InputError: there is no loss, or something is not a number.
    """
    named = outputs if isinstance(outputs, Mapping) else {"loss": outputs}
    if "loss" not in named:
        raise InputError(f"the step returns {', '.join(named)}; one has to be loss")
    try:
        return {str(name): float(value) for name, value in named.items()}
    except (TypeError, ValueError):
        raise InputError(
            "the step has to return a loss, or numbers by name; reduce them to scalars"
        ) from None


def _listed(state: object) -> list:
    if state is None:
        return []
    return tf.nest.flatten(state) if isinstance(state, list | tuple | dict) else [state]


def _plain(variable: object) -> tf.Variable:
    """Return a variable of Keras as TensorFlow's."""
    found = getattr(variable, "value", variable)
    return variable if callable(found) else found
