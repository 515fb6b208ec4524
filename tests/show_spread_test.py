# SPDX-License-Identifier: Apache-2.0
"""The spread of a fault through one step is what numpy says it is."""

import numpy as np
import pytest
import tensorflow as tf

from tests.drawn_examples import drawn_examples
from tests.small_decoder import SMALL_DECODER
from tests.tiny_workload import TINY, tiny_batch
from tpufi.data.batches import Batch
from tpufi.descriptor import disarmed, replacing
from tpufi.element import to_words
from tpufi.layers import Dense, ReLU, Sequence
from tpufi.models import WORKLOADS
from tpufi.optimizers import SGD, LinearDecay
from tpufi.show.observed_step import ObservedStep
from tpufi.show.spread import Change, changes, results
from tpufi.show.tapped_sites import TappedContext
from tpufi.training import Program, initial_state, same_state
from tpufi.training.step import TrainingStep
from tpufi.training.step_values import StepInputs
from tpufi.workload import Workload

TWO_LAYERS = Workload(
    name="two_layers",
    model=Sequence((Dense("first", 6), ReLU("relu"), Dense("second", 4))),
    optimizer=SGD(),
    schedule=LinearDecay(final=0.25, steps=10),
    learning_rate=0.25,
    input_shape=(5,),
    classes=4,
)
IMAGES, REPLICAS = 3, 2
KEYS = np.zeros((REPLICAS, 2), np.uint32)


def plain_step(x, labels, first, second, inject=lambda hidden: hidden):
    """Forward and backward pass of all replicas' images in float64."""
    hidden = inject(x @ first)
    active = np.maximum(hidden, 0)
    logits = active @ second
    powers = np.exp(logits - logits.max(-1, keepdims=True))
    dlogits = (powers / powers.sum(-1, keepdims=True) - np.eye(4)[labels]) / len(x)
    dactive = dlogits @ second.T
    dhidden = np.where(active > 0, dactive, 0)
    return {
        "first/forward": hidden,
        "relu/forward": active,
        "second/forward": logits,
        "second/grad_in": dactive,
        "relu/grad_in": dhidden,
        "first/grad_in": dhidden @ first.T,
        "second/grad_wt": (active[:, :, None] * dlogits[:, None]),
        "first/grad_wt": (x[:, :, None] * dhidden[:, None]),
    }


@pytest.mark.parametrize("value", [7.0, 1e30, np.inf])
def test_shares_and_changes_are_those_of_numpy(value):
    rng = np.random.default_rng(5)
    # Small whole numbers: products and sums are exact in any order.
    x = rng.integers(1, 4, (REPLICAS, IMAGES, 5)).astype(np.float64)
    labels = rng.integers(0, 4, (REPLICAS, IMAGES))
    weights = {
        "first/kernel": rng.integers(-2, 3, (5, 6)).astype(np.float64),
        "second/kernel": rng.integers(-2, 3, (6, 4)) / 8,
    }
    replica, image, unit = 1, 2, 3
    weights["second/kernel"][unit] = [0.5, 0, -0.25, 0]
    weights["first/kernel"][:, unit] = 1  # The faulty unit is active.

    state = initial_state(TWO_LAYERS, 0)._replace(
        parameters={n: tf.constant(w, tf.float32) for n, w in weights.items()}
    )
    table = TWO_LAYERS.sites(IMAGES)
    names = {site.name for sites in results(table).values() for site in sites}
    step = ObservedStep(TWO_LAYERS, REPLICAS, IMAGES, names, replica)
    inputs = (Batch(x.astype(np.float32), labels.astype(np.int32), None), KEYS, 0.25)
    word = to_words(np.array([value], np.float32))
    fault = replacing(
        table.id_of("first/forward/output"), replica, np.array([image * 6 + unit]), word
    )
    golden = step(state, inputs, disarmed())
    faulty = step(state, inputs, fault, golden)
    found = changes(golden.tensors, faulty.tensors)

    def inject(hidden):
        faulty = hidden.copy()
        faulty[replica * IMAGES + image, unit] = value
        return faulty

    flat = x.reshape(-1, 5), labels.reshape(-1), *weights.values()
    with np.errstate(invalid="ignore", over="ignore"):
        right = plain_step(*flat)
        wrong = plain_step(*flat, inject=inject)
    here = slice(replica * IMAGES, (replica + 1) * IMAGES)
    for name, before in right.items():
        before, after = before[here], wrong[name][here]
        if name.endswith("grad_wt"):
            before, after = before.sum(0), after.sum(0)
        after = after.astype(np.float32).astype(np.float64)
        # Inf and NaN are not equal to what was there; the same number is.
        changed = ~(np.isclose(before, after, 1e-6, 1e-12))
        finite = np.isfinite(after)
        largest = abs(before).max()
        moved = abs(after - before)[finite & changed].max(initial=0)
        change = found[f"{name}/output"]
        assert change.elements == before.size
        assert change.changed == changed.sum(), name
        assert change.not_finite == (~finite).sum(), name
        assert change.relative == pytest.approx(moved / largest, rel=1e-4), name
    update = found["first/kernel/update/output"]
    assert update.changed == found["first/grad_wt/output"].changed


