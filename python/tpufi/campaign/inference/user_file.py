# SPDX-License-Identifier: Apache-2.0
"""Loads what the user's own files hold: a Python object, the arrays of inputs."""

import importlib.util
import pathlib

import numpy as np

from tpufi.errors import InputError
from tpufi.messages import nearest_first, one_line, quote, show_path


def python_object(file: str, name: str) -> object:
    """Return an object of a Python file, which is run.

    Raises:
      InputError: there is no such file or name, or running it raises an error.
    """
    path = pathlib.Path(file)
    if not path.is_file():
        raise InputError(f"{show_path(path)}: no such file; name a Python file")
    module = importlib.util.module_from_spec(
        spec := importlib.util.spec_from_file_location(path.stem, path)
    )
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # noqa: BLE001 - whatever the user's file raises.
        raise InputError(
            f"{show_path(path)}: {type(error).__name__}: {one_line(error)}; make it run"
        ) from error
    if not hasattr(module, name):
        known = [n for n in vars(module) if not n.startswith("_")]
        raise InputError(
            f"{show_path(path)}: no {quote(name)}; nearest: "
            f"{nearest_first(name, known, 5) or 'none'}"
        )
    return getattr(module, name)


def read_inputs(path: pathlib.Path) -> tuple[np.ndarray, np.ndarray | None]:
    """Return `x` [items, ...] and `labels` [items], None if there are none.

    Raises:
      InputError: it is no `.npz` file with these arrays.
    """
    shown = show_path(path)
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except Exception as error:
        # numpy raises nearly anything for what is damaged, or no archive at all.
        raise InputError(
            f"{shown}: cannot read: {one_line(error)}; write it with "
            "numpy.savez(path, x=..., labels=...)"
        ) from None
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
