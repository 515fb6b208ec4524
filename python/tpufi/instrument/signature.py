# SPDX-License-Identifier: Apache-2.0
"""Shows what a trace was made for, e.g. `(float32[4,?], deep=True)`."""

from collections.abc import Mapping

import tensorflow as tf

from tpufi.messages import one_line

_LONGEST = 40


def signature_text(args: tuple, kwargs: Mapping) -> str:
    """Return the arguments of a trace as text.

    Args:
      args: positional arguments, tensors as `TensorSpec`s.
      kwargs: keyword arguments.
    """
    parts = [*map(_text, args), *(f"{k}={_text(v)}" for k, v in kwargs.items())]
    return f"({', '.join(parts)})"


def _text(value: object) -> str:
    if isinstance(value, tf.TensorSpec):
        dims = ["..."]
        if value.shape.rank is not None:
            dims = ["?" if d is None else str(d) for d in value.shape]
        return f"{value.dtype.name}[{','.join(dims)}]"
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{k}: {_text(v)}' for k, v in value.items())}}}"
    if isinstance(value, list | tuple):
        return f"({', '.join(map(_text, value))})"
    text = one_line(repr(value))
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
