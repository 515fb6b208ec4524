# SPDX-License-Identifier: Apache-2.0
"""What faults write: bits per element type, checked with numpy on every type."""

import math

import numpy as np
import pytest

from tests.chi_square import assert_distributed
from tests.fault_reference import apply, faulty_indices
from tests.modes import assert_same_bits, random_bits
from tpufi.element import ELEMENTS, element, to_words
from tpufi.errors import InputError
from tpufi.fault import Elements, Fault, Strided
from tpufi.faults.draws import Draws
from tpufi.faults.measured_values import Bias, Carry, FlipSome, NonFinite, Xor
from tpufi.faults.values import (
    Constant,
    CopyRandomPosition,
    ErrorRate,
    FlipBits,
    Noise,
    RandomFinite,
    Stale,
    StuckAt,
    Swap,
)

FLOATS = [name for name, e in ELEMENTS.items() if e.exponent_bits]
RUN = Elements.run(3, 7)
SHAPE = (4, 5)
ZEROS = np.zeros(SHAPE, np.float32)


def fault(rule, dtype, number=0, positions=RUN, shape=SHAPE) -> Fault:
    size = math.prod(shape)
    value = rule.draw(Draws(21, number), element(dtype), positions, size)
    return Fault(
        *("TEST", "conv/forward/output", dtype, shape, 0, 0, 0, 1, positions),
        *(value.operation, value.keep, value.words),
        stale=rule.stale,
    )


def inject(rule, dtype, number=0, positions=RUN, bits=None):
    """Return words before and after of the faulty elements; others must not change."""
    x = random_bits(np.random.default_rng(number), SHAPE, dtype)
    if bits is not None:
        x = np.full(SHAPE, bits, element(dtype).word).view(element(dtype).numpy)
    f = fault(rule, dtype, number, positions)
    y = apply(f, x)
    injected = faulty_indices(f)
    old, new = to_words(x).reshape(-1), to_words(y).reshape(-1)
    others = np.setdiff1d(np.arange(x.size), injected)
    assert np.array_equal(old[others], new[others])
    return old[injected].tolist(), new[injected].tolist()


def fields(dtype):
    e = element(dtype)
    m, x = e.mantissa_bits, e.exponent_bits
    return {
        "all": range(e.bits),
        "sign": range(e.bits - 1, e.bits),
        "exponent": range(m, m + x),
        "mantissa": range(m),
    }


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("field", ["all", "sign", "exponent", "mantissa"])
def test_a_flip_inverts_one_bit_of_its_field_and_reaches_all_of_them(dtype, field):
    seen = []
    places = fields(dtype)[field]
    for number in range(4 * len(places)):
        old, new = inject(FlipBits(field=field), dtype, number)
        flipped = [a ^ b for a, b in zip(old, new, strict=True)]
        assert all(mask.bit_count() == 1 for mask in flipped)
        seen += [mask.bit_length() - 1 for mask in flipped]
    assert_distributed(seen, dict.fromkeys(places, 1))


@pytest.mark.parametrize("dtype", [*FLOATS, "int8", "uint32"])
@pytest.mark.parametrize("bits", [2, 5])
def test_several_flips_are_distinct_bits_and_bursts_are_adjacent(dtype, bits):
    lowest = []
    for number in range(60):
        old, new = inject(FlipBits(bits), dtype, number)
        assert all((a ^ b).bit_count() == bits for a, b in zip(old, new, strict=True))
        old, new = inject(FlipBits(bits, adjacent=True), dtype, number)
        for a, b in zip(old, new, strict=True):
            low = ((a ^ b) & -(a ^ b)).bit_length() - 1
            assert a ^ b == ((1 << bits) - 1) << low
            lowest.append(low)
    places = range(element(dtype).bits - bits + 1)
    assert_distributed(lowest, dict.fromkeys(places, 1))


@pytest.mark.parametrize("dtype", list(ELEMENTS))
def test_a_stuck_bit_is_the_same_in_all_elements_and_injecting_twice_changes_nothing(
    dtype,
):
    for level in (0, 1):
        f = fault(StuckAt(level), dtype)
        x = random_bits(np.random.default_rng(0), SHAPE, dtype)
        once = apply(f, x)
        assert_same_bits(apply(f, once), once)
        (bit,) = {element(dtype).mask & ~f.keep}
        assert bit.bit_count() == 1
        words = to_words(once).reshape(-1)[faulty_indices(f)]
        assert all(bool(int(w) & bit) == bool(level) for w in words)
    levels = [fault(StuckAt(None), dtype, i).words[0] != 0 for i in range(200)]
    assert_distributed(levels, {False: 1, True: 1})


