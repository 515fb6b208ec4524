# SPDX-License-Identifier: Apache-2.0
"""Prepares a process for a program of the user, and reads its inputs."""

import pathlib

import numpy as np

from tpufi.errors import InputError
from tpufi.messages import quote, show_path
from tpufi.untrusted import reading


def _check_type(name: str, shape: tuple[int, ...], dtype: np.dtype) -> None:
    import tensorflow as tf

    tf.as_dtype(dtype)
    if not dtype.isnative:
        raise ValueError(f"{quote(name)} has elements of another machine, {dtype}")


def read_inputs(path: pathlib.Path) -> tuple[np.ndarray, np.ndarray | None]:
    """Return `x` [items, ...] and `labels` [items], None if there are none.

    Raises:
      InputError: it is no `.npz` file with these arrays.
    """
    shown = show_path(path)
    with reading(path, "write it with numpy.savez(path, x=..., labels=...)"):
        # Here: a plan's file is checked without TensorFlow.
        from tpufi.data.npz_arrays import read_arrays

        arrays = read_arrays(path, check=_check_type)
    x, labels = arrays.pop("x", None), arrays.pop("labels", None)
    if x is None or arrays or x.ndim < 1 or not len(x):
        raise InputError(
            f"{shown}: holds {', '.join(arrays) or 'no array'}; expected x [items, "
            "...] and, if you like, labels [items]"
        )
    if labels is not None and (labels.shape != x.shape[:1] or labels.dtype.kind not in
                               "iu"):  # fmt: skip
        raise InputError(
            f"{shown}: labels is {labels.dtype} {labels.shape}; expected a whole "
            f"number for each of the {len(x)} items"
        )
    return x, labels


def set_up(threads: int) -> None:
    """Prepare a process for a program of the user, before TensorFlow runs.

    Args:
      threads: of TensorFlow's operations; rounding may depend on it.
    """
    import tensorflow as tf

    from tpufi.training import make_deterministic

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    make_deterministic()
