# SPDX-License-Identifier: Apache-2.0
"""TensorFI2's `inject`: one fault set in a model's weights or layer outputs."""

import contextlib
import logging
import os
from collections.abc import Mapping

import numpy as np
import tensorflow as tf

from tpufi.contrib.tensorfi.config import read_config
from tpufi.contrib.tensorfi.layer_plan import LayerPlan, layer_config
from tpufi.errors import InputError
from tpufi.instrument.instrumented import Instrumented
from tpufi.instrument.options import Options
from tpufi.instrument.planned import PlannedRuns
from tpufi.instrument.programs import as_callable


class inject:  # noqa: N801 - TensorFI2's name; making one performs the injection.
    """Inject into a model as TensorFI2's configuration says.

    `layer_states` changes the model's weights until `restore()`, or until the `with`
    block ends in which this is used. `layer_outputs` runs the model once on `x_test`.
    Any model will do, not only sequential ones.

    Args:
      model: anything that `tpufi.instrument` takes.
      confFile: YAML file, or a mapping with the same keys.
      log_level: level of the logger `tpufi.instrument`.
      x_test: a batch for the model; it is needed, to know the graph.
      run: number of the injection; another one has other places.
      legacy: overrides the file's own `legacy`.

    Attributes:
      outputs: what the model returned for `x_test`.
      labels: arg-max over the last axis of the outputs, if they are one tensor.
      records: what was injected: `InjectionRecord`s, or `Corruption`s for weights.

    Raises:
      InputError: the configuration is wrong, or does not fit the model.
    """

    def __init__(
        self,
        model: object,
        confFile: str | os.PathLike | Mapping,
        log_level: str | int = "ERROR",
        *,
        x_test: object = None,
        run: int = 0,
        legacy: bool | None = None,
    ):
        if x_test is None:
            raise InputError("x_test: give a batch for the model")
        logging.getLogger("tpufi.instrument").setLevel(log_level)
        config = layer_config(read_config(confFile), legacy)
        plan = LayerPlan(config)
        fi = Instrumented(
            as_callable(model), plan.choose, PlannedRuns(plan), None,
            Options("straight_through"), 1,
        )  # fmt: skip
        self._undo = contextlib.ExitStack()
        if config.target == "layer_outputs":
            injected = fi.planned
            injected.next = run
            result = injected.run(fi, (x_test,), {})
            self.outputs, self.records = result.outputs, result.injections
        else:
            fi.armed(x_test)
            faults = plan.weight_faults(run, fi.variables)
            self.records = tuple(self._undo.enter_context(fi.corrupted(*faults)))
            self.outputs = fi(x_test)
        self.labels = None
        if tf.is_tensor(self.outputs) and self.outputs.shape.rank:
            self.labels = np.argmax(self.outputs.numpy(), -1)

    def restore(self) -> None:
        """Give the weights back as they were; may be called again."""
        self._undo.close()

    def __enter__(self) -> "inject":
        return self

    def __exit__(self, *error: object) -> None:
        self.restore()
