# SPDX-License-Identifier: Apache-2.0
"""The file of an inference campaign: what is read, and what is told of the rest."""

import collections
import io
import random
import signal
import tracemalloc
import zipfile

import numpy as np
import pytest

from tests.inference_files import subject_here, write_files
from tpufi.campaign.plan_file import read_plan
from tpufi.campaign.program_inputs import read_inputs
from tpufi.errors import InputError
from tpufi.instrument.inference.judge import named_judge, own_judge
from tpufi.user_file import python_object

FULL = {
    "sites": "[Conv2D, MatMul]",
    "weights": "sites",
    "measures": "regression",
    "tolerance": "0.25",
    "only_correct": "yes",
    "mitigation": "[ranges]",
    "threads": "3",
    "stop": "{width: 0.1, strata: [op], hours: 2}",
}


def test_a_file_with_every_key_is_read(tmp_path):
    plan = read_plan(write_files(tmp_path, **FULL))
    assert plan.ops == ("Conv2D", "MatMul") and plan.mitigation == ("ranges",)
    assert (plan.tolerance, plan.threads) == (0.25, 3)
    assert plan.stop.width == 0.1 and plan.stop.strata == ("op",)
    assert plan.program == f"{tmp_path}/model.py:make" and plan.only_correct
    identity = plan.identity()
    assert identity["kind"] == "inference"
    assert not {"program", "inputs", "stop"} & set(identity)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seed": "x"}, "seed: 'x'; expected a whole number"),
        ({"batch": "0"}, "batch: 0; expected 1 up to"),
        ({"weights": "size"}, "weights: 'size'; expected one of sites, macs, elements"),
        ({"mitigation": "[box]"}, "mitigation: 'box'; known: ranges, nan_guard"),
        (
            {"only_correct": "on"},
            "only_correct: 'on'; expected one of yes, no, true, false",
        ),
        ({"colour": "red"}, "unknown key 'colour'"),
        ({"tolerance": "1"}, "tolerance: the largest change that is no failure"),
        ({"measures": "x"}, "measures: 'x'; known: classification, regression, file"),
        ({"measures": "regression"}, "tolerance: the largest change"),
        ({"tolerance": "-1", "measures": "regression"}, "'-1'; expected a number"),
        ({"tolerance": "1" * 30 + "e999999999"}, "expected a number of at least 0"),
        ({"stop": "{hours: " + "1" * 30 + "e999999999}"}, "expected a number above 0"),
        ({"experiments": "0"}, "experiments: 0"),
        ({"stop": "{width: 3}"}, "width: 3"),
    ],
)
def test_a_wrong_file_is_told_in_one_line(changes, message, tmp_path):
    with pytest.raises(InputError, match=message) as caught:
        read_plan(write_files(tmp_path, **changes))
    assert str(caught.value).startswith(f"{tmp_path}/plan.yaml:")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda d: python_object(f"{d}/none.py:x"), "no such file"),
        (lambda d: python_object(f"{d}/model.py:mkae"), "no 'mkae'; nearest: make"),
        (lambda d: python_object(f"{d}/bad.py:x"), "ZeroDivisionError"),
        (lambda d: python_object(f"{d}/exit.py:x"), "exit.py: SystemExit: 3; make"),
        (lambda d: python_object(f"{d}/stop.py:x"), "stop.py: KeyboardInterrupt"),
        (lambda d: read_inputs(d / "plan.yaml"), "cannot read"),
        (lambda d: read_inputs(d / "odd.npz"), "holds y; expected x"),
        (lambda d: read_inputs(d / "labels.npz"), "labels is float64"),
        (lambda d: named_judge("classify", None), "known: classification"),
        (lambda d: own_judge({"a": lambda g, f: 1.0}, np.ones(2)), "has to say what"),
        (lambda d: own_judge({"a": lambda g, f: "x"}, np.ones(2)), "returns str"),
        (lambda d: own_judge({"a": lambda g, f: 1 / 0}, np.ones(2)), "ZeroDivision"),
        (lambda d: own_judge({"a": lambda g, f: exit(3)}, np.ones(2)), "SystemExit: 3"),
    ],
)
def test_wrong_files_of_the_user_are_told(call, message, tmp_path):
    write_files(tmp_path)
    (tmp_path / "bad.py").write_text("1 / 0")
    (tmp_path / "exit.py").write_text("import sys\nsys.exit(3)")
    (tmp_path / "stop.py").write_text("raise KeyboardInterrupt")
    np.savez(tmp_path / "odd.npz", y=np.ones(3))
    np.savez(tmp_path / "labels.npz", x=np.ones((2, 1)), labels=np.ones(2))
    with pytest.raises(InputError, match=message) as caught:
        call(tmp_path)
    assert "\n" not in str(caught.value)


