# SPDX-License-Identifier: Apache-2.0
"""One kind of fault: files, lines and drawn faults are injected into any program."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

import tpufi
from tpufi.element import to_words
from tpufi.errors import InputError
from tpufi.fault import Elements, Fault, Strided
from tpufi.faults.injection_file import PROGRAM, DrawnInjection
from tpufi.faults.jsonl import fault_line, parse_fault
from tpufi.instrument import flip, replace

X = tf.reshape(tf.range(12, dtype=tf.float32) + 1, [3, 4])


@pytest.fixture(scope="module")
def fi():
    fi = tpufi.instrument(lambda x: x + x, sites=["AddV2"])
    fi.armed(X)
    return fi


def fault(fi, operation: str, elements: Elements, *words: int, keep: int = 0) -> Fault:
    (site,) = fi.armed(X).sites
    return Fault("given", site.name, site.dtype, site.shape, -1, 0, 0, 1, elements,
                 operation, keep, words)  # fmt: skip


def injected(fi, given) -> np.ndarray:
    run = fi.run(given, X)
    (injection,) = run.injections
    assert injection.times == 1
    return run.outputs.numpy()


def test_every_operation_is_injected_into_a_program(fi):
    column = Strided(1, 3, 1, 4)
    golden = 2 * X.numpy()
    for operation, words, expected in (
        ("zero", (), [0, 0, 0]),
        ("add", (to_words(np.float32([0.5]))[0],), [4.5, 12.5, 20.5]),
        ("multiply", (to_words(np.float32([2]))[0],), [8, 24, 40]),
        ("copy", (0, 4, 8), [2, 10, 18]),
        ("flip", (1 << 31,), [-4, -12, -20]),
    ):
        found = injected(fi, fault(fi, operation, column, *map(int, words)))
        assert found[:, 1].tolist() == expected, operation
        found[:, 1] = golden[:, 1]
        assert found.tobytes() == golden.tobytes()
    for operation, words in (("random", (5,)), ("error_rate", (5, 1 << 31))):
        keep = (1 << 32) - 1 if operation == "error_rate" else 0
        found = injected(
            fi, fault(fi, operation, Elements.run(0, 12), *words, keep=keep)
        )
        assert (found != golden).all()


def test_bits_after_arithmetic_are_told_and_those_of_copies_are_not(fi):
    half = int(to_words(np.float32([0.5]))[0])
    (injection,) = fi.run(fault(fi, "add", Elements.run(0, 2), half), X).injections
    assert injection.faulty_values.tolist() == [2.5, 4.5]
    (injection,) = fi.run(fault(fi, "copy", Elements.run(0, 1), 3), X).injections
    assert injection.golden_values.tolist() == [2] and injection.faulty is None


def test_an_injection_file_is_injected_into_a_program(fi, tmp_path):
    (site,) = fi.sites
    path = tmp_path / "one.csv"
    for given in (flip(site, (1, 2), 30), replace(site, [0, 3, 7], [1.5, 2.5, -1.0])):
        written = DrawnInjection(PROGRAM, given.fault(site))
        tpufi.write_injection(written, path)
        read = tpufi.read_injection(path)
        assert read == written
        assert injected_all(fi, read).tobytes() == injected_all(fi, given).tobytes()
        line = fault_line(written.drawn)
        assert parse_fault(line) == written.drawn
        same = injected_all(fi, parse_fault(line))
        assert same.tobytes() == injected_all(fi, given).tobytes()


def injected_all(fi, given) -> np.ndarray:
    run = fi.run(given, X)
    assert all(injection.times == 1 for injection in run.injections)
    return run.outputs.numpy()


def test_iterations_of_a_loop_are_kept_in_files(tmp_path):
    fi = tpufi.instrument(lambda x: tf.map_fn(tf.exp, x), sites=["Exp"])
    (site,) = fi.armed(X).sites
    given = flip(site, 0, 31, iterations=(1,))
    drawn = given.fault(site)
    path = tmp_path / "loop.csv"
    tpufi.write_injection(DrawnInjection(PROGRAM, drawn), path)
    assert tpufi.read_injection(path).drawn == drawn == parse_fault(fault_line(drawn))
    (injection,) = fi.run(drawn, X).injections
    assert injection.times == 1
    for shape, cell in (((), "scalar"), (None, "unknown")):
        one = dataclasses.replace(drawn, shape=shape)
        tpufi.write_injection(DrawnInjection(PROGRAM, one), path)
        assert f"shape,{cell}\n" in path.read_text()
        assert tpufi.read_injection(path).drawn == one == parse_fault(fault_line(one))


def test_what_a_program_cannot_have_is_refused_in_one_line(fi):
    published = tpufi.read_injection("injections/resnet18/inj_masked.csv")
    with pytest.raises(InputError, match="of workload resnet18") as error:
        fi.run(published, X)
    assert "\n" not in str(error.value)
    other = dataclasses.replace(fault(fi, "zero", Elements.run(0, 1)), shape=(4, 4))
    with pytest.raises(InputError, match="was drawn for .* call the program with"):
        fi.run(other, X)
    stale = dataclasses.replace(fault(fi, "replace", Elements.run(0, 1), 1), words=(),
                                stale=True)  # fmt: skip
    with pytest.raises(InputError, match="is stale, which a single call"):
        fi.run(stale, X)
    lost = dataclasses.replace(fault(fi, "zero", Elements.run(0, 1)), site="Adv2:0")
    with pytest.raises(InputError, match="no site 'Adv2:0'; nearest armed"):
        fi.run(lost, X)
