# SPDX-License-Identifier: Apache-2.0
"""A stale link: the sum of gradients against numpy, blocks, and what begins a run."""

import functools
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tests.campaign_runs import CONFIG, known_workload
from tests.modes import assert_same_bits
from tests.tiny_workload import TINY, tiny_batch
from tpufi.errors import InputError
from tpufi.layers.unit_context import UnitOperands
from tpufi.training import Program, Session, state_digest
from tpufi.training.blocks import Blocks
from tpufi.training.program import step_inputs
from tpufi.training.sent import with_sent
from tpufi.training.state import State, initial_state
from tpufi.training.step import operands_of
from tpufi.training.step_values import ReplicaResult, StepInputs
from tpufi.training.watch import Looked, Watch
from tpufi.units import Link, UnitFault
from tpufi.when import ALWAYS, When

REPLICAS, IMAGES, STEPS = 2, 4, 6
RATE = 0.001
CHUNK, CHUNKS = 2, 5
LINK = Link("stale", CHUNK, CHUNKS)


class Gradients(Watch):
    """Tells the sum of gradients, and what each replica adds to it."""

    def observer(self) -> None:
        return None

    def note(self, own: ReplicaResult, inputs: StepInputs, observer: None) -> Any:
        return own.gradients

    def restricted(self, gradients: dict) -> dict:
        return gradients

    def look(self, looked: Looked, memory: Any) -> Any:
        return looked.gradients, looked.noted


@functools.cache
def program() -> Program:
    return Program(TINY, REPLICAS, IMAGES)


@functools.cache
def watched():
    step = program().training_step

    def run(state: State, inputs, fault) -> tuple:
        return step.watched(state, inputs, fault, Gradients(), ())

    return tf.function(run, autograph=False)


def seen(state: State, number: int, fault: UnitFault | None) -> tuple:
    """Return the state after a step, the sum of gradients and those of each replica."""
    own = program()
    batch, keys = tiny_batch(REPLICAS, IMAGES, number)
    with own.running():
        inputs = step_inputs(batch, keys, RATE)
        operands = operands_of(fault, number, own.training_step, state)
        state = with_sent(state, fault, number, REPLICAS)
        found, (total, noted) = watched()(state, inputs, operands)
    total = {name: x.numpy() for name, x in total.items()}
    return found.state, total, {name: x.numpy() for name, x in noted.items()}


