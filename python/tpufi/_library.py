# SPDX-License-Identifier: Apache-2.0
"""Finds, checks and loads the two compiled libraries; nothing else loads any.

`host` is the pybind11 module (`_tpufi.so`), `ops` the module of TensorFlow operations
(`_tpufi_ops.so`). They lie in the folder that TPUFI_LIBRARY names, else beside this
file (built tree, wheel), else in `bazel-bin` of the checkout. Only the first use of
`ops` imports TensorFlow.
"""

import importlib.util
import os
import pathlib
import sys
import types

from tpufi.extras import INSTALL_TENSORFLOW, TENSORFLOW, TENSORFLOW_MISSING

_FILES = ("_tpufi.so", "_tpufi_ops.so")
_PACKAGE = pathlib.Path(os.path.abspath(__file__)).parent
_CHECKOUT = _PACKAGE.parents[1]
_REBUILD = f"PYTHON_BIN_PATH={sys.executable} bazel build //:tpufi"


def _folder() -> pathlib.Path:
    """Return the folder that holds both libraries."""
    named = os.environ.get("TPUFI_LIBRARY")
    places = [pathlib.Path(named)] if named else [_PACKAGE, _CHECKOUT / "bazel-bin"]
    for place in places:
        if all((place / name).exists() for name in _FILES):
            return place
    raise ImportError(
        f"no {' and '.join(_FILES)} in {' or '.join(map(str, places))}; "
        f"in the checkout of tpufi run: {_REBUILD}",
        name="_tpufi",
    )


def _load_host(path: pathlib.Path) -> types.ModuleType:
    spec = importlib.util.spec_from_file_location("_tpufi", path)
    try:
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    except ImportError as error:
        version = ".".join(map(str, sys.version_info[:3]))
        raise ImportError(
            f"{path} does not load in Python {version} ({error}); run: {_REBUILD}",
            name="_tpufi",
        ) from error
    return module


def _load_ops() -> types.ModuleType:
    try:
        import tensorflow as tf
    except ModuleNotFoundError as error:
        if error.name != "tensorflow":
            raise
        raise ImportError(TENSORFLOW_MISSING, name="tensorflow") from None

    minor = ".".join(tf.__version__.split(".")[:2])
    if minor not in TENSORFLOW:
        raise ImportError(
            f"tpufi needs TensorFlow {host.built_for_tensorflow}, but {tf.__version__} "
            f"is installed; run: {INSTALL_TENSORFLOW}",
            name="tensorflow",
        )
    if host.built_for_tensorflow != minor:
        raise ImportError(
            f"the libraries in {_LIBRARIES} were built for TensorFlow "
            f"{host.built_for_tensorflow}, but {tf.__version__} is installed; "
            f"run: pip install 'tensorflow-cpu=={host.built_for_tensorflow}.*', "
            f"or in the checkout of tpufi: {_REBUILD}",
            name="tensorflow",
        )
    path = _LIBRARIES / _FILES[1]
    try:
        return tf.load_op_library(str(path))
    except tf.errors.NotFoundError as error:  # An undefined symbol, as a rule.
        raise ImportError(
            f"{path} does not load in TensorFlow {tf.__version__} ({error.message}); "
            f"it was built against another one; run: {_REBUILD}",
            name="_tpufi",
        ) from error


_LIBRARIES = _folder()
host = _load_host(_LIBRARIES / _FILES[0])


def __getattr__(name: str) -> types.ModuleType:
    if name != "ops":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return globals().setdefault("ops", _load_ops())
