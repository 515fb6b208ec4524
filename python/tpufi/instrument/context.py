# SPDX-License-Identifier: Apache-2.0
"""The context of an operation: the replica and the loop iterations that it runs in.

context = replica + REPLICAS * path, where path is 0 outside loops and, in iteration i
of a loop in path p, is p * ITERATIONS + i. It is the `replica` operand of the fault op,
so a row of a descriptor can name one execution of an operation.
"""

from collections.abc import Sequence

from tpufi.errors import InputError

REPLICAS = 1 << 12
ITERATIONS = 1 << 17
_DEEPEST = 3  # Loops whose iterations and replica are one number of 63 bits.


def context(replica: int, iterations: Sequence[int] = ()) -> int:
    """Return the context of one execution.

    Args:
      replica: 0 <= replica < 4096.
      iterations: iteration of each loop, from the outermost, each below 2^17.

    Raises:
      InputError: a number is outside its range, or there are more than 3 loops.

    Example:
      >>> context(3, (0, 2)) == 3 + REPLICAS * 2
      True
    """
    if not 0 <= replica < REPLICAS:
        raise InputError(f"replica {replica} is outside [0, {REPLICAS}); name another")
    if len(iterations) > _DEEPEST:
        raise InputError(
            f"{len(iterations)} iterations: executions in more than {_DEEPEST} nested "
            "loops have no numbers; give None for every execution"
        )
    path = 0
    for iteration in iterations:
        if not 0 <= iteration < ITERATIONS:
            raise InputError(
                f"iteration {iteration} is outside [0, {ITERATIONS}); choose one inside"
            )
        path = path * ITERATIONS + iteration
    return replica + REPLICAS * path