@pytest.mark.parametrize("dtype", FLOATS)
def test_random_values_are_finite_and_differ_between_elements(dtype):
    _, new = inject(RandomFinite(), dtype)
    e = element(dtype)
    values = np.array(new, e.word).view(e.numpy).astype(np.float64)
    assert np.isfinite(values).all() and len(set(new)) == len(new)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "int8"])
def test_copies_come_from_uniform_positions_of_the_same_tensor(dtype):
    sources = []
    for number in range(100):
        f = fault(CopyRandomPosition(), dtype, number)
        x = random_bits(np.random.default_rng(number), SHAPE, dtype)
        y = apply(f, x)
        for index, source in zip(faulty_indices(f), f.words, strict=True):
            assert to_words(y).flat[index] == to_words(x).flat[source]
        sources += f.words
    assert_distributed(sources, dict.fromkeys(range(20), 1))


def test_many_copies_leave_the_sources_to_the_device():
    f = fault(CopyRandomPosition(), "float32", 0, Elements.run(0, 65), (100,))
    assert f.operation == "copy_random" and len(f.words) == 1


def test_a_swap_exchanges_two_elements_and_twice_is_nothing():
    x = random_bits(np.random.default_rng(0), SHAPE, "float32")
    f = fault(Swap(), "float32", 0, Strided(4, 2, 1, 9))
    y = apply(f, x)
    assert to_words(y).flat[4] == to_words(x).flat[13]
    assert to_words(y).flat[13] == to_words(x).flat[4]
    assert_same_bits(apply(f, y), x)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("value", [0, 1.5, -0.0, math.inf, -math.inf, math.nan])
def test_constants_are_what_numpy_says(dtype, value):
    if math.isinf(value) and not element(dtype).has_infinity:
        assert "float8_e4m3fn has no infinity" in Constant(value).misfit(element(dtype))
        return
    assert Constant(value).misfit(element(dtype)) is None
    _, new = inject(Constant(value), dtype)
    e = element(dtype)
    (word,) = set(new)
    got = np.array([word], e.word).view(e.numpy).astype(np.float64)[0]
    assert np.array_equal(got, value, equal_nan=True)
    assert math.isnan(value) or math.copysign(1, got) == math.copysign(1, value)
    if math.isnan(value):
        assert word == e.nan and (dtype != "float32" or word == 0x7FC00000)


def test_integer_constants_are_exact_or_refused():
    assert set(inject(Constant(-3), "int8")[1]) == {0xFD}
    assert Constant(-3).misfit(element("int8")) is None
    assert "beyond uint8" in Constant(-3).misfit(element("uint8"))
    assert "not a number of type int8" in Constant(1.5).misfit(element("int8"))
    assert "not a number of type int8" in Constant(math.nan).misfit(element("int8"))
    assert "beyond float16" in Constant(1e5).misfit(element("float16"))
    assert "beyond float8_e4m3fn" in Constant(500).misfit(element("float8_e4m3fn"))
    assert Constant(448).misfit(element("float8_e4m3fn")) is None
    assert Constant(1e5).misfit(element("bfloat16")) is None


@pytest.mark.parametrize("dtype", FLOATS)
def test_noise_adds_and_multiplies(dtype):
    e, one = element(dtype), int(to_words(np.array([1], element(dtype).numpy))[0])
    for rule in (Noise(0.5), Noise(0.5, relative=True)):
        found = []
        for number in range(100):
            _, new = inject(rule, dtype, number, bits=one)
            found += np.array(new, e.word).view(e.numpy).astype(np.float64).tolist()
        assert np.mean(found) == pytest.approx(1, abs=0.07)  # 1 + e and 1 * (1 + e).
        assert np.std(found) == pytest.approx(0.5, abs=0.05)


def test_an_error_rate_names_all_bits_a_key_and_the_rate():
    f = fault(ErrorRate(2**-20), "bfloat16", 0, Elements.run(0, 20))
    assert (f.operation, f.keep, f.words[1]) == ("error_rate", 0xFFFF, 1 << 12)
    assert fault(ErrorRate(2**-20), "bfloat16", 1, Elements.run(0, 20)) != f


def test_a_stale_fault_waits_for_its_words():
    f = fault(Stale(), "float32")
    assert f.stale and f.words == ()


