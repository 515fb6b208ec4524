# SPDX-License-Identifier: Apache-2.0
"""Variables of artefact-like checkpoints find our weights, or are refused."""

import re

import numpy as np
import pytest
import tensorflow as tf

from tests.artefact_models import MODELS, Adam, Part, Weights, resnet18_logits
from tests.artefact_small import SMALL, small_parts, write
from tests.modes import assert_same_bits
from tpufi.contrib.isca23.checkpoint import (
    by_order,
    imported_state,
    read_checkpoint,
    updates_of,
)
from tpufi.errors import InputError
from tpufi.layers import Run
from tpufi.models import workload
from tpufi.optimizers import SGD
from tpufi.workload import Workload

PLAIN = Part(kernel=tf.Variable(tf.zeros([3, 3, 4, 4])))


def refused(root: tf.Module, tmp_path, message: str, work: Workload = SMALL) -> None:
    checkpoint = read_checkpoint(write(root, tmp_path / "epoch_0"))
    with pytest.raises(InputError, match=message) as error:
        by_order(checkpoint, work)
    assert "--mapping" in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("name", MODELS)
def test_every_weight_of_the_artefacts_models_is_found_by_order(name, tmp_path):
    w = Weights()
    checkpoint = read_checkpoint(write(MODELS[name](w), tmp_path / "epoch_3"))
    work = workload(name)
    assignment = by_order(checkpoint, work)
    ours = [weight.name for weight in (*work.parameters, *work.statistics)]
    assert assignment.keys() == set(ours) == w.values.keys()
    for ours, variable in assignment.items():
        assert_same_bits(checkpoint.value(variable.path), w.values[ours])
    optimizer = "no slots" if isinstance(work.optimizer, SGD) else "slots are zero"
    state, note = imported_state(checkpoint, assignment, work, 5)
    assert optimizer in note and int(state.updates) == 5
    assert not any(np.any(slot) for slot in state.slots.values())


def test_the_imported_resnet_computes_what_the_artefact_like_one_does(tmp_path):
    w = Weights(1)
    root, work = MODELS["resnet18"](w), workload("resnet18")
    trained = [v for v in root.trainable_variables if "moving" not in v.name]
    root.optimizer = Adam(trained, iterations=98)
    root.generator = tf.random.Generator.from_seed(123)
    checkpoint = read_checkpoint(write(root, tmp_path / "epoch_1"))
    assignment = by_order(checkpoint, work)
    state, note = imported_state(checkpoint, assignment, work, 98)
    x = tf.constant(
        np.random.default_rng(2).standard_normal((3, 32, 32, 3), np.float32)
    )
    ours = work.model(x, Run(state.parameters, state.statistics))
    np.testing.assert_allclose(ours, resnet18_logits(root, x), rtol=1e-4, atol=1e-5)
    assert note == "slots are the checkpoint's" and checkpoint.iterations == 98
    assert checkpoint.ignored == ("generator/_state_var",)
    for name, parameter in state.parameters.items():
        (i,) = (
            i
            for i, v in enumerate(trained)
            if v.ref() == variable_of(root, assignment, name)
        )
        first, second = (state.slots[f"{name}/{s}"] for s in work.optimizer.slots())
        assert first.shape == parameter.shape
        np.testing.assert_array_equal(first, np.full(first.shape, 1e-3 * (1 + i), "f"))
        np.testing.assert_array_equal(second, np.full(first.shape, 1e-6 * (1 + i), "f"))


def variable_of(root, assignment, name):
    found = root
    for part in assignment[name].path.split("/"):
        found = found[int(part)] if part.isdigit() else getattr(found, part)
    return found.ref()


def test_attributes_set_against_their_numbers_are_refused(tmp_path):
    parts = small_parts(Weights())
    # Set in this order, conv2 would become the third convolution's weights.
    order = ("conv0", "conv2", "conv1", "conv3")
    root = Part(**{name: parts[name] for name in order})
    refused(root, tmp_path, "not certain: conv1/kernel comes behind conv2/")


def test_layers_that_keras_numbered_otherwise_are_refused(tmp_path):
    attributes = ("stem", "left", "right", "last")
    parts = small_parts(Weights()).values()
    root = Part(**dict(zip(attributes, parts, strict=True)))
    names = ("net/conv", "net/conv_2", "net/conv_1", "net/conv_3")
    for part, name in zip(
        (root.stem, root.left, root.right, root.last), names, strict=True
    ):
        part.kernel = tf.Variable(part.kernel, name=f"{name}/kernel")
    refused(root, tmp_path, "kernel net/conv_1/kernel comes behind net/conv_2/kernel")


