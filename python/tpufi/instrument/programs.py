# SPDX-License-Identifier: Apache-2.0
"""Accepts the kinds of programs there are, and makes each a callable."""

import os
import pathlib
from collections.abc import Callable, Sequence

import tensorflow as tf
from google.protobuf.message import DecodeError

from tpufi.errors import InputError
from tpufi.messages import nearest_first, one_line, quote, show_path

_KINDS = (
    "a Keras model, a tf.function, a concrete function, a callable tf.Module, a Python "
    "function of tensors, a GraphDef, the folder of a SavedModel, a .keras or a .pb "
    "file"
)


def as_callable(
    program: object,
    feeds: Sequence[str] = (),
    fetches: Sequence[str] = (),
    signature: str | None = None,
) -> Callable:
    """Return a program as something that is called with tensors.

    Args:
      program: see `tpufi.instrument`.
      feeds: of a GraphDef: names of the tensors that the arguments replace, in order.
      fetches: of a GraphDef: names of the tensors to return.
      signature: of a SavedModel: which of its signatures; None: its `__call__`, else
        `serving_default`.

    Raises:
      InputError: it is none of them, or cannot be read, or a name is not in it.
    """
    if isinstance(program, str | os.PathLike):
        path = pathlib.Path(program)
        if path.suffix == ".keras":
            return _keras_file(path)
        if path.is_file():
            return _graph_def(_read_graph_def(path), feeds, fetches)
        return _saved_model(path, signature)
    if isinstance(program, tf.compat.v1.GraphDef):
        return _graph_def(program, feeds, fetches)
    if feeds or fetches:
        raise InputError(
            "feeds and fetches name tensors of a GraphDef; leave them out for "
            f"{type(program).__name__}"
        )
    if not callable(program):
        raise InputError(f"{type(program).__name__} is no program; give {_KINDS}")
    return program


def _keras_file(path: pathlib.Path) -> tf.keras.Model:
    try:
        return tf.keras.models.load_model(path, compile=False, safe_mode=True)
    except (OSError, ValueError, TypeError, KeyError, RuntimeError) as error:
        raise InputError(
            f"{show_path(path)}: Keras does not load it: {one_line(error)}; a layer of "
            "one's own needs @keras.saving.register_keras_serializable()"
        ) from None


def _saved_model(path: pathlib.Path, signature: str | None) -> Callable:
    try:
        loaded = tf.saved_model.load(str(path))
    except (OSError, ValueError, tf.errors.OpError) as error:
        raise InputError(
            f"{show_path(path)}: no SavedModel that loads: {one_line(error)}; name the "
            "folder that holds saved_model.pb"
        ) from None
    if signature is None and callable(loaded):
        return loaded
    name = "serving_default" if signature is None else signature
    if name not in loaded.signatures:
        raise InputError(
            f"{show_path(path)}: no signature {quote(name)}; it has: "
            f"{nearest_first(name, loaded.signatures) or 'none'}"
        )
    function = loaded.signatures[name]
    function.keep_alive = loaded  # Signatures do not own their variables.
    return function


def _read_graph_def(path: pathlib.Path) -> tf.compat.v1.GraphDef:
    try:
        return tf.compat.v1.GraphDef.FromString(path.read_bytes())
    except (OSError, DecodeError) as error:
        raise InputError(
            f"{show_path(path)}: no frozen graph: {one_line(error)}; give {_KINDS}"
        ) from None


def _graph_def(
    definition: tf.compat.v1.GraphDef, feeds: Sequence[str], fetches: Sequence[str]
) -> Callable:
    if not fetches:
        raise InputError("a GraphDef needs fetches=[...], the tensors it returns")
    known = {node.name for node in definition.node}
    for name in (*feeds, *fetches):
        node = name.removeprefix("^").split(":")[0]
        if node not in known:
            raise InputError(
                f"the GraphDef has no operation {quote(node)}; nearest: "
                f"{nearest_first(node, known, 5)}"
            )
    feeds, fetches = ([n if ":" in n else f"{n}:0" for n in names]
                      for names in (feeds, fetches))  # fmt: skip

    try:
        imported = tf.compat.v1.wrap_function(
            lambda: tf.graph_util.import_graph_def(definition, name=""), []
        )
        tensors = [
            [imported.graph.get_tensor_by_name(name) for name in names]
            for names in (feeds, fetches)
        ]
    except (ValueError, KeyError) as error:
        raise InputError(f"the GraphDef: {one_line(error)}") from None
    function = imported.prune(*tensors)
    single = len(fetches) == 1

    def run(*inputs: tf.Tensor):
        if len(inputs) != len(feeds):
            raise InputError(
                f"the GraphDef has {len(feeds)} feeds, got {len(inputs)} arguments"
            )
        results = function(*map(tf.convert_to_tensor, inputs))
        return results[0] if single else results

    return run
