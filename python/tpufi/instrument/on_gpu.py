# SPDX-License-Identifier: Apache-2.0
"""Instrumented programs on a GPU: compiled, since fault ops have no kernel there.

In graph mode TensorFlow would place each fault op on the CPU without a word, and copy
its tensor there and back.
"""

import contextlib
import re
from collections.abc import Iterator

import tensorflow as tf

from tpufi.errors import InputError
from tpufi.training.devices import present

_HIDE = "hide the GPU with tf.config.set_visible_devices([], 'GPU')"
_UNSUPPORTED = re.compile(r"(\w+) \((?:No registered|.*?not supported)")


def compilation(jit_compile: bool | None) -> bool | None:
    """Return whether XLA compiles the armed program; None: as the program says.

    Args:
      jit_compile: what the user asked for.

    Raises:
      InputError: there is a GPU, and the user wants no compilation.
    """
    if jit_compile or not _gpu_is_visible():
        return jit_compile
    if jit_compile is None:
        return True
    raise InputError(
        "jit_compile=False with a GPU: fault ops have no GPU kernel, so each site "
        f"would copy its tensor to the CPU; leave jit_compile out, or {_HIDE}"
    )


@contextlib.contextmanager
def told_of_missing_kernels() -> Iterator[None]:
    """Turn XLA's refusal of a program into one line.

    Raises:
      InputError: XLA has no kernel for an operation of the program.
    """
    try:
        yield
    except (tf.errors.InvalidArgumentError, tf.errors.UnimplementedError) as error:
        names = sorted(set(_UNSUPPORTED.findall(error.message)))
        if not names:
            raise
        raise InputError(
            "the program runs on a GPU, where fault sites need a compiled one, and XLA "
            f"has no kernel for: {', '.join(names)}; leave these operations out, or "
            f"{_HIDE}"
        ) from None


def _gpu_is_visible() -> bool:
    # A process can hide devices that its machine has.
    return "gpu" in present() and bool(tf.config.get_visible_devices("GPU"))
