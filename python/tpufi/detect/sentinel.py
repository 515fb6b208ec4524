# SPDX-License-Identifier: Apache-2.0
"""A Keras callback, and a wrapper of a training step, that detect and recover."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import tensorflow as tf

from tpufi.detect.catalogue import detector
from tpufi.detect.detector import Detector
from tpufi.detect.guard import RESTORE, Guard, check_policy
from tpufi.detect.recovery import Incident
from tpufi.detect.signals import GRADIENTS
from tpufi.detect.step_view import StepView, positions_of
from tpufi.errors import InputError

# What watches unless the user says, as far as a step offers what they read.
_USUAL = (
    *("non_finite", "history_bounds", "update_jump", "loss_z_score"),
    *("gradient_norm_z_score", "state_checksum"),
)

Detectors = Mapping[str, Detector] | Sequence[Detector]


class Sentinel(tf.keras.callbacks.Callback):
    """Detects silent corruption while `model.fit` trains, and restores or stops.

    The scores are computed from what each step changed: loss, weights and the
    optimiser's state; the gradient follows from that for Adam and for SGD without
    momentum. List it behind callbacks that change a step, such as
    `tpufi.InjectionCallback`.

    Args:
      detectors: of `tpufi.detect`; None: the cheap ones that this model allows.
      on_alarm: `restore`, `stop` or `report`, see `tpufi.detect.guard.Guard`.
      kept: steps whose variables are kept, >= 1.

    Attributes:
      incidents: what came of the alarms; `persistent` is an alarm that came back when
        the steps were done again: a fault of this device, or a false alarm.

    Raises:
      InputError: an argument is wrong; in `fit`, a detector needs what the model does
        not offer, or the model runs several steps at once.

    Example:
      >>> model = tf.keras.Sequential([tf.keras.Input([2]), tf.keras.layers.Dense(1)])
      >>> model.compile("adam", "mse")
      >>> sentinel = Sentinel()
      >>> x, y = tf.ones([8, 2]), tf.ones([8, 1])
      >>> _ = model.fit(x, y, batch_size=4, verbose=0, callbacks=[sentinel])
      >>> sentinel.incidents
      []
    """

    def __init__(
        self,
        detectors: Detectors | None = None,
        *,
        on_alarm: str = RESTORE,
        kept: int = 2,
    ):
        super().__init__()
        check_policy(on_alarm, kept)
        self._given, self._policy = detectors, (on_alarm, kept)
        self._guard: Guard | None = None

    @property
    def incidents(self) -> list[Incident]:
        """What came of the alarms of the last `fit`."""
        return [] if self._guard is None else self._guard.incidents

    @property
    def scores(self) -> dict[str, float]:
        """Scores of the last step, by detector."""
        return {} if self._guard is None else self._guard.scores

    def on_train_begin(self, logs: object = None) -> None:
        """Begin without memory; check that the model is trained step by step."""
        if self.model.steps_per_execution != 1:
            raise InputError(
                f"steps_per_execution={self.model.steps_per_execution}: a sentinel "
                "looks at single steps; compile the model with steps_per_execution=1"
            )
        self._guard = None

    def on_train_batch_begin(self, batch: int, logs: object = None) -> None:
        """Stand before the function that runs the step."""
        step = self.model.train_function

        def watched(iterator: Iterable) -> object:
            self.model.train_function = step
            data = next(iterator)
            if self._guard is None:
                self._guard = self._made(data)

            def execute(batch: Any) -> tuple[Any, object]:
                before = self._loss_so_far()
                # The function that is there now: a callback may have changed it.
                function = self.model.train_function
                one = iter(tf.data.Dataset.from_tensors(batch))
                logs = function(one)
                (total, count), now = before, self._loss_so_far()
                return (now[0] - total) / (now[1] - count), logs

            logs = self._guard.run(execute, data)
            if self._guard.stopped:
                self.model.stop_training = True
            return logs

        self.model.train_function = watched

    def _loss_so_far(self) -> tuple[tf.Tensor, tf.Tensor]:
        """Return the sum of the losses of this epoch, and of their weights."""
        tracker = next(m for m in self.model.metrics if m.name == "loss")
        return tuple(
            tf.convert_to_tensor(v) + 0.0 for v in (tracker.total, tracker.count)
        )

    def _made(self, data: Any) -> Guard:
        model = self.model
        metrics = [v for metric in model.metrics for v in metric.variables]
        others = [*model.non_trainable_variables, *metrics]
        view = StepView.of_optimizer(model.trainable_variables, model.optimizer, others)
        batch = tf.nest.flatten(data)[0].shape[0]
        network = view.network(batch, positions_of(model))
        return Guard(view, network, _chosen(self._given, view, network), *self._policy)


class ProtectedStep:
    """A training step of the user that detects silent corruption and recovers.

    Called as the step is, it returns what that returns.

    Args:
      step: takes the tensors of a batch and returns the loss, or numbers by name with
        `loss` among them. It must be made from its variables and its batch alone.
      weights: the variables it trains.
      optimizer: of Keras, which updates them; None: another one.
      others: what else it changes, such as moving averages and slots.
      detectors: of `tpufi.detect`; None: the cheap ones that the step allows.
      on_alarm: see `tpufi.detect.guard.Guard`.
      kept: steps whose variables are kept, >= 1.

    Raises:
      InputError: an argument is wrong, or a detector needs what the step does not
        offer.

    Example:
      >>> weight = tf.Variable([1.0, 2.0])
      >>> @tf.function
      ... def step(x):
      ...     weight.assign_sub(0.1 * x)
      ...     return tf.reduce_sum(weight)
      >>> protected = ProtectedStep(step, [weight])
      >>> float(protected(tf.ones([2]))), protected.incidents
      (2.799999952316284, [])
    """

    def __init__(
        self,
        step: Callable[..., Any],
        weights: Sequence,
        *,
        optimizer: "tf.keras.optimizers.Optimizer | None" = None,
        others: Sequence = (),
        detectors: Detectors | None = None,
        on_alarm: str = RESTORE,
        kept: int = 2,
    ):
        self._step = step
        view = StepView.of_optimizer(weights, optimizer, others)
        network = view.network(1, {})
        chosen = _chosen(detectors, view, network)
        self._guard = Guard(view, network, chosen, on_alarm, kept)

    @property
    def incidents(self) -> list[Incident]:
        """What came of the alarms."""
        return self._guard.incidents

    @property
    def scores(self) -> dict[str, float]:
        """Scores of the last step, by detector."""
        return self._guard.scores

    @property
    def stopped(self) -> bool:
        """Whether the training should stop: an alarm came back, or asked for it."""
        return self._guard.stopped

    def __call__(self, *batch: Any) -> Any:
        """Run the step on a batch."""
        return self._guard.run(self._execute, list(batch))

    def _execute(self, batch: list) -> tuple[Any, Any]:
        found = self._step(*batch)
        return found["loss"] if isinstance(found, Mapping) else found, found


def _chosen(given: Detectors | None, view: StepView, network: object) -> Detectors:
    """Return the detectors of the user, or the usual ones that a step allows."""
    if given is not None:
        return given
    found = {name: detector(name) for name in _USUAL}
    if not network.terms:
        del found["history_bounds"]
    if GRADIENTS not in view.offered:
        found = {n: d for n, d in found.items() if GRADIENTS not in d.reads}
    return found
