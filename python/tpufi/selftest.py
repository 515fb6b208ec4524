# SPDX-License-Identifier: Apache-2.0
"""Whether an installed tpufi works on this machine: libraries, ops, one replay."""

import functools
import pathlib
import platform
import tempfile
import time
from collections.abc import Callable, Mapping

import numpy as np
import tensorflow as tf

from tpufi import ops
from tpufi._library import host
from tpufi.element import ELEMENTS, from_words, to_words
from tpufi.experiment.replay import replay
from tpufi.faults.csv import read_injection, write_injection
from tpufi.faults.injection import Injection
from tpufi.golden import GoldenConfig, GoldenFolder, train_golden
from tpufi.random import random_patterns

MODES = ("eager", "graph", "xla")

# (key, counter, result) of Threefry-2x32 with 20 rounds: known answers of Random123.
_KNOWN = (
    ((0, 0), (0, 0), (0x6B200159, 0x99BA4EFE)),
    ((0xFFFFFFFF,) * 2, (0xFFFFFFFF,) * 2, (0x1CB996FC, 0xBB002BE7)),
    ((0x13198A2E, 0x03707344), (0x243F6A88, 0x85A308D3), (0xC4923A9C, 0x483DF7A0)),
)

_DTYPES = ("float32", "bfloat16", "float64", "int8")
_SHAPE, _START, _COUNT, _KEY = (3, 5, 7), 11, 29, (20, 23)

_CONFIG = GoldenConfig("resnet18", "synthetic:16", replicas=1, per_replica=2)
_STEPS = 4
_FAULT = Injection(
    model="resnet18",
    stage="fwrd_inject",
    fmodel="N16_RD",
    target_worker=0,
    target_layer="basicblock_2_basic_0_conv2",
    target_epoch=0,
    target_step=1,
    inj_pos=((1, 3, 3, 85),),
    inj_values=(40.0,),
    learning_rate=0.001,
)


class CheckFailed(Exception):
    """What a check saw is not what it must be; the message tells both."""


def check_libraries() -> str:
    """Return the versions at work.

    Raises:
      CheckFailed: the generator gives other numbers.

    Source: Salmon et al., Parallel random numbers: as easy as 1, 2, 3 (SC 2011).
    """
    for key, counter, expected in _KNOWN:
        found = tuple(host.threefry2x32(key, counter))
        if found != expected:
            raise CheckFailed(f"threefry2x32{key, counter} is {found}, not {expected}")
    return (
        f"built for TensorFlow {host.built_for_tensorflow}, found {tf.__version__}; "
        f"numpy {np.__version__}, Python {platform.python_version()}, "
        f"{'-'.join(platform.libc_ver())}, {platform.machine()}; generator as published"
    )


def check_ops() -> str:
    """Compare every op in every mode with integer arithmetic of numpy.

    Raises:
      CheckFailed: bits differ; the message names op, type, mode and first element.
    """
    for dtype in _DTYPES:
        before = np.arange(np.prod(_SHAPE), dtype=np.uint64) * 0x9E3779B97F4A7C15
        x = from_words(before & ELEMENTS[dtype].mask, dtype).reshape(_SHAPE)
        mask = 0x5A5A5A5A5A5A5A5A & ELEMENTS[dtype].mask
        expected = _expected(to_words(x).reshape(-1), mask, dtype)
        for mode in MODES:
            found = _in_mode(mode)(
                tf.constant(x),
                tf.constant(_START, tf.int64),
                tf.constant(_COUNT, tf.int64),
                tf.constant(mask, tf.uint64),
                tf.constant(_KEY, tf.uint32),
            )
            for (op, want), tensor in zip(expected.items(), found, strict=True):
                _compare(to_words(tensor.numpy()).reshape(-1), want, op, dtype, mode)
    return (
        f"{', '.join(_expected(before, 0, 'float64'))} in {', '.join(MODES)} mode for "
        f"{', '.join(_DTYPES)}: the bits of numpy"
    )


