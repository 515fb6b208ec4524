# SPDX-License-Identifier: Apache-2.0
"""A Keras callback that injects faults into one training step of `fit`."""

import warnings
from collections.abc import Sequence

import tensorflow as tf

from tpufi.errors import InputError
from tpufi.instrument.injection_record import InjectionRecord
from tpufi.instrument.instrumented import Instrumented
from tpufi.instrument.site_fault import AnyFault, listed


class InjectionCallback(tf.keras.callbacks.Callback):
    """Injects faults into one training step of `model.fit`.

    All other steps are the model's own; the chosen one runs the instrumented program.

    Args:
      fi: `tpufi.instrument(model.train_step)`, which has sites in the forward and the
        backward pass and in the update, or `tpufi.instrument(model)`.
      faults: one fault or several.
      epoch: epoch of the step, from 0.
      step: number of the step in its epoch, from 0.

    Attributes:
      injections: what was injected; empty before that step.

    Raises:
      InputError: a number is negative; or, in `fit`, another model is trained, or it
        runs several steps at once.

    Example:
      >>> model = tf.keras.Sequential([tf.keras.Input([2]), tf.keras.layers.Dense(1)])
      >>> model.compile("sgd", "mse")
      >>> x, y = tf.ones([8, 2]), tf.ones([8, 1])
      >>> fi = instrument(model.train_step, sites=[{"direction": "update"}])
      >>> site = fi.armed((x[:4], y[:4])).sites[0]
      >>> callback = InjectionCallback(fi, zero(site, [0]), epoch=1, step=0)
      >>> _ = model.fit(x, y, batch_size=4, epochs=2, verbose=0, callbacks=[callback])
      >>> [injection.times for injection in callback.injections]
      [1]
    """

    def __init__(
        self,
        fi: Instrumented,
        faults: AnyFault | Sequence[AnyFault],
        *,
        epoch: int = 0,
        step: int = 0,
    ):
        super().__init__()
        if min(epoch, step) < 0:
            raise InputError(
                f"epoch {epoch}, step {step}: both count from 0; give none below"
            )
        self._fi, self._faults = fi, listed((faults,))
        self._when, self._epoch = (epoch, step), 0
        self.injections: list[InjectionRecord] = []

    def on_train_begin(self, logs: object = None) -> None:
        """Check that this model is trained step by step."""
        if self._fi.model is not self.model:
            raise InputError(
                f"fit trains the model {self.model.name!r}; instrument its train_step"
            )
        if self.model.steps_per_execution != 1:
            raise InputError(
                f"steps_per_execution={self.model.steps_per_execution}: a fault is "
                "injected into one step; compile the model with steps_per_execution=1"
            )
        self.injections = []

    def on_epoch_begin(self, epoch: int, logs: object = None) -> None:
        """Note the epoch."""
        self._epoch = epoch

    def on_train_batch_begin(self, batch: int, logs: object = None) -> None:
        """Make the step that follows the faulty one, if it is."""
        if (self._epoch, batch) != self._when:
            return
        golden = self.model.train_function

        def faulty(iterator: object) -> object:
            self.model.train_function = golden
            with self._fi.attach(), self._fi.injected(*self._faults) as injections:
                self.model.make_train_function()
                logs = self.model.train_function(iterator)
            self.injections = injections
            return logs

        self.model.train_function = faulty

    def on_train_end(self, logs: object = None) -> None:
        """Warn if the training did not have such a step."""
        if not self.injections:
            epoch, step = self._when
            warnings.warn(
                f"epoch {epoch}, step {step}: fit had no such step, and no fault was "
                "injected; both count from 0",
                stacklevel=2,
            )
