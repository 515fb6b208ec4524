# SPDX-License-Identifier: Apache-2.0
"""TensorFI's fault types: what they change, in every element type (D1 to D8)."""

import numpy as np
import pytest
import tensorflow as tf

from tpufi.contrib.tensorfi.config import operation_config, read_config
from tpufi.contrib.tensorfi.fault_types import Rules, Tensor, change
from tpufi.element import to_words
from tpufi.faults.draws import Draws

DTYPES = ("float32", "float64", "float16", "bfloat16", "int8", "int32", "bool")


def changed(kind, dtype, rank, legacy=False, count=1, number=0):
    size = 3**rank
    rng = np.random.default_rng(rank)
    words = rng.integers(1, 1 << (1 if dtype == "bool" else 8), size, np.uint64)
    model = "tensorfi21_10" if legacy else "ieee"
    tensor = Tensor(dtype, size, rank, lambda e: words[np.asarray(e)])
    result = change(kind, tensor, Rules(model, count, legacy), Draws(3, number), "t")
    if result is None:
        return words, words
    new = words.copy()
    at = np.asarray(result.elements)
    keep = np.uint64(result.keep & ((1 << 64) - 1))
    new[at] = (words[at] & keep) ^ np.array(result.words, np.uint64)
    return words, new


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("rank", range(5))
def test_flips_change_one_bit_of_one_or_of_each_element(rank, dtype):
    golden, new = changed("bitFlip-element", dtype, rank)
    assert sorted(map(int.bit_count, (golden ^ new).tolist())) == [0] * (
        3**rank - 1
    ) + [1]
    golden, new = changed("bitFlip-tensor", dtype, rank)
    assert [int.bit_count(d) for d in (golden ^ new).tolist()] == [1] * 3**rank


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("rank", range(5))
def test_zero_and_rand_change_what_they_say(rank, dtype):
    assert not changed("Zero", dtype, rank)[1].any()
    golden, new = changed("Rand-element", dtype, rank)
    assert (golden != new).sum() <= 1
    _, new = changed("Rand", dtype, rank)
    if "float" in dtype:
        values = new.astype(f"uint{tf.as_dtype(dtype).size * 8}")
        values = tf.bitcast(values, dtype).numpy().astype(np.float64)
        assert (values >= 0).all() and (values < 1).all()
        assert len(np.unique(values)) > 3**rank / 2


def test_legacy_leaves_rand_element_of_higher_ranks_alone():
    for rank in range(5):
        golden, new = changed("Rand-element", "float32", rank, legacy=True)
        assert (golden != new).any() == (rank in (1, 2))


@pytest.mark.parametrize(("dtype", "count"), [("float32", 22), ("float64", 32)])
def test_legacy_flips_change_by_powers_of_two_or_the_sign(dtype, count):
    value = np.array([5.75], dtype)
    deltas = set()
    config = operation_config(
        read_config({"Ops": ["ALL = 1"], "TensorFaultType": "bitFlip-element"}),
        legacy=True,
    )
    for number in range(400):
        tensor = Tensor(dtype, 1, 1, lambda e: to_words(value))
        rules = Rules(config.bit_model, 1, True)
        result = change(config.tensor_type, tensor, rules, Draws(1, number), "t")
        word = np.array(result.words, np.uint64).astype(f"uint{8 * value.itemsize}")
        deltas.add(float(word.view(dtype)[0]) - 5.75)
    places = {2.0**k for k in range(21)} | (
        {2.0**-k for k in range(1, 11)} if dtype == "float64" else set()
    )
    assert {abs(d) for d in deltas} == places | {11.5}
    assert len(deltas) == count


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e-40, 1e-5, 1e20, -0.0])
@pytest.mark.parametrize("legacy", [False, True])
def test_no_value_raises(value, legacy):
    for dtype in (np.float32, np.float64):
        with np.errstate(all="ignore"):
            array = np.array([value], dtype)
        tensor = Tensor(array.dtype.name, 1, 1, lambda e, a=array: to_words(a))
        model = "tensorfi21_10" if legacy else "ieee"
        for number in range(40):
            rules = Rules(model, 1, legacy)
            assert change("bitFlip-element", tensor, rules, Draws(1, number), "t")


def test_many_flips_never_flip_a_bit_twice():
    golden, new = changed("multiBitFlip", "float32", 2, count=20)
    flips = sum(int.bit_count(d) for d in (golden ^ new).tolist())
    assert flips == 20