def test_names_of_our_layers_in_other_places_are_refused(tmp_path):
    parts = small_parts(Weights())
    root = Part(first=parts["conv0"], a_conv2=parts["conv2"], other=parts["conv1"],
                a_conv3=parts["conv3"])  # fmt: skip
    refused(root, tmp_path, r"a_conv2/kernel \(kernel\) stands where a_conv1/kernel")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda p: p.pop("conv3"),
         "4 variables 'kernel' of rank 4, found 3 .*expected 4 variables 'bias'"),
        (lambda p: p.update(conv4=PLAIN),
         "expected 4 variables 'kernel' of rank 4, found 5"),
        (lambda p: setattr(p["conv1"], "kernel", tf.Variable(tf.zeros([5, 5, 4, 4]))),
         r"expected a_conv1/kernel \(3, 3, 4, 4\), found conv1/kernel \(5, 5, 4, 4\)"),
        (lambda p: p.update(bn=Part(gamma=tf.Variable(tf.ones([4])))),
         "expected 0 variables 'gamma' of rank 1, found 1"),
    ],
    ids=["missing", "surplus", "shape", "kind"],
)  # fmt: skip
def test_what_does_not_fit_is_one_error_with_both_sides(change, message, tmp_path):
    parts = small_parts(Weights())
    change(parts)
    refused(Part(**parts), tmp_path, message)


def test_save_counter_and_ignored_paths_are_no_weights(tmp_path):
    w = Weights()
    root = Part(**small_parts(w), extra=Part(total=tf.Variable(1.0)))
    prefix = tf.train.Checkpoint(root).save(str(tmp_path / "ckpt"))
    with pytest.raises(InputError, match="0 variables 'total' of rank 0, found 1"):
        by_order(read_checkpoint(prefix), SMALL)
    checkpoint = read_checkpoint(f"{prefix}.index", ["extra/.*"])
    assert by_order(checkpoint, SMALL).keys() == w.values.keys()
    assert checkpoint.ignored == ("extra/total",)
    with pytest.raises(InputError, match=r"'\(' is no regular expression"):
        read_checkpoint(prefix, ["("])


def test_slots_of_some_weights_only_are_refused_and_can_be_left_out(tmp_path):
    root = Part(**small_parts(Weights()))
    kernels = [v for v in root.trainable_variables if v.shape.rank == 4]
    root.optimizer = Adam(kernels, 1)
    prefix = write(root, tmp_path / "epoch_0")
    checkpoint = read_checkpoint(prefix)
    with pytest.raises(
        InputError,
        match=r"missing: a_conv0_bias/bias/first_moment, .* \(8\); surplus: none",
    ):
        imported_state(checkpoint, by_order(checkpoint, SMALL), SMALL, 1)
    checkpoint = read_checkpoint(prefix, ["conv./kernel/[mv]"])
    _, note = imported_state(checkpoint, by_order(checkpoint, SMALL), SMALL, 1)
    assert note == "slots are zero: the checkpoint has none"
    assert len(checkpoint.ignored) == 8


def test_a_state_that_is_not_finite_is_refused(tmp_path):
    root = Part(**small_parts(Weights()))
    root.conv1.kernel.assign(root.conv1.kernel * np.inf)
    checkpoint = read_checkpoint(write(root, tmp_path / "epoch_0"))
    with pytest.raises(InputError, match="a_conv1/kernel has elements that are Inf"):
        imported_state(checkpoint, by_order(checkpoint, SMALL), SMALL, 1)


@pytest.mark.parametrize(
    ("name", "counted", "given", "expected"),
    [
        ("epoch_29", None, None, 1470),
        ("epoch_29", 1470, None, 1470),
        ("final", 77, None, 77),
        ("epoch_29", 77, 80, 80),
        ("epoch_29", 77, None, "counted 77 updates, but after epoch 29 .* are 1470"),
        ("final", None, None, "give --updates"),
        ("final", 0, None, "has 0 updates behind it"),
    ],
)
def test_the_number_of_updates_is_the_counters_or_the_names(
    name, counted, given, expected, tmp_path
):
    root = Part(**small_parts(Weights()))
    if counted is not None:
        root.optimizer = Adam([], counted)
    checkpoint = read_checkpoint(write(root, tmp_path / name))
    if isinstance(expected, int):
        assert updates_of(checkpoint, 49, given) == expected
    else:
        with pytest.raises(InputError, match=expected):
            updates_of(checkpoint, 49, given)


def test_missing_cut_and_foreign_files_are_named(tmp_path):
    with pytest.raises(InputError, match="no checkpoint that can be read"):
        read_checkpoint(tmp_path / "epoch_0")
    prefix = tmp_path / "epoch_0"
    write(Part(**small_parts(Weights())), prefix)
    index = prefix.with_name("epoch_0.index")
    whole = index.read_bytes()
    index.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="no checkpoint that can be read"):
        read_checkpoint(prefix)
    index.write_bytes(whole)
    data = prefix.with_name("epoch_0.data-00000-of-00001")
    data.write_bytes(data.read_bytes()[:100])
    with pytest.raises(InputError, match=re.escape(str(prefix))):
        checkpoint = read_checkpoint(prefix)
        imported_state(checkpoint, by_order(checkpoint, SMALL), SMALL, 1)