def check_replay() -> str:
    """Train, replay without and with a fault, and compare states.

    The fault goes through the injection file. It is injected right before a
    normalisation, so it changes the statistics of the batch and cannot be masked.

    Raises:
      CheckFailed: the control differs from the golden run, the fault changes nothing,
        or it does not repeat.
    """
    session = _CONFIG.session()
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "golden")
        write_injection(_FAULT, file := pathlib.Path(folder, "fault.csv"))
        injection = read_injection(file)
        train_golden(_CONFIG, path, _STEPS, _STEPS, session)
        golden = [e["state"] for e in GoldenFolder(path).read_lines("steps.jsonl")]

        def states(name: str, with_fault: bool) -> list[str]:
            result = replay(
                injection,
                path,
                name=name,
                out=folder,
                with_fault=with_fault,
                session=session,
            )
            return [point.state for point in result.faulty]

        control = states("control", False)
        first, second = states("first", True), states("second", True)
    if control != golden[_FAULT.target_step :]:
        raise CheckFailed("a replay without a fault differs from the golden run")
    if first[0] == control[0]:
        raise CheckFailed(f"the fault at {injection.site_name} changed nothing")
    if first != second:
        raise CheckFailed("the same fault gave two different runs")
    return (
        f"{_CONFIG.workload}, {_STEPS} golden steps; the control is bitwise identical, "
        f"{injection.fmodel} at {injection.site_name} repeats bitwise, "
        f"{session.program.traces} trace"
    )


CHECKS: Mapping[str, Callable[[], str]] = {
    "libraries": check_libraries,
    "ops": check_ops,
    "replay": check_replay,
}


def run_checks(
    checks: Mapping[str, Callable[[], str]], tell: Callable[[str], None] = print
) -> bool:
    """Do all checks, also after one that failed, and tell each result in one line.

    Args:
      checks: name -> what does it; returns what it saw, raises `CheckFailed`.
      tell: takes the lines.

    Returns:
      Whether all succeeded.

    Example:
      >>> run_checks({"arithmetic": lambda: "1 + 1 = 2"}, lambda line: None)
      True
    """
    good = True
    for name, look in checks.items():
        begun = time.monotonic()
        try:
            saw, result = look(), "ok    "
        except Exception as error:  # Whatever it is, the other checks tell more.
            text = " ".join(str(error).split())
            saw, result, good = f"{type(error).__name__}: {text}", "FAILED", False
        tell(f"{result} {name} ({time.monotonic() - begun:.1f} s): {saw}")
    return good


def _faulty(x, start, count, mask, key) -> tuple[tf.Tensor, ...]:
    return (
        ops.flip_bits(x, start, count, mask),
        ops.inject_random(x, start, count, key),
        ops.zero_out(x, start, count),
    )


def _in_mode(mode: str) -> Callable:
    if mode == "eager":
        return _faulty
    # A separate function, else TensorFlow warns of many traces of one.
    faulty = functools.partial(_faulty)
    return tf.function(faulty, jit_compile=mode == "xla", autograph=False)


def _expected(words: np.ndarray, mask: int, dtype: str) -> dict[str, np.ndarray]:
    run = slice(_START, _START + _COUNT)
    flipped, drawn, zeroed = words.copy(), words.copy(), words.copy()
    flipped[run] ^= np.uint64(mask)
    drawn[run] = random_patterns(dtype, _KEY, _START, _COUNT)
    zeroed[run] = 0
    return {"flip_bits": flipped, "inject_random": drawn, "zero_out": zeroed}


def _compare(
    found: np.ndarray, expected: np.ndarray, op: str, dtype: str, mode: str
) -> None:
    different = np.flatnonzero(found != expected)
    if different.size:
        first = int(different[0])
        raise CheckFailed(
            f"{op} of {dtype} in {mode} mode: {different.size} elements differ; "
            f"element {first} is {int(found[first]):#x}, not {int(expected[first]):#x}"
        )