@pytest.mark.parametrize(
    ("rule", "dtype", "reason"),
    [
        (FlipBits(field="exponent"), "int32", "int32 has no exponent"),
        (FlipBits(33), "float32", "33 bits are more than the 32"),
        (FlipBits(2, "sign"), "float32", "2 bits are more than the 1"),
        (FlipBits(9, "exponent", adjacent=True), "float32", "than the 8"),
        (Noise(1.0), "int16", "int16 is not a float type"),
        (Noise(1.0, relative=True), "uint8", "uint8 is not a float type"),
    ],
)
def test_rules_say_why_they_do_not_fit_a_type(rule, dtype, reason):
    assert reason in rule.misfit(element(dtype))


@pytest.mark.parametrize("dtype", [*FLOATS, "int8", "uint32"])
@pytest.mark.parametrize("missing", [False, True])
def test_a_carry_adds_or_takes_one_bit_of_the_mantissa(dtype, missing):
    e, places = element(dtype), []
    for number in range(60):
        f = fault(Carry(missing), dtype, number)
        assert f.operation == "carry" and f.keep == 0 and len(f.words) == RUN.count
        steps = [-word % (1 << e.bits) if missing else word for word in f.words]
        assert all(step.bit_count() == 1 for step in steps)
        places += [step.bit_length() - 1 for step in steps]
    assert_distributed(places, dict.fromkeys(range(e.mantissa_bits or e.bits), 1))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float64"])
def test_a_bias_multiplies_every_element_by_one_number(dtype):
    numpy = element(dtype).numpy
    x = np.linspace(-3, 5, 20).reshape(SHAPE).astype(numpy)
    y = apply(fault(Bias(0.25), dtype), x)
    want = x.copy().reshape(-1)
    want[3:10] *= np.array(1.25, numpy)
    assert_same_bits(y, want.reshape(SHAPE))


@pytest.mark.parametrize(
    ("rule", "dtype", "reason"),
    [
        (Bias(1e-3), "bfloat16", "1 + 0.001 is 1 in bfloat16, which changes nothing"),
        (Bias(1e6), "float16", "1 + 1000000.0 is beyond float16"),
        (Bias(1), "int8", "int8 is not a float type"),
        (NonFinite("infinity"), "float8_e4m3fn", "float8_e4m3fn has no infinity"),
        (NonFinite(), "float8_e4m3fn", None),
        (NonFinite(), "int32", "int32 is not a float type"),
        (Xor((1,), "float32"), "bfloat16", "its words are of float32, not of bfloat16"),
        (Xor((1,), "float32"), "float32", None),
        (FlipSome(1, 9), "int8", "9 bits are more than the 8 of int8"),
        (FlipSome(1, 8), "int8", None),
    ],
)
def test_measured_rules_say_which_types_they_do_not_have(rule, dtype, reason):
    assert rule.misfit(element(dtype)) == reason


@pytest.mark.parametrize(
    "make",
    [
        lambda: Bias(0),
        lambda: Bias(math.inf),
        lambda: NonFinite("inf"),
        lambda: Xor((), "float32"),
        lambda: Xor((0,), "float32"),
        lambda: Xor((256,), "int8"),
        lambda: FlipSome(0, 1),
        lambda: FlipSome(3, 2),
        lambda: FlipSome(1, 1, 0),
        lambda: FlipSome(1, 1, 1.1),
    ],
)
def test_numbers_out_of_range_are_refused(make):
    with pytest.raises(InputError, match="choose|known|give|expected"):
        make()


@pytest.mark.parametrize(("which", "kinds"), [("any", 3), ("nan", 1), ("infinity", 2)])
def test_non_finite_values_are_equally_often_each(which, kinds):
    found = [str(apply(fault(NonFinite(which), "float32", n), ZEROS)[0, 3]) for n in
             range(200)]  # fmt: skip
    assert not np.isfinite(np.array(found, np.float32)).any()
    assert_distributed(found, dict.fromkeys(sorted(set(found)), 1))
    assert len(set(found)) == kinds


def test_words_to_xor_follow_each_other_and_begin_again():
    f = fault(Xor((1, 2, 4), "float32"), "float32")
    assert (f.operation, f.words) == ("flip", (1, 2, 4, 1, 2, 4, 1))
    assert fault(Xor((5,), "float32"), "float32").words == (5,)


def test_low_bits_fall_more_often_and_all_numbers_of_bits_are_drawn():
    lowest = []
    for number in range(300):
        (*masks,) = fault(FlipSome(1, 1, 0.5), "int8", number).words
        lowest += [mask.bit_length() - 1 for mask in masks]
    assert_distributed(lowest, {b: 0.5**b for b in range(8)})
    counts = [m.bit_count() for n in range(99) for m in fault(FlipSome(2, 4, 0.9),
              "float32", n).words]  # fmt: skip
    assert_distributed(counts, dict.fromkeys((2, 3, 4), 1))
