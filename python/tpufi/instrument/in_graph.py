# SPDX-License-Identifier: Apache-2.0
"""Faults for an instrumented program that is called inside somebody's `tf.function`.

That graph is traced once and cannot be given a descriptor by each call, so it reads the
descriptor from variables and adds its record to another one. They are made before any
graph, which would be traced twice if it made them.
"""

import contextlib
from collections.abc import Callable, Iterator

import tensorflow as tf

from tpufi.descriptor import CAPACITY, disarmed
from tpufi.errors import InputError
from tpufi.instrument.armed_program import ArmedProgram
from tpufi.instrument.site_fault import descriptor_of
from tpufi.instrument.strike import Strike, strikes_of

ROWS = 8


class GraphCell:
    """The variables through which graphs are told their faults."""

    def __init__(self) -> None:
        nothing = disarmed(ROWS)
        self._variables = (
            tf.Variable(nothing.faults, trainable=False, name="tpufi_faults"),
            tf.Variable(nothing.words, trainable=False, name="tpufi_words"),
            tf.Variable(
                tf.zeros((ROWS, 1 + CAPACITY, 4)), trainable=False, name="tpufi_record"
            ),
        )
        self._used = False
        self._rows: Callable[[], tuple] | None = None

    @property
    def used(self) -> bool:
        """Whether any graph reads the variables."""
        return self._used

    def call(self, armed: ArmedProgram, args: tuple, kwargs: dict):
        """Add the armed program to the graph that is being built."""
        if not self._used:
            self._used = True
            if self._rows is not None:
                with tf.init_scope():
                    self._arm()
        faults, words, record = self._variables
        replica = tf.distribute.get_replica_context()
        number = 0 if replica is None else replica.replica_id_in_sync_group
        outputs, struck = armed(
            args,
            kwargs,
            tf.cast(number, tf.int64),
            faults.read_value(),
            words.read_value(),
        )
        done = record.assign_add(struck)
        with tf.control_dependencies([done]):
            return tf.nest.map_structure(_after, outputs)

    @contextlib.contextmanager
    def holding(
        self, rows: Callable[[], tuple]
    ) -> Iterator[Callable[[], list[Strike]]]:
        """Keep faults in the variables within a `with` block.

        Args:
          rows: tells the rows and the sites by id; asked when there is a graph.

        Yields:
          What tells the strikes of all graphs so far.
        """
        self._rows = rows
        try:
            if self._used:
                self._arm()
            yield self._strikes
        finally:
            self._rows = None
            if self._used:
                _assign(self._variables, disarmed(ROWS))

    def _arm(self) -> None:
        rows, _ = self._rows()
        descriptor = descriptor_of(rows)
        if len(descriptor.faults) > ROWS or descriptor.words.shape[1] > CAPACITY:
            raise InputError(
                f"{len(rows)} rows of up to {descriptor.words.shape[1]} elements; a "
                f"call inside a tf.function takes {ROWS} runs of {CAPACITY} elements; "
                "call it eagerly or strike fewer"
            )
        full = disarmed(ROWS)
        full.faults[: len(descriptor.faults)] = descriptor.faults
        full.words[: len(descriptor.words)] = descriptor.words
        _assign(self._variables, full)

    def _strikes(self) -> list[Strike]:
        if not self._used:
            return []
        rows, sites = self._rows()
        return list(strikes_of(rows, sites, self._variables[2].numpy()))


def _assign(variables: tuple[tf.Variable, ...], descriptor) -> None:
    faults, words, record = variables
    faults.assign(descriptor.faults)
    words.assign(descriptor.words)
    record.assign(tf.zeros_like(record))


def _after(value):
    return tf.identity(value) if tf.is_tensor(value) else value
