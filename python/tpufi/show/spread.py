# SPDX-License-Identifier: Apache-2.0
"""One step with and without a fault, compared layer by layer, bitwise."""

import dataclasses
from collections.abc import Mapping

import numpy as np
import tensorflow as tf

from tpufi.descriptor import disarmed
from tpufi.element import element, to_words
from tpufi.errors import InputError
from tpufi.show.observed_step import ObservedStep
from tpufi.show.subject import Subject
from tpufi.site_table import DIRECTIONS, Site, SiteTable
from tpufi.training import state_digest


@dataclasses.dataclass(frozen=True)
class Change:
    """What differs in one tensor, or in several taken together.

    Args:
      elements: all elements, >= 1.
      changed: elements that differ in any bit.
      not_finite: of these, elements that are not finite in the faulty step.
      relative: largest change of an element that is finite in both steps, over the
        largest finite magnitude of the golden tensor; over 1 for one of zeros.
    """

    elements: int
    changed: int
    not_finite: int
    relative: float

    @property
    def share(self) -> float:
        """Share of elements that changed."""
        return self.changed / self.elements

    def __add__(self, other: "Change") -> "Change":
        return Change(
            self.elements + other.elements,
            self.changed + other.changed,
            self.not_finite + other.not_finite,
            max(self.relative, other.relative),
        )


def changes(
    golden: Mapping[str, tf.Tensor], faulty: Mapping[str, tf.Tensor]
) -> dict[str, Change]:
    """Compare tensors of the same names.

    Args:
      golden: tensors of the step without the fault.
      faulty: the same tensors of the step with the fault.

    Returns:
      What differs, by name.
    """
    found = {}
    for name, right in golden.items():
        changed, lost, relative = _measures(right, faulty[name]).numpy().tolist()
        size = right.shape.num_elements()
        found[name] = Change(size, int(changed), int(lost), relative)
    return found


def _measures(golden: tf.Tensor, faulty: tf.Tensor) -> tf.Tensor:
    bits = getattr(tf, f"int{element(golden.dtype.name).bits}")
    differs = tf.not_equal(tf.bitcast(golden, bits), tf.bitcast(faulty, bits))
    known = tf.math.is_finite(golden)
    finite = tf.math.is_finite(faulty)
    right, wrong = tf.cast(golden, tf.float64), tf.cast(faulty, tf.float64)
    nothing = tf.zeros_like(right)
    change = tf.abs(tf.where(known & finite, wrong - right, nothing))
    largest = tf.reduce_max(tf.abs(tf.where(known, right, nothing)))
    # A tensor of zeros has no scale; its change is told as it is.
    scale = tf.where(largest > 0, largest, tf.ones_like(largest))
    lost = differs & ~finite
    count = [tf.reduce_sum(tf.cast(c, tf.float64)) for c in (differs, lost)]
    return tf.stack([*count, tf.reduce_max(change) / scale])


# Operands that are results of a layer: `output`, `bias_output`, ...
_RESULT = "output"


@dataclasses.dataclass(frozen=True, eq=False)
class Spread:
    """How far a fault got in the step it was injected into.

    Args:
      layers: by layer and direction, in the order of computation: forward from the
        first layer to the last, gradients from the last to the first, updates.
      golden: uint64, bits of the faulty elements without the fault.
      faulty: uint64, their bits with it.
      losses: mean loss of the step, golden and faulty.
    """

    layers: dict[tuple[str, str], Change]
    golden: np.ndarray
    faulty: np.ndarray
    losses: tuple[float, float]


def spread(subject: Subject) -> Spread:
    """Run the faulty step with and without the fault and compare all results.

    Both runs are one compiled program. It holds the results of all layers of one
    replica twice: 3 GB for resnet18 with 128 images.

    Args:
      subject: the fault and the step it is injected into.

    Returns:
      The bitwise comparison.

    Raises:
      InputError: the fault was not injected into all that it names, or the step without
        it does
        not end in the golden run's state.
    """
    session = subject.session
    program = session.program
    kept = results(program.table)
    names = {site.name for sites in kept.values() for site in sites}
    step = ObservedStep(
        program.workload,
        program.replicas,
        program.per_replica,
        names | {subject.site.name},
        subject.replica,
        # A compiler takes time for every site.
        armed={subject.site.name} if program.compiled else None,
        compiled=program.compiled,
        device=program.device,
    )
    inputs = session.inputs(subject.number)
    nothing = disarmed(*subject.descriptor.words.shape)
    golden = step(subject.state, inputs, nothing)
    # A compiler rounds the step with its tensors handed out in its own way.
    if not program.compiled and state_digest(golden.state) != subject.after:
        raise InputError(
            f"the step without the fault does not end in the golden run's state after "
            f"step {subject.number}; use the set-up that trained it"
        )
    faulty = step(subject.state, inputs, subject.descriptor, golden)
    injected = sum(row.count for row in faulty.injected)
    if injected != len(subject.positions):
        raise InputError(
            f"{subject.site.name}: {injected} of {len(subject.positions)} elements "
            "were injected: the fault did not become active; choose another one"
        )
    found = changes(golden.tensors, faulty.tensors)
    layers = {
        key: sum((found[site.name] for site in sites[1:]), found[sites[0].name])
        for key, sites in kept.items()
    }
    before, after = (
        to_words(o.tensors[subject.site.name].numpy().reshape(-1))[subject.positions]
        for o in (golden, faulty)
    )
    return Spread(layers, before, after, (golden.loss, faulty.loss))


def results(table: SiteTable) -> dict[tuple[str, str], list[Site]]:
    """Return the result sites by layer and direction, in the order of computation."""
    found: dict[tuple[str, str], list[Site]] = {}
    for site in table:
        if site.operand.endswith(_RESULT):
            found.setdefault((site.layer, site.direction), []).append(site)
    forward, *backward, update = DIRECTIONS
    keys = [key for key in found if key[1] == forward]
    keys += [key for key in reversed(found) if key[1] in backward]
    keys += [key for key in found if key[1] == update]
    return {key: found[key] for key in keys}