@pytest.fixture
def interrupts():
    """Python's own handler of Ctrl-C; a shell starts jobs in the background without."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield signal.default_int_handler
    signal.signal(signal.SIGINT, before)


def test_ctrl_c_while_the_users_file_runs_is_no_error_of_the_file(tmp_path, interrupts):
    (tmp_path / "wait.py").write_text("import os\nos.kill(os.getpid(), 2)\nx = 1")
    with pytest.raises(KeyboardInterrupt):
        python_object(f"{tmp_path}/wait.py:x")
    assert signal.getsignal(signal.SIGINT) is interrupts


def damaged_archives(folder):
    """Yield archives that are none, or of which numpy would unpack too much."""
    good = io.BytesIO()
    np.savez(good, x=np.arange(64, dtype=np.float32).reshape(8, 8))
    rng = random.Random(5)
    for _ in range(300):
        bad = bytearray(good.getvalue())
        for _ in range(rng.randrange(1, 4)):
            bad[rng.randrange(len(bad))] = rng.randrange(256)
        yield bytes(bad)
    common = "'fortran_order': False, 'shape'"
    headers = ["{", "(" * 5000, f"{{'descr': '<f4', {common}: (9" * 99]
    headers += [
        f"{{'descr': '{dtype}', {common}: {shape}}}"
        for dtype in ("<f4", "|V0", ">f4", "|O")
        for shape in ("(1 << 40,)", "(10**12,)", "(1099511627776,)", "(2,)", "(-2,)")
    ]
    for header in headers:
        text = header.encode().ljust(64) + b"\n"
        member = b"\x93NUMPY\1\0" + len(text).to_bytes(2, "little") + text + bytes(8)
        for packing in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA):
            bad = io.BytesIO()
            with zipfile.ZipFile(bad, "w", packing) as archive:
                archive.writestr("x.npy", member)
            yield bad.getvalue()
    # As the 3 GiB of a real bomb, but quicker to make: a thousand times the file.
    bomb = io.BytesIO()
    np.savez_compressed(bomb, x=np.zeros((20_000, 1000), np.float32))
    yield bomb.getvalue()


def test_damaged_inputs_are_read_or_refused_in_one_line_and_little_memory(tmp_path):
    path, refusals = tmp_path / "x.npz", collections.Counter()
    contents = list(damaged_archives(tmp_path))
    tracemalloc.start()
    for content in contents:
        path.write_bytes(content)
        try:
            read_inputs(path)
        except InputError as error:
            message = str(error)
            refusals[message.split(":")[1]] += 1
            assert len(message.splitlines()) == 1 and len(message) < 500
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 64 << 20
    assert refusals.total() > 200
    assert "unpacked; expected at most 67108864" in message


def test_each_experiment_is_run_once_and_with_those_of_its_batch(tmp_path):
    subject = subject_here(write_files(tmp_path, batch="2", rounds="4"))
    items, window = len(subject.chosen), subject.window(1000)
    assert (items, window) == (14, 56)
    for first in (0, window):
        numbers = sorted(range(first, first + window), key=subject.order)
        for pair in zip(numbers[::2], numbers[1::2], strict=True):
            assert pair[1] == pair[0] + 1 and pair[0] % items % 2 == 0
        batches = [number % items // 2 for number in numbers]
        assert batches == sorted(batches)
    assert [subject.item(n) for n in (0, 13, 14)] == [0, 13, 0]


def test_regression_fails_by_the_tolerance_and_by_nan():
    judge = named_judge("regression", 0.5)
    golden = np.array([1.0, 2.0])
    for faulty, outcome in (
        ([1.0, 2.4], "masked"),
        ([1.0, 2.6], "sdc: largest absolute change above 0.5, or NaN"),
        ([np.nan, 2.0], "not_finite: NaN or Inf in the output"),
        ([1.0, 2.0], "masked (bit-identical to golden)"),
    ):
        faulty = np.array(faulty)
        values = judge.values(golden, faulty)
        assert judge.outcome(golden, faulty, values) == outcome
