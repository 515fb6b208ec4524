# SPDX-License-Identifier: Apache-2.0
"""Puts an instrumented program in the place of a Keras model's own method.

`model.predict`, `evaluate` and `fit` call the model, not the instrumented program;
while that is attached, they call it. What Keras compiled before waits aside.
"""

import inspect
import threading
from collections.abc import Callable, Hashable

import tensorflow as tf

from tpufi.errors import InputError
from tpufi.instrument.armed_program import SITES

_OWN = None  # The kind of faults of a model's own functions.
ATTACHABLE = "a Keras model or its train_step, test_step or predict_step"
_STEPS = ("train_step", "test_step", "predict_step")
# What Keras compiles of a model's steps and keeps.
_COMPILED = ("train_function", "test_function", "predict_function")


def place_of(program: object) -> "tuple[tf.keras.Model, str] | None":
    """Return the model and the name of its method that a program is, or None.

    Args:
      program: a Keras model, whose `call` it is, or one of its steps.
    """
    if isinstance(program, tf.keras.Model):
        return program, "call"
    owner = program.__self__ if inspect.ismethod(program) else None
    if isinstance(owner, tf.keras.Model) and program.__name__ in _STEPS:
        return owner, program.__name__
    return None


class Attachment:
    """An instrumented program in the place of a model's method, until `remove`.

    Usable as a context manager, which removes it at its end.

    Args:
      model: the Keras model.
      name: of the method: `call`, `train_step`, `test_step` or `predict_step`.
      instrumented: called instead, with the same arguments.
    """

    def __init__(self, model: tf.keras.Model, name: str, instrumented: Callable):
        self.model, self._name = model, name
        self._instead = _in_own_scope(instrumented)
        self._aside: dict[Hashable, dict[str, object]] = {}
        self._kind: Hashable = _OWN
        self._own, self._changing = threading.local(), threading.Lock()
        self._attached = False
        self._before: object = None

    @property
    def attached(self) -> bool:
        """Whether it is in its place."""
        return self._attached

    def attach(self, kind: Hashable = SITES) -> "Attachment":
        """Take the place of the method.

        Args:
          kind: of the faults that calls are traced for, see `ArmedProgram.kind`.

        Raises:
          InputError: something of this model is attached already.
        """
        with self._changing:
            now = vars(self.model).get(self._name)
            if any(
                getattr(vars(self.model).get(n), "tpufi_instead", False)
                for n in ("call", *_STEPS)
            ):
                raise InputError(
                    f"the model {self.model.name!r} has an instrumented program "
                    "attached; remove() that one first"
                )
            # Not through Keras, which would track the function as a part of the model.
            self._before = now
            vars(self.model)[self._name] = self._method(getattr(self.model, self._name))
            self._exchange(kind)
            self._attached = True
        return self

    def trace_for(self, kind: Hashable) -> None:
        """Set aside what Keras compiled for faults of another kind.

        Args:
          kind: see `attach`.
        """
        with self._changing:
            if self._attached:
                self._exchange(kind)

    def remove(self) -> None:
        """Give the method back to the model, with all that Keras compiled of it."""
        with self._changing:
            if not self._attached:
                return
            if self._before is None:
                del vars(self.model)[self._name]
            else:
                vars(self.model)[self._name] = self._before
            self._exchange(_OWN)
            self._attached = False

    def __enter__(self) -> "Attachment":
        return self if self._attached else self.attach()

    def __exit__(self, *error: object) -> None:
        self.remove()

    def program(self, program: Callable) -> Callable:
        """Return the program such that it calls the model's own method."""

        @tf.autograph.experimental.do_not_convert
        def own(*args, **kwargs):
            before = getattr(self._own, "wanted", False)
            self._own.wanted = True
            try:
                return program(*args, **kwargs)
            finally:
                self._own.wanted = before

        return own

    def _method(self, own: Callable) -> Callable:
        @tf.autograph.experimental.do_not_convert
        def method(*args, **kwargs):
            wanted = own if getattr(self._own, "wanted", False) else self._instead
            return wanted(*args, **kwargs)

        method.tpufi_instead = True
        return method

    def _exchange(self, kind: Hashable) -> None:
        """Give the model what Keras compiled for a kind, and keep what it has."""
        self._aside[self._kind] = {n: getattr(self.model, n) for n in _COMPILED}
        found = self._aside.get(kind, dict.fromkeys(_COMPILED))
        for name, function in found.items():
            setattr(self.model, name, function)
        self._kind = kind


def _in_own_scope(instrumented: Callable) -> Callable:
    # A layer that calls itself opens no second scope of names; this one stands between,
    # so that a site has the same name wherever the model is called.
    @tf.autograph.experimental.do_not_convert
    def instead(*args, **kwargs):
        with tf.keras.name_scope("tpufi"):
            return instrumented(*args, **kwargs)

    return instead
