# SPDX-License-Identifier: Apache-2.0
"""One row of the journal: an experiment, its fault and what became of it."""

import dataclasses
import hashlib
import struct
from collections.abc import Sequence

from tpufi.experiment.spread import Spread
from tpufi.fault import single_bit
from tpufi.faults.broken_unit import AnyFault, BrokenUnit, unit_text
from tpufi.faults.jsonl import fault_line
from tpufi.site_table import Site
from tpufi.when_text import when_text

_PAIR = struct.Struct("<dd")
_SCORE = struct.Struct("<f")


@dataclasses.dataclass(frozen=True, slots=True)
class FaultColumns:
    """The columns that tell the fault; with the plan, the number alone gives all of it.

    Args:
      model: fault model.
      layer: of the site.
      direction: of the site.
      operand: of the site.
      epoch: of the first faulty step.
      step: first faulty step in that epoch.
      duration: faulty steps.
      replica: faulty replica; -1: all.
      start: flat index of the first faulty element; of a unit among those of its kind.
      count: faulty elements.
      operation: what is done to an element.
      bit: position of the flipped or stuck bit where it is one, 0 the least
        significant, else None.
      fault_digest: first 16 hexadecimal digits of SHA-256 of the fault's line; replay
        compares it, so that a changed sampler is noticed.
      op: type of the site's operation: the class of a layer or optimiser of a workload,
        TensorFlow's name in a program; empty: not told.
      site: name of a site of a program; the broken unit; None:
        `layer/direction/operand`.
      item: number of the input that an inference answers; None in training.
      moment: when it is injected, as `tpufi.when_text` writes it, without its key;
        None: in every step of the duration.
    """

    model: str
    layer: str
    direction: str
    operand: str
    epoch: int
    step: int
    duration: int
    replica: int
    start: int
    count: int
    operation: str
    bit: int | None
    fault_digest: str
    op: str = ""
    site: str | None = None
    item: int | None = None
    moment: str | None = None

    @classmethod
    def of(cls, fault: AnyFault, site: Site, item: int | None = None) -> "FaultColumns":
        """Return the columns of a fault at its site."""
        when = fault.when
        if isinstance(fault, BrokenUnit):
            name, bit = unit_text(fault.fault.unit), fault.bit
            start, count = fault.start, 1
        else:
            name, bit = site.own_name or None, single_bit(fault)
            start, count = fault.elements.start, fault.elements.count
        digest = hashlib.sha256(fault_line(fault).encode()).hexdigest()
        return cls(
            model=fault.model,
            layer=site.layer,
            direction=site.direction,
            operand=site.operand,
            epoch=fault.epoch,
            step=fault.step,
            duration=fault.duration,
            replica=fault.replica,
            start=start,
            count=count,
            operation=fault.operation,
            bit=bit,
            fault_digest=digest[:16],
            op=site.op,
            site=name,
            item=item,
            moment=None
            if when is None
            else when_text(dataclasses.replace(when, key=0)),
        )


@dataclasses.dataclass(frozen=True, slots=True)
class Row:
    """One experiment. The names of the fields are the columns of the table.

    Args:
      experiment: number, 0 <= experiment < 2**63.
      fault: its fault.
      outcome: class, e.g. of `tpufi.outcomes.outcome`.
      steps_run: steps that were trained, the faulty one included.
      diverged_step: steps from the fault to the first state that differs from golden;
        None: none differed.
      reconverged_step: steps from the fault to the first state that is bit-identical to
        golden again; None: none was.
      nonfinite_step: steps from the fault to the first loss that is not finite.
      detection_latency: steps from the fault to its first visible effect.
      state_digest: of the last state.
      losses: what the outcome was decided on, (loss, accuracy) of each step from the
        fault on; empty: not kept.
      test_accuracy: after the last step, 0 to 1; None: the run was not validated, or
        its validation loss is not finite.
      wall_s: seconds the experiment took.
      attempt: 1, or more if it was tried again.
      error: text of the error that ended it; None: it ended by itself.
      injected_steps: steps of these in which the fault was injected into an element;
        None: not told, of journals before version 7 and of a site of an inference.
      spread: how far the fault had spread, if the plan asks for it; a separate table.
      values: what the measures of a campaign of inferences made of its answer, in their
        order; a separate table.
      scores: of each detector of a campaign, in the order of the measures, one for each
        step from the fault on, float32 numbers; a separate table.
    """

    experiment: int
    fault: FaultColumns
    outcome: str
    steps_run: int
    diverged_step: int | None = None
    reconverged_step: int | None = None
    nonfinite_step: int | None = None
    detection_latency: int | None = None
    state_digest: str | None = None
    losses: tuple[tuple[float, float], ...] = ()
    test_accuracy: float | None = None
    wall_s: float = 0.0
    attempt: int = 1
    error: str | None = None
    injected_steps: int | None = None
    spread: tuple[Spread, ...] = ()
    values: tuple[float, ...] = ()
    scores: tuple[tuple[float, ...], ...] = ()


def pack_scores(scores: Sequence[float]) -> bytes:
    """Return scores as little-endian float32, NaN and Inf included."""
    return b"".join(map(_SCORE.pack, scores))


def unpack_scores(blob: bytes) -> tuple[float, ...]:
    """Return the scores that `pack_scores` packed."""
    return tuple(score for (score,) in _SCORE.iter_unpack(blob))


def pack_losses(losses: Sequence[tuple[float, float]]) -> bytes | None:
    """Return the pairs as little-endian float64; SQLite's own numbers have no NaN."""
    return b"".join(_PAIR.pack(*pair) for pair in losses) or None


def unpack_losses(blob: bytes | None) -> tuple[tuple[float, float], ...]:
    """Return the pairs that `pack_losses` packed, bit for bit."""
    return tuple(_PAIR.iter_unpack(blob or b""))