def handed_on(now: dict, before: dict) -> dict:
    """Return a message with a chunk of the message before it; numpy alone."""
    names = sorted(now)
    flat, old = (
        np.concatenate([message[name].ravel() for name in names])
        for message in (now, before)
    )
    chunk = slice(flat.size * CHUNK // CHUNKS, flat.size * (CHUNK + 1) // CHUNKS)
    flat[chunk] = old[chunk]
    ends = np.cumsum([now[name].size for name in names])[:-1]
    parts = np.split(flat, ends)
    return {n: part.reshape(now[n].shape) for n, part in zip(names, parts, strict=True)}


@pytest.mark.parametrize(
    ("replica", "when"),
    [
        (1, ALWAYS),
        (-1, When(every=2)),
        (-1, When(rate=0.5, key=3)),
        (0, When(steps=((1, 2), (4, 4)))),
    ],
    ids=["always", "every", "rate", "windows"],
)
def test_the_sum_has_a_chunk_of_what_the_replica_computed_one_step_earlier(
    replica, when
):
    """The messages are those of the clean program, the sum is numpy's.

    A link that was stale in the step before changes nothing of what the replica then
    computed: what arrives is always one step old.
    """
    first, sites = 1, len(program().table)
    fault = UnitFault(LINK, "zero", replica=replica, when=when, first=first)
    state, before, stale = initial_state(TINY, 0), None, 0
    for number in range(STEPS):
        _, _, clean = seen(state, number, None)
        own = [{name: x[r] for name, x in clean.items()} for r in range(REPLICAS)]
        arrived = []
        for r in range(REPLICAS):
            named = replica in (r, -1)
            broken = named and when.injects(number, r, sites, first)
            arrived.append(handed_on(own[r], before[r]) if broken else own[r])
            stale += broken
        state, total, noted = seen(state, number, fault)
        for name, found in total.items():
            expected = np.zeros_like(found)
            for r in range(REPLICAS):
                assert_same_bits(noted[name][r], arrived[r][name])
                assert_same_bits(state.sent[name][r].numpy(), own[r][name])
                expected = expected + arrived[r][name]
            assert_same_bits(found, expected)
        before = own
    assert 1 < stale < 2 * STEPS


def test_the_program_and_its_watched_form_have_one_result():
    fault = UnitFault(LINK, "zero", replica=1, first=1)
    states = [initial_state(TINY, 0)] * 2
    size = sum(x.shape.num_elements() for x in states[0].parameters.values())
    for number in range(3):
        batch, keys = tiny_batch(REPLICAS, IMAGES, number)
        found = program().step(states[0], batch, keys, RATE, fault, number)
        states = [found.state, seen(states[1], number, fault)[0]]
        passed, changed = found.record.tolist()
        chunk = size * (CHUNK + 1) // CHUNKS - size * CHUNK // CHUNKS
        assert passed == (chunk if number else 0) and changed <= passed
        for one, other in zip(*map(tf.nest.flatten, states), strict=True):
            assert_same_bits(one.numpy(), other.numpy())


def test_only_the_program_of_a_stale_link_carries_messages():
    state, (batch, keys) = initial_state(TINY, 0), tiny_batch(REPLICAS, IMAGES)
    given = batch, keys, RATE
    after = program().step(state, *given, UnitFault(LINK, "zero").whole, 0).state
    assert after.sent.keys() == state.parameters.keys()
    plain = program().step(state, *given).state
    assert plain.sent == () and state_digest(plain) == state_digest(after)
    traces = program().traces
    twice = UnitFault(Link("twice"), "zero").whole
    for fault in (None, twice):
        assert program().step(after, *given, fault, 1).state.sent == ()
        assert program().step(state, *given, fault, 1).state.sent == ()
    assert program().traces == traces + 1  # That of the other link.
    operands = UnitOperands.of(twice, "float32", 0)
    assert operands.key == ("Link", "twice", 0, 1)
    program().evaluate(after, batch)


@pytest.fixture(scope="module")
def session() -> Session:
    known_workload()
    return CONFIG.session()


@pytest.mark.parametrize(
    "when", [ALWAYS, When(rate=0.5, key=5)], ids=["always", "rate"]
)
def test_a_block_of_steps_has_the_bits_of_single_ones(session, when):
    blocks = Blocks(session, 4)
    fault = UnitFault(LINK, "zero", replica=1, when=when, first=1)
    begin = state = session.step(session.initial_state(), 0, fault.whole).state
    single = []
    for number in range(1, 9):
        single.append(session.step(state, number, fault))
        state = single[-1].state
    found = [blocks.run(begin, 1, 4, 0, fault)]
    found.append(blocks.run(found[0].state, 5, 4, 0, fault))
    for one, other in zip(*map(tf.nest.flatten, (found[1].state, state)), strict=True):
        assert_same_bits(one.numpy(), other.numpy())
    records = [record.tolist() for block in found for record in block.records]
    assert records == [result.record.tolist() for result in single]
    assert [x for b in found for x in b.losses] == [result.loss for result in single]
    # The steps after it are clean, and tell nothing of messages.
    assert blocks.run(state, 9, 2).state.sent == ()


def test_a_stale_link_without_a_step_before_is_one_clear_line():
    state, (batch, keys) = initial_state(TINY, 0), tiny_batch(REPLICAS, IMAGES)
    with pytest.raises(InputError, match="step 3: a stale link hands on .* `whole`"):
        program().step(state, batch, keys, RATE, UnitFault(LINK, "zero"), 3)


@pytest.mark.slow
def test_a_compiled_step_hands_on_the_message_that_it_was_given():
    """XLA may add otherwise than numpy, so a message is given that tells itself."""
    compiled = Program(TINY, REPLICAS, IMAGES, compiled=True)
    batch, keys = tiny_batch(REPLICAS, IMAGES)
    fault = UnitFault(LINK, "zero", first=1)
    begin = compiled.step(initial_state(TINY, 0), batch, keys, RATE, fault, 0).state
    now = compiled.step(begin, batch, keys, RATE, fault.whole, 1).state.sent
    same = compiled.step(begin._replace(sent=now), batch, keys, RATE, fault, 1)
    whole = compiled.step(begin, batch, keys, RATE, fault.whole, 1)
    # A message that is today's own changes nothing, another one does.
    assert same.record[0] > 0 and same.record[1] == 0
    assert state_digest(same.state) == state_digest(whole.state)
    found = compiled.step(begin, batch, keys, RATE, fault, 1)
    assert found.record[1] > 0
    assert state_digest(found.state) != state_digest(whole.state)
    again = compiled.step(begin, batch, keys, RATE, fault, 1)
    assert state_digest(found.state) == state_digest(again.state)
