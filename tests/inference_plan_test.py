# SPDX-License-Identifier: Apache-2.0
"""The file of an inference campaign: what is read, and what is told of the rest."""

import numpy as np
import pytest

from tests.inference_files import write_files
from tpufi.campaign.inference.inference_file import read_inference_plan
from tpufi.campaign.inference.layout import Layout
from tpufi.campaign.inference.user_file import python_object, read_inputs
from tpufi.errors import InputError
from tpufi.instrument import flip
from tpufi.instrument.inference.judge import named_judge, own_judge

FULL = {
    "sites": "[Conv2D, MatMul]",
    "weights": "sites",
    "measures": "regression",
    "tolerance": "0.25",
    "only_correct": "yes",
    "mitigation": "[ranges]",
    "threads": "3",
    "stop": "{width: 0.1, strata: [operand], hours: 2}",
}


def test_a_file_with_every_key_is_read(tmp_path):
    plan = read_inference_plan(write_files(tmp_path, **FULL))
    assert plan.sites == ("Conv2D", "MatMul") and plan.mitigation == ("ranges",)
    assert (plan.tolerance, plan.threads) == (0.25, 3)
    assert plan.stop.width == 0.1 and plan.stop.strata == ("operand",)
    assert plan.program == f"{tmp_path}/model.py:make" and plan.only_correct
    identity = plan.identity()
    assert identity["kind"] == "inference"
    assert not {"program", "inputs", "stop"} & set(identity)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seed": "x"}, "seed: 'x'; expected a whole number"),
        ({"batch": "0"}, "batch: 0; expected 1 up to"),
        ({"weights": "size"}, "weights: 'size'; known: sites, elements"),
        ({"mitigation": "[box]"}, "mitigation: 'box'; known: ranges, nan_guard"),
        (
            {"only_correct": "on"},
            "only_correct: 'on'; expected one of yes, no, true, false",
        ),
        ({"colour": "red"}, "unknown key 'colour'"),
        ({"tolerance": "1"}, "tolerance: the largest change that is no failure"),
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
        read_inference_plan(write_files(tmp_path, **changes))
    assert str(caught.value).startswith(f"{tmp_path}/plan.yaml:")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda d: python_object(f"{d}/none.py", "x"), "no such file"),
        (lambda d: python_object(f"{d}/model.py", "mkae"), "no 'mkae'; nearest: make"),
        (lambda d: python_object(f"{d}/bad.py", "x"), "ZeroDivisionError"),
        (lambda d: read_inputs(d / "plan.yaml"), "cannot read"),
        (lambda d: read_inputs(d / "odd.npz"), "holds y; expected x"),
        (lambda d: read_inputs(d / "labels.npz"), "labels is float64"),
        (lambda d: named_judge("classify", None), "known: classification"),
        (lambda d: own_judge({"a": lambda g, f: 1.0}, np.ones(2)), "has to say what"),
        (lambda d: own_judge({"a": lambda g, f: "x"}, np.ones(2)), "returns str"),
        (lambda d: own_judge({"a": lambda g, f: 1 / 0}, np.ones(2)), "ZeroDivision"),
    ],
)
def test_wrong_files_of_the_user_are_told(call, message, tmp_path):
    write_files(tmp_path)
    (tmp_path / "bad.py").write_text("1 / 0")
    np.savez(tmp_path / "odd.npz", y=np.ones(3))
    np.savez(tmp_path / "labels.npz", x=np.ones((2, 1)), labels=np.ones(2))
    with pytest.raises(InputError, match=message) as caught:
        call(tmp_path)
    assert "\n" not in str(caught.value)


def test_each_experiment_is_run_once_and_with_those_of_its_batch():
    rng = np.random.default_rng(4)
    depth = rng.integers(0, 99, (64, 6))
    layout = Layout(6, 2, 16, lambda run, item, p: flip(int(depth[run, item]), p, 0))
    for window in range(2):
        numbers = list(layout.ordered(window))
        first = window * layout.window
        assert sorted(numbers) == list(range(first, first + layout.window))
        for pair in zip(numbers[::2], numbers[1::2], strict=True):
            assert len({layout.batch_of(n) for n in pair}) == 1
            assert [n % 6 % 2 for n in pair] == [0, 1]
            assert [list(layout.together(n)) for n in pair] == [list(pair)] * 2
            for number in pair:
                run, item = divmod(number, 6)
                fault = layout.fault(number)
                assert (fault.site, fault.elements[0]) == (depth[run, item], item % 2)


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
