# SPDX-License-Identifier: Apache-2.0
"""A call in a separate process, which starts fresh and gives its memory back."""

import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from tpufi.errors import InputError

_Result = TypeVar("_Result")


def in_own_process(
    what: str, function: Callable[..., _Result], *arguments: object, **named: object
) -> _Result:
    """Return what a function returns in another process, or raise what it raises.

    TensorFlow keeps each graph it compiled, gigabytes for an armed step, and settings
    that it takes once only.

    Args:
      what: what the process does, for the message.
      function: at the top level of a module, as are its arguments and result.
      arguments: its arguments.
      named: its arguments with names.

    Raises:
      InputError: the process was ended from outside.
    """
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as process:
        try:
            return process.submit(function, *arguments, **named).result()
        except BrokenProcessPool as error:
            raise InputError(
                f"the process that {what} was ended by the system, which may lack "
                "memory; free some and run again"
            ) from error
