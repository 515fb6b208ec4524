# SPDX-License-Identifier: Apache-2.0
"""A step exported in a process of its own, which gives its memory back."""

import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool

from tpufi.errors import InputError


def in_a_process_of_its_own(
    export: Callable[..., bytes], *arguments: object, **named: object
) -> bytes:
    """Return what `export` returns; its memory is given back.

    TensorFlow keeps each graph it compiled, gigabytes for an armed step.

    Raises:
      InputError: the process was ended from outside.
    """
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as process:
        try:
            return process.submit(export, *arguments, **named).result()
        except BrokenProcessPool as error:
            raise InputError(
                "the process that exports a step was ended by the system, which may "
                "lack memory; free some and run again"
            ) from error