def test_changes_are_counted_by_bits():
    golden = np.array([0.0, 2.0, np.nan, np.inf, -4.0, 1.0], np.float32)
    faulty = np.array([-0.0, 2.0, np.nan, 3.0, -np.inf, 0.5], np.float32)
    faulty.view(np.uint32)[2] ^= 1  # Another NaN.
    found = changes({"x": tf.constant(golden)}, {"x": tf.constant(faulty)})["x"]
    # The largest finite golden value is 4, and only 1.0 -> 0.5 is finite in both.
    assert found == Change(6, 5, 2, 0.125)
    same = changes({"x": tf.constant(golden)}, {"x": tf.constant(golden)})["x"]
    assert same == Change(6, 0, 0, 0.0)
    zeros = tf.zeros([3], tf.bfloat16)
    found = changes({"x": zeros}, {"x": zeros + tf.constant([0, 3, 0], tf.bfloat16)})
    assert found["x"] == Change(3, 1, 0, 3.0)


def test_changes_of_several_tensors_add_up():
    assert Change(4, 1, 1, 0.5) + Change(6, 4, 0, 2.0) == Change(10, 5, 1, 2.0)
    assert (Change(4, 1, 1, 0.5) + Change(6, 4, 0, 2.0)).share == 0.5


@pytest.mark.slow
@pytest.mark.parametrize(
    ("workload", "faulty_site"),
    [
        (TINY, "block_conv1/grad_in/input"),
        (TINY, "conv1/forward/weight"),
        (TINY, "fc/kernel/update/gradient"),
        (SMALL_DECODER, "loss/forward/input"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_observed_step_is_the_step_of_the_program_by_bits(workload, faulty_site):
    replicas, per_replica, replica = 2, 2, 0 if "update" in faulty_site else 1
    program = Program(workload, replicas, per_replica)
    table = program.table
    site_id = _site(table, faulty_site)
    site = table[site_id]
    state = initial_state(workload, 3)
    inputs = _inputs(workload, replicas, per_replica)
    names = {s.name for sites in results(table).values() for s in sites} | {site.name}
    step = ObservedStep(workload, replicas, per_replica, names, replica)
    golden = step(state, inputs, disarmed())
    assert set(golden.tensors) == names
    assert same_state(golden.state, program.step(state, *inputs).state)
    place = _stored(golden.tensors[site.name].numpy())
    fault = replacing(site_id, replica, np.array([place]), np.array([0x7F000000]))
    faulty = step(state, inputs, fault, golden)
    result = program.step(state, *inputs, fault)
    assert same_state(faulty.state, result.state)
    assert faulty.loss == result.loss or np.isnan(result.loss)
    # What is seen of the faulty site is what the program reports of it.
    (row,) = faulty.injected
    words = to_words(golden.tensors[site.name].numpy().reshape(-1))
    assert (row.count, row.golden.tolist()) == (1, [words[place]])
    words = to_words(faulty.tensors[site.name].numpy().reshape(-1))
    assert words[place] == 0x7F000000


def test_results_stand_in_the_order_of_computation():
    assert list(results(TWO_LAYERS.sites(1)))[:7] == [
        ("first", "forward"), ("relu", "forward"), ("second", "forward"),
        ("loss", "forward"), ("loss", "grad_in"), ("second", "grad_wt"),
        ("second", "grad_in"),
    ]  # fmt: skip


def _site(table, name: str) -> int:
    """Return a site by its name, or by the end of it."""
    (found,) = [i for i, s in enumerate(table) if s.name.endswith(name)][:1]
    return found


def _stored(values: np.ndarray) -> int:
    """Return the place of an element that is not an inserted zero."""
    return int(np.flatnonzero(values.reshape(-1))[0])


def _inputs(workload, replicas, per_replica):
    batch, keys = tiny_batch(replicas, per_replica)
    if workload is SMALL_DECODER:
        rng = np.random.default_rng(1)
        tokens = rng.integers(0, 256, (replicas, per_replica, 6)).astype(np.int32)
        batch = batch._replace(images=tokens, labels=tokens[..., ::-1].copy())
    return batch, keys, 0.001


@pytest.mark.slow
@pytest.mark.parametrize("name", WORKLOADS)
def test_every_result_of_every_workload_can_be_seen(name):
    workload = WORKLOADS[name]
    table = workload.sites(1)
    names = {s.name for sites in results(table).values() for s in sites}
    context, state = [], initial_state(workload, 0)

    def traced(images, labels, key, faults, words):
        first = tf.zeros([], tf.int64)
        context.append(
            TappedContext(table, first, faults, words, seen=frozenset(names))
        )
        step, rate = TrainingStep(workload, 1, 1), tf.constant(0.1)
        part = step.passes(state, StepInputs(images, labels, key, rate), context[0])
        step.update(state, part, rate, context[0])
        return part.loss

    fault = disarmed()
    examples, labels = drawn_examples(workload, np.random.default_rng(1), (1,))
    tf.function(traced, autograph=False).get_concrete_function(
        tf.TensorSpec(examples.shape, workload.input_dtype),
        tf.TensorSpec(labels.shape, tf.int32),
        tf.TensorSpec([2], tf.uint32),
        tf.TensorSpec(fault.faults.shape, tf.int64),
        tf.TensorSpec(fault.words.shape, tf.uint64),
    )
    assert set(context[0].tensors) == names
