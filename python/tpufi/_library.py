# SPDX-License-Identifier: Apache-2.0
"""Finds, checks and loads the two compiled libraries; nothing else loads any.

`ops` is the module of TensorFlow operations (`_tpufi_ops.so`), `host` the pybind11
module (`_tpufi.so`). They lie in the folder that TPUFI_LIBRARY names, else beside this
file (built tree, wheel), else in `bazel-bin` of the checkout.
"""

import importlib.util
import os
import pathlib
import sys
import types

SUPPORTED = ("2.19", "2.20")
_INSTALL = "pip install 'tpufi[cpu]' (or tpufi[tensorflow], tpufi[tpu])"

try:
    import tensorflow as tf
except ModuleNotFoundError as _error:
    if _error.name != "tensorflow":
        raise
    raise ImportError(
        f"tpufi needs TensorFlow {' or '.join(SUPPORTED)}, and none is installed; run: "
        f"{_INSTALL}",
        name="tensorflow",
    ) from None

_FILES = ("_tpufi.so", "_tpufi_ops.so")
_PACKAGE = pathlib.Path(os.path.abspath(__file__)).parent
_CHECKOUT = _PACKAGE.parents[1]
_REBUILD = f"PYTHON_BIN_PATH={sys.executable} bazel build //:tpufi"


def _installed() -> str:
    """Return `major.minor` of the installed TensorFlow, one that tpufi supports."""
    minor = ".".join(tf.__version__.split(".")[:2])
    if minor not in SUPPORTED:
        raise ImportError(
            f"tpufi needs TensorFlow {' or '.join(SUPPORTED)}, but {tf.__version__} is "
            f"installed; run: {_INSTALL}",
            name="tensorflow",
        )
    return minor


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


def _load_ops(path: pathlib.Path) -> types.ModuleType:
    try:
        return tf.load_op_library(str(path))
    except tf.errors.NotFoundError as error:  # An undefined symbol, as a rule.
        raise ImportError(
            f"{path} does not load in TensorFlow {tf.__version__} ({error.message}); "
            f"it was built against another one; run: {_REBUILD}",
            name="_tpufi",
        ) from error


def _load() -> tuple[types.ModuleType, types.ModuleType]:
    minor = _installed()
    folder = _folder()
    host_module = _load_host(folder / _FILES[0])
    if host_module.built_for_tensorflow != minor:
        raise ImportError(
            f"the libraries in {folder} were built for TensorFlow "
            f"{host_module.built_for_tensorflow}, but {tf.__version__} is installed; "
            f"run: pip install 'tensorflow-cpu=={host_module.built_for_tensorflow}.*', "
            f"or in the checkout of tpufi: {_REBUILD}",
            name="tensorflow",
        )
    return host_module, _load_ops(folder / _FILES[1])


host, ops = _load()
