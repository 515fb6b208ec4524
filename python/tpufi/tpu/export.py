# SPDX-License-Identifier: Apache-2.0
"""The training step of one chip, exported as an HLO module.

It is the step that `TPUStrategy` runs on each chip (`TrainingStep.on_device`): state,
batch, learning rate, number of the replica and fault are arguments, the new state and
what the step reports are results.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import tensorflow as tf

from tpufi.descriptor import Descriptor
from tpufi.detect.detector import Detector
from tpufi.detect.watch import DetectorWatch
from tpufi.detect.workload_network import network_of
from tpufi.tpu.shared_parts import share_parts
from tpufi.training.chips import sum_over_chips
from tpufi.training.determinism import exact_arithmetic
from tpufi.training.sent import is_stale
from tpufi.training.state import State, initial_state
from tpufi.training.step import TrainingStep, operands_of
from tpufi.training.step_values import StepInputs, StepOutputs
from tpufi.units import UnitFault
from tpufi.workload import Workload

_SEED = 0  # Values do not matter, only shapes.


def export_step(
    workload: Workload,
    per_replica: int,
    replicas: int = 1,
    *,
    fault: Descriptor | UnitFault | None,
    sites: Iterable[str] | None = None,
) -> bytes:
    """Return the step as a serialised HloModuleProto.

    Args:
      workload: what is trained.
      per_replica: examples of the replica, >= 1.
      replicas: how many chips run the program together, >= 1.
      fault: one that the program can take; None: it is the clean one.
      sites: names of the sites of an armed program; None: all.
    """
    names = None if sites is None else frozenset(sites)
    training_step = TrainingStep(workload, replicas, per_replica, True, names)
    state = initial_state(workload, _SEED)
    if is_stale(fault):
        state = state._replace(
            sent=tf.nest.map_structure(tf.zeros_like, state.parameters)
        )
    operands = operands_of(fault, 0, training_step, state) or ()
    given = [x for x in operands if tf.is_tensor(x)]

    def step(
        state: State, inputs: StepInputs, replica: tf.Tensor, *given: tf.Tensor
    ) -> StepOutputs:
        fields = iter(given)
        taken = (next(fields) if tf.is_tensor(x) else x for x in operands)
        return training_step.on_device(
            state,
            inputs,
            replica,
            type(operands)(*taken) if given else None,
            lambda own: sum_over_chips(own, replicas),
        )

    return _module(step, state, _inputs(workload, per_replica), *given)


def export_watched_step(
    workload: Workload,
    per_replica: int,
    replicas: int = 1,
    *,
    detectors: Mapping[str, Detector],
) -> bytes:
    """Return the clean step under detectors as a serialised HloModuleProto.

    What the detectors remember is one more argument and one more result, the scores are
    results.

    Args:
      workload: what is trained.
      per_replica: examples of the replica, >= 1.
      replicas: how many chips run the program together, >= 1.
      detectors: by name.
    """
    training_step = TrainingStep(workload, replicas, per_replica, True)
    network = network_of(workload, replicas, per_replica)
    watch = DetectorWatch(detectors, network)
    memory = {name: found.memory(network) for name, found in detectors.items()}

    def step(
        state: State, inputs: StepInputs, replica: tf.Tensor, *kept: tf.Tensor
    ) -> tuple:
        known = tf.nest.pack_sequence_as(memory, kept)
        return training_step.watched_on_device(
            state,
            inputs,
            replica,
            watch,
            known,
            lambda own: sum_over_chips(own, replicas),
        )

    given = map(tf.convert_to_tensor, tf.nest.flatten(memory))
    state = initial_state(workload, _SEED)
    return _module(step, state, _inputs(workload, per_replica), *given)


def _inputs(workload: Workload, per_replica: int) -> StepInputs:
    """Return inputs of one replica."""
    outputs = workload.model.output_shape(workload.input_shape)[:-1]
    return StepInputs(
        tf.zeros((per_replica, *workload.input_shape), workload.input_dtype),
        tf.zeros((per_replica, *outputs), tf.int32),
        tf.zeros([2], tf.uint32),
        tf.constant(workload.learning_rate, tf.float32),
    )


def _module(
    step: Callable[..., Any], state: State, inputs: StepInputs, *given: tf.Tensor
) -> bytes:
    """Return the step of the first replica as a serialised HloModuleProto."""
    arguments = state, inputs, tf.constant(0, tf.int64), *given
    compiled = tf.function(step, jit_compile=True, autograph=False)
    device = tf.zeros(
        []
    ).device  # TensorFlow itself would ask a random op, with a seed.
    with exact_arithmetic():
        ir = compiled.experimental_get_compiler_ir(*arguments)
        module = ir("hlo_serialized", device_name=device)
    return share_parts(module)
