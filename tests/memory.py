# SPDX-License-Identifier: Apache-2.0
"""Gives back the memory of the programs that earlier tests built.

TensorFlow keeps a program for good in three places: a gradient written by hand is
registered under a name of its own and holds the graph it was written in, a graph holds
its functions in the eager context, and what XLA compiled stays in the device's table,
20 MiB and more for one layer. A suite that builds a thousand programs has to forget
them.
"""

import ctypes
import gc
import inspect
import pathlib
import sys
from collections.abc import Callable

import tensorflow as tf
from tensorflow.core.framework import tensor_pb2, types_pb2
from tensorflow.python.framework import config, ops

_GIB = 2**20  # In the unit of /proc, KiB.
# XLA's table is a resource of this name; its type's key is a hash of the type's name.
_TABLE = "xla_device_compiler"
_TYPE = b"N10tensorflow14DeviceCompilerIN3xla15LocalExecutableENS1_11LocalClientEEE"
_SEED = 0xDECAFCAFFE


def release_programs() -> None:
    """Forget the programs that nothing but TensorFlow refers to.

    A program that is still referred to works on; XLA compiles it once more.
    """
    _forget_gradients(lambda _: True)
    # The next program makes a new table.
    tf.raw_ops.DestroyResourceOp(resource=compiled_table(), ignore_lookup_error=True)
    ctypes.CDLL(None).malloc_trim(0)


def release_steps() -> None:
    """Forget the training steps that nothing but TensorFlow refers to.

    Others work on, also untraced ones: a step takes the gradients of its layers while
    it is traced, and looks them up at no later time.
    """
    _forget_gradients(_is_of_a_layer)
    ctypes.CDLL(None).malloc_trim(0)


def _forget_gradients(chosen: Callable[[Callable], bool]) -> None:
    registered = ops.gradient_registry._registry
    names = [n for n in registered if n.startswith("CustomGradient-")]
    for name in [n for n in names if chosen(registered[n]["type"])]:
        del registered[name]
    gc.collect()


def _is_of_a_layer(registered: Callable) -> bool:
    """Return whether a gradient, in TensorFlow's two wrappers, is that of a layer."""
    inner = inspect.getclosurevars(registered).nonlocals["tape_grad_fn"]
    gradient = inspect.getclosurevars(inner).nonlocals["grad_fn"]
    return gradient.__module__ == "tpufi.layers.layer"


def forget_determinism() -> None:
    """Have TensorFlow choose kernels and seeds as a new process does.

    A command that a test calls in its process switches determinism on for good.
    """
    config.disable_op_determinism()
    tf.random.set_seed(None)


def clear_caches() -> None:
    """Empty the function caches of all test modules."""
    for name, module in list(sys.modules.items()):
        if name.startswith("tests."):
            for value in list(vars(module).values()):
                if hasattr(value, "cache_clear"):
                    value.cache_clear()


def resident_gib() -> float:
    """Return the memory this process holds, in GiB."""
    return _status_gib("VmRSS")


def peak_gib() -> float:
    """Return the most memory this process has held so far, in GiB."""
    return _status_gib("VmHWM")


def _status_gib(field: str) -> float:
    status = pathlib.Path("/proc/self/status").read_text()
    (line,) = (row for row in status.splitlines() if row.startswith(f"{field}:"))
    return int(line.split()[1]) / _GIB


def compiled_table() -> tf.Tensor:
    """Return a handle of XLA's table of compiled programs, be there one or not."""
    folder = pathlib.Path(tf.__file__).parent
    (library,) = folder.glob("libtensorflow_framework.so.?")
    hash64 = ctypes.CDLL(str(library))._ZN3tsl6Hash64EPKcmm
    hash64.restype = ctypes.c_uint64
    hash64.argtypes = [ctypes.c_char_p, ctypes.c_size_t, ctypes.c_uint64]
    handle = tensor_pb2.TensorProto(dtype=types_pb2.DT_RESOURCE)
    handle.tensor_shape.SetInParent()
    handle.resource_handle_val.add(
        device=tf.zeros([]).device,
        container="localhost",
        name=_TABLE,
        hash_code=hash64(_TYPE, len(_TYPE), _SEED),
        maybe_type_name=_TYPE.decode(),
    )
    return tf.io.parse_tensor(handle.SerializeToString(), tf.resource)
