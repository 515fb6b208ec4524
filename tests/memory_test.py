# SPDX-License-Identifier: Apache-2.0
"""The memory of a test's programs comes back."""

import weakref

import pytest
import tensorflow as tf

from tests.memory import compiled_table, release_programs, release_steps
from tests.modes import in_mode
from tests.tiny_workload import TINY, tiny_batch
from tpufi.descriptor import disarmed
from tpufi.training import Program, initial_state


@tf.custom_gradient
def square(x):
    return x * x, lambda dy: 2.0 * x * dy


def slope(x):
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = tf.cond(x > 0.0, lambda: square(x), lambda: x)
    return tape.gradient(y, x)


def exists(table: tf.Tensor) -> bool:
    try:
        tf.raw_ops.DestroyResourceOp(resource=table, ignore_lookup_error=False)
    except tf.errors.NotFoundError:
        return False
    return True


@pytest.mark.parametrize("mode", ["graph", "xla"])
def test_a_program_is_gone_once_nothing_refers_to_it(mode):
    program = in_mode(mode, slope)
    assert float(program(tf.constant(3.0))) == 6.0
    graph = weakref.ref(program.get_concrete_function(tf.constant(3.0)).graph)
    del program
    release_programs()
    assert graph() is None


def test_unused_training_steps_are_gone_and_others_train_on():
    state, (batch, keys) = initial_state(TINY, 1), tiny_batch(1, 2)

    def loss(program, fault):
        return program.step(state, batch, keys, 0.01, fault).loss

    used, unused = Program(TINY, 1, 2), Program(TINY, 1, 2)
    before = loss(used, None)
    assert loss(unused, None) == before
    (traced,) = unused._clean._list_all_concrete_functions()
    graph = weakref.ref(traced.graph)
    del unused, traced
    release_steps()
    assert graph() is None
    assert loss(used, None) == loss(used, disarmed()) == before


def test_a_graph_of_another_program_keeps_its_gradients():
    program = tf.function(square, autograph=False)
    assert float(program(tf.constant(3.0))) == 9.0
    release_steps()
    x = tf.constant(3.0)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = program(x)
    assert float(tape.gradient(y, x)) == 6.0


def test_compiled_programs_are_forgotten_and_compiled_anew():
    program = in_mode("xla", slope)
    assert float(program(tf.constant(3.0))) == 6.0
    assert exists(compiled_table())
    assert not exists(compiled_table())
    assert float(program(tf.constant(4.0))) == 8.0
    release_programs()
    assert not exists(compiled_table())
    assert float(program(tf.constant(5.0))) == 10.0
