# SPDX-License-Identifier: Apache-2.0
"""Saves an instrumented program as a SavedModel whose faults are inputs."""

import json
import pathlib

import tensorflow as tf

from tpufi.descriptor import FIELDS
from tpufi.errors import InputError
from tpufi.instrument.armed_program import ArmedProgram
from tpufi.io import atomic_write
from tpufi.messages import one_line, show_path

_FAULTS = tf.TensorSpec((None, len(FIELDS)), tf.int64, "faults")
_WORDS = tf.TensorSpec((None, None), tf.uint64, "words")


class _Saved(tf.Module):
    """What is saved: the armed function, its sites, and the variables it reads."""

    def __init__(self, armed: ArmedProgram, program: object, args: tuple):
        super().__init__()
        self.tracked = list(armed.program.variables)
        if isinstance(program, tf.Module | tf.keras.Model):
            self.program = program  # Its tables and assets are saved with it.
        specs = tf.nest.map_structure(_spec, args)

        @tf.function(input_signature=[*specs, _FAULTS, _WORDS], autograph=False)
        def call(*inputs):
            *own, faults, words = inputs
            return armed(tuple(own), {}, tf.constant(0, tf.int64), faults, words)

        self.armed = call
        table = [vars(site) for site in armed.sites]
        self.sites = tf.function(
            lambda: tf.constant(json.dumps(table)), input_signature=()
        )


def save(armed: ArmedProgram, program: object, args: tuple, path: pathlib.Path) -> None:
    """Write a SavedModel with `armed(*args, faults, words)` and `sites()`.

    Args:
      armed: the armed program of this signature.
      program: the object that was instrumented.
      args: arguments of a call, tensors.
      path: a folder that does not exist yet.

    Raises:
      InputError: the folder exists or cannot be written, or the program uses a resource
        that TensorFlow cannot find from it.
    """
    if path.exists():
        raise InputError(f"{show_path(path)} exists; name a new folder")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path, "name another folder") as scratch:
            tf.saved_model.save(_Saved(armed, program, args), str(scratch))
    except (AssertionError, KeyError) as error:  # A resource that is not tracked.
        raise InputError(
            f"{show_path(path)}: cannot be saved: {one_line(error)}; make the program "
            "a tf.Module that holds its tables"
        ) from None
    except OSError as error:
        raise InputError(
            f"{show_path(path)}: cannot be written: {one_line(error)}; name another "
            "folder"
        ) from None


def _spec(value) -> tf.TensorSpec:
    tensor = tf.convert_to_tensor(value)
    return tf.TensorSpec(tensor.shape, tensor.dtype)
