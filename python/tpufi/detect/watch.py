# SPDX-License-Identifier: Apache-2.0
"""Detectors within the program of a workload's training step."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tpufi.descriptor import Descriptor
from tpufi.detect.catalogue import name_of
from tpufi.detect.detector import Detector, largest, norm
from tpufi.detect.detectors.exact_replay import ExactReplay
from tpufi.detect.detectors.history_bounds import gradient_bound
from tpufi.detect.signals import LAYERS, REPLICAS, STATISTICS, Change, Network, Signals
from tpufi.detect.workload_network import network_of
from tpufi.errors import InputError
from tpufi.layers.layer import LayerPass, Passes
from tpufi.training import Program, Session, State, StepResult, same_state
from tpufi.training.program import step_inputs
from tpufi.training.sent import with_sent
from tpufi.training.state import Tensors
from tpufi.training.step import Operands, operands_of
from tpufi.training.step_values import ReplicaResult, StepInputs
from tpufi.training.watch import Looked, Watch
from tpufi.units import UnitFault


@dataclasses.dataclass(frozen=True, eq=False)
class DetectorWatch(Watch):
    """Scores each step by detectors.

    Args:
      detectors: by name.
      network: what they look at.
      clip: share of `gradient_bound` that gradients are clipped at before the update;
        None: they are not. Without a gradient beyond it the bits stay.
      compare: whether to note the norms of each replica's gradients in any case.
    """

    detectors: Mapping[str, Detector]
    network: Network
    clip: float | None = None
    compare: bool = False

    def observer(self) -> "LayerScores | None":
        looking = [d for d in self.detectors.values() if LAYERS in d.reads]
        return LayerScores(looking) if looking else None

    def note(
        self, own: ReplicaResult, inputs: StepInputs, observer: "LayerScores | None"
    ) -> Any:
        noted: dict[str, Any] = {}
        if looking := self.observer():
            noted["layers"] = (observer or looking).largest()
        read = {signal for d in self.detectors.values() for signal in d.reads}
        if STATISTICS in read and inputs.images.dtype.is_floating:
            noted["image"] = largest(inputs.images)
        if REPLICAS in read or self.compare:
            noted["norms"] = tf.stack(
                [norm({name: own.gradients[name]}) for name in self.network.weights]
            )
        return noted

    def restricted(self, gradients: Tensors) -> Tensors:
        if self.clip is None:
            return gradients
        bounds = {n: self.clip * gradient_bound(self.network, n) for n in gradients}
        return {n: _clipped(g, bounds[n]) for n, g in gradients.items()}

    def look(self, looked: Looked, memory: Any) -> tuple[tf.Tensor, Any, Any]:
        before, after = looked.before, looked.after
        norms = looked.noted.get("norms", tf.zeros([0, 0]))
        looking = [d for d in self.detectors.values() if LAYERS in d.reads]
        layers = dict(zip(looking, looked.noted.get("layers", ()), strict=True))
        signals = Signals(
            looked.loss,
            looked.gradients,
            Change(before.parameters, after.parameters),
            Change(before.slots, after.slots),
            Change(before.statistics, after.statistics),
            looked.rate,
            tf.reduce_max(looked.noted.get("image", tf.zeros([1]))),
            norms,
            layers,
        )
        scores, kept = [], {}
        for name, found in self.detectors.items():
            score, kept[name] = found.score(signals, memory[name], self.network)
            scores.append(tf.cast(score, tf.float32))
        return tf.stack(scores), kept, norms


class LayerScores:
    """Asks detectors about each layer and keeps their largest answers.

    Args:
      detectors: those that look at layers.
    """

    def __init__(self, detectors: Sequence[Detector]):
        self._found = [(detector, []) for detector in detectors]

    def __call__(self, layer: Passes, passed: LayerPass) -> None:
        """Ask about a layer."""
        for detector, scores in self._found:
            score = detector.observe(layer, passed)
            if score is not None:
                scores.append(tf.cast(score, tf.float32))

    def largest(self) -> tuple[tf.Tensor, ...]:
        """Return the largest answer to each detector; NaN is Inf."""
        return tuple(
            largest(tf.stack([tf.zeros([]), *scores])) for _, scores in self._found
        )


def _clipped(gradient: tf.Tensor, bound: float) -> tf.Tensor:
    """Return a gradient whose elements are within a bound; NaN becomes 0."""
    limit = tf.cast(bound, gradient.dtype)
    known = tf.where(tf.math.is_nan(gradient), tf.zeros_like(gradient), gradient)
    return tf.clip_by_value(known, -limit, limit)


@dataclasses.dataclass(frozen=True, eq=False)
class WatchedStep:
    """A step and what detectors made of it.

    Args:
      result: what the step returned; its bits are those of an unwatched one.
      scores: of each detector, by name.
      memory: what the detectors remember; the next step takes it.
      norms: float32 [replicas, weights], see `Signals`; empty if no detector reads it.
    """

    result: StepResult
    scores: Mapping[str, float]
    memory: Any
    norms: np.ndarray


class WatchedSession:
    """Runs the steps of a session under the eyes of detectors.

    There is a watched form of the clean and of the armed step; each is traced when it
    is first needed. The session's own programs stay as they are.

    Args:
      session: of a golden run.
      detectors: by name, or a sequence that is named as the catalogue does.
      clip: see `DetectorWatch`.
      compare: see there.

    Attributes:
      session: the session.
      detectors: by name.
      network: what they look at.

    Raises:
      InputError: there is no detector, two have one name, or each replica of the
        session has a separate device.
    """

    def __init__(
        self,
        session: Session,
        detectors: Mapping[str, Detector] | tuple[Detector, ...] | list[Detector],
        clip: float | None = None,
        compare: bool = False,
    ):
        program = session.program
        if not isinstance(program, Program):
            raise InputError(
                "detectors watch replicas that share a device; train with --strategy "
                "virtual"
            )
        self.session = session
        self.detectors = named(detectors)
        self.network = network_of(
            program.workload, program.replicas, program.per_replica
        )
        self._watch = DetectorWatch(self.detectors, self.network, clip, compare)
        options = {"jit_compile": program.compiled, "autograph": False}
        self._clean = tf.function(self._clean_step, **options)
        self._armed = tf.function(self._armed_step, **options)

    def memory(self) -> Any:
        """Return what the detectors remember before the first step."""
        return {
            name: found.memory(self.network) for name, found in self.detectors.items()
        }

    def step(
        self,
        state: State,
        number: int,
        memory: Any,
        fault: Descriptor | UnitFault | None = None,
        again: Descriptor | UnitFault | None = None,
    ) -> WatchedStep:
        """Run a training step.

        Args:
          state: the state before it.
          number: steps since the start of training, from 0.
          memory: what the detectors remember.
          fault: what to inject, in the armed program; None: the clean one runs.
          again: what to inject if `ExactReplay` has the step done again; under XLA a
            clean step may have other bits than an armed one.
        """
        program, given = self.session.program, self.session.inputs(number)
        with program.running():
            inputs = step_inputs(*given)
            state = with_sent(state, fault, number, program.replicas)
            if fault is None:
                found, told = self._clean(state, inputs, memory)
            else:
                operands = operands_of(fault, number, program.training_step, state)
                found, told = self._armed(state, inputs, operands, memory)
        scores, kept, norms = told
        result = StepResult.of(found, given[0], fault)
        named_scores = dict(zip(self.detectors, scores.numpy().tolist(), strict=True))
        for name, replay in self.detectors.items():
            if isinstance(replay, ExactReplay) and replay.due(number):
                replayed = self.session.step(state, number, again)
                named_scores[name] = float(not same_state(replayed.state, result.state))
        return WatchedStep(result, named_scores, kept, norms.numpy())

    def alarms(self, scores: Mapping[str, float]) -> tuple[str, ...]:
        """Return the names of the detectors that raise an alarm."""
        return tuple(n for n, d in self.detectors.items() if d.alarms(scores[n]))

    def _clean_step(self, state: State, inputs, memory: Any) -> tuple:
        step = self.session.program.training_step
        return step.watched(state, inputs, None, self._watch, memory)

    def _armed_step(self, state: State, inputs, fault: Operands, memory: Any) -> tuple:
        step = self.session.program.training_step
        return step.watched(state, inputs, fault, self._watch, memory)


def named(
    detectors: Mapping[str, Detector] | tuple[Detector, ...] | list[Detector],
) -> dict[str, Detector]:
    """Return detectors by name.

    Raises:
      InputError: there is none, or two have one name.
    """
    if isinstance(detectors, Mapping):
        found = dict(detectors)
    else:
        found = {name_of(d): d for d in detectors}
        if len(found) < len(detectors):
            raise InputError(
                "detectors: two have one name; give a mapping with names of your own"
            )
    if not found:
        raise InputError("detectors: there is none; name one of tpufi.detect.DETECTORS")
    return found
