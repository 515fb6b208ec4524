# SPDX-License-Identifier: Apache-2.0
"""The standing attack: a short pass of it, and that it sees what is mishandled."""

import os
import pathlib
import random
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from tools.attacks import journals
from tools.attacks.campaign_process import found_rows
from tools.attacks.files import mutated
from tools.attacks.program_check import Injected, ProgramCheck
from tools.attacks.random_program import DTYPES, RandomProgram, random_array
from tools.attacks.tally import Tally, one_line

from tests.forged_journals import make_journal
from tpufi.errors import InputError

ROOT = pathlib.Path(__file__).resolve().parents[1]


@pytest.mark.slow
def test_a_short_pass_mishandles_nothing():
    run = subprocess.run(
        [sys.executable, "-m", "tools.attack", "60", "--seed", "7"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{ROOT / 'python'}:{ROOT}"},
        capture_output=True,
        text=True,
        check=False,
        timeout=1200,
    )
    assert run.returncode == 0, run.stderr[-3000:]
    *_, last, said = run.stdout.splitlines()
    assert last.split()[0] == "all" and last.split()[-1] == "0"
    assert said.startswith("seed 7, ")


def test_what_is_mishandled_is_seen():
    def refuse(text):
        raise InputError(text)

    assert one_line(lambda: refuse("x.csv:1: no number; write one")) is None
    assert one_line(lambda: None) is None
    assert "two" in one_line(lambda: refuse("one\ntwo"))
    assert "2001 characters" in one_line(lambda: refuse("x" * 2001))
    assert one_line(lambda: {}["key"]).startswith("KeyError")
    assert one_line(lambda: sys.exit(3)).startswith("SystemExit")
    tally = Tally()
    tally.note("file", None)
    tally.note("file", "a traceback")
    assert list(tally.table())[-1].split() == ["all", "2", "1", "1"]


def test_a_seed_gives_the_same_cases():
    def cases(seed):
        rng = random.Random(seed)
        return (
            [mutated(rng, b"seed: 7\nfaults: [FLIP]\n") for _ in range(50)],
            [journals.change(rng) for _ in range(50)],
            [RandomProgram(rng, dtype).steps for dtype in DTYPES],
        )

    assert cases(1) == cases(1) != cases(2)


@pytest.mark.parametrize("dtype", DTYPES)
def test_numpy_agrees_with_a_program_and_notices_a_changed_element(dtype):
    compared = 0
    for seed in range(30):
        rng = random.Random(seed)
        program = RandomProgram(rng, dtype)
        x = random_array(rng, dtype, (2, 3))
        taken = np.array([True, False, True, False])
        given = map(tf.constant, (x, program.constants, taken))
        try:
            outputs = [o.numpy() for o in tf.function(program, autograph=False)(*given)]
        except tf.errors.InvalidArgumentError as error:
            assert "No OpKernel" in str(error)  # Lists have none for some types.
            continue
        numbers = program.numbers()
        assert ProgramCheck(program, outputs, numbers, taken, ()).run(0).wrong is None
        executed = [n for n in numbers if program.places[n].is_executed(taken)]
        number = rng.choice(executed)
        changed = outputs[1 + numbers.index(number)]
        changed.reshape(-1).view(f"u{changed.dtype.itemsize}")[-1] ^= 1
        check = ProgramCheck(program, outputs, numbers, taken, ()).run(0)
        assert check.wrong and f" {number} in " in check.wrong
        # The same, if it is what a fault does: no difference at that operation.
        where = tuple(size - 1 for size in changed.shape)
        depth = len(program.places[number].loops)
        element = int(np.prod(changed.shape[depth:])) - 1
        fault = Injected(number, (element,), -1, (1,), where[:depth])
        check = ProgramCheck(program, outputs, numbers, taken, (fault,)).run(0)
        assert check.times == {number: 1}
        assert check.wrong is None or f" {number} in " not in check.wrong
        compared += 1
        if compared == 3:
            return
    raise AssertionError(f"TensorFlow runs {compared} programs of {dtype}")


def test_the_rows_of_a_campaign_are_compared(tmp_path):
    make_journal(tmp_path)
    assert len(found_rows(tmp_path)) == 40
