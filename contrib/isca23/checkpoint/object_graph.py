# SPDX-License-Identifier: Apache-2.0
"""The variables of a TensorFlow checkpoint in the order its objects were made.

A checkpoint written from objects (Keras 2 `save_weights`, `tf.train.Checkpoint`) holds
the graph of these objects: every object with its attributes in the order in which they
were set. Walking it in depth gives the variables in the order of the model's source.
"""

import dataclasses
import hashlib
import pathlib
import re
from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow.core.protobuf import trackable_object_graph_pb2

from tpufi.errors import InputError
from tpufi.messages import one_line, quote, show_path

_GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"
_VALUE = "VARIABLE_VALUE"
_SUFFIX = f"/.ATTRIBUTES/{_VALUE}"
_COUNTER = "save_counter"
# Leaves of what is in a model and is no weight: states of random generators.
_NO_WEIGHT = ("_state_var",)


@dataclasses.dataclass(frozen=True)
class Variable:
    """One variable of a model.

    Args:
      path: attributes from the root to it, e.g. `layer1/0/conv1/kernel`.
      shape: its shape.
      dtype: name of its element type.
      full_name: its TensorFlow name, e.g. `res_net/conv_2/kernel`; may be empty.
      slots: key in the checkpoint of each optimiser slot, by name (`m`, `v`).
    """

    path: str
    shape: tuple[int, ...]
    dtype: str
    full_name: str = ""
    slots: Mapping[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """What a checkpoint holds.

    Args:
      prefix: its files are `<prefix>.index` and `<prefix>.data-...`.
      variables: the model's, in the order of creation.
      ignored: paths that were left out on purpose.
      iterations: updates that the optimiser has counted; None if it is not there.
      sha256: digest of the files.
    """

    prefix: pathlib.Path
    variables: tuple[Variable, ...]
    ignored: tuple[str, ...]
    iterations: int | None
    sha256: str

    def value(self, key: str) -> np.ndarray:
        """Return a tensor by its path, or by the key of a slot.

        Raises:
          InputError: its data are damaged.
        """
        key = key if key.endswith(_SUFFIX) else key + _SUFFIX
        return _read(self.prefix, lambda reader: reader.get_tensor(key))


def read_checkpoint(
    prefix: str | pathlib.Path, ignore: Sequence[str] = ()
) -> Checkpoint:
    """Read what is in a checkpoint, without the values.

    Args:
      prefix: path without the ending `.index`; with it, it is understood too.
      ignore: regular expressions; variables and slots with such a path (a slot's is
        `path/of/variable/slot`) are left out.

    Raises:
      InputError: no checkpoint, a damaged one, one of another kind, or a wrong pattern.
    """
    prefix = pathlib.Path(str(prefix).removesuffix(".index"))
    skip = _compiled(ignore)
    shapes = _read(prefix, lambda reader: reader.get_variable_to_shape_map())
    dtypes = _read(prefix, lambda reader: reader.get_variable_to_dtype_map())
    if _GRAPH not in shapes:
        raise InputError(
            f"{show_path(prefix)}: holds no graph of objects, only names; write it "
            "from objects (Keras 2 save_weights, or tf.train.Checkpoint)"
        )
    graph = _graph(prefix)
    optimizers = _optimizers(graph)
    if len(optimizers) > 1:
        raise InputError(
            f"{show_path(prefix)}: holds {len(optimizers)} optimisers, so that it is "
            "open whose slots count; write a checkpoint with one"
        )
    slots = _slots(graph, optimizers)
    variables, ignored = [], []
    for node_id in _walk(graph, 0, without=optimizers):
        for attribute in graph.nodes[node_id].attributes:
            key = attribute.checkpoint_key
            path = key.removesuffix(_SUFFIX)
            if attribute.name != _VALUE or key not in shapes or path == _COUNTER:
                continue
            if path.rsplit("/", 1)[-1] in _NO_WEIGHT or skip(path):
                ignored.append(path)
                continue
            own = slots.get(node_id, {})
            kept = {name: k for name, k in own.items() if not skip(f"{path}/{name}")}
            ignored += [f"{path}/{name}" for name in own if name not in kept]
            dtype = dtypes[key].name
            shape = tuple(shapes[key])
            name = attribute.full_name
            variables.append(Variable(path, shape, dtype, name, kept))
    if not variables:
        raise InputError(f"{show_path(prefix)}: holds no variable of a model")
    return Checkpoint(
        prefix,
        tuple(variables),
        tuple(ignored),
        _iterations(prefix, graph, optimizers),
        _digest(prefix),
    )


def _read(prefix: pathlib.Path, what):
    try:
        return what(tf.train.load_checkpoint(str(prefix)))
    except (tf.errors.OpError, ValueError, RuntimeError, LookupError, OSError) as error:
        raise InputError(
            f"{show_path(prefix)}: no checkpoint that can be read ({one_line(error)}); "
            "name the path without .index or .data-..., and copy all of its files"
        ) from None


def _graph(prefix: pathlib.Path) -> trackable_object_graph_pb2.TrackableObjectGraph:
    graph = trackable_object_graph_pb2.TrackableObjectGraph()
    try:
        graph.ParseFromString(_read(prefix, lambda reader: reader.get_tensor(_GRAPH)))
    except DecodeError as error:
        raise InputError(
            f"{show_path(prefix)}: its graph of objects is damaged "
            f"({one_line(error)}); copy the checkpoint again"
        ) from None
    return graph


def _walk(graph, root: int, without: Sequence[int] = ()) -> list[int]:
    """Return node ids in depth-first order of the attributes, each once."""
    order, seen, stack = [], set(without), [root]
    while stack:
        node_id = stack.pop()
        if node_id in seen or not 0 <= node_id < len(graph.nodes):
            continue
        seen.add(node_id)
        order.append(node_id)
        stack += [child.node_id for child in reversed(graph.nodes[node_id].children)]
    return order


def _optimizers(graph) -> list[int]:
    """Return the nodes that are optimisers: with slots, or with a counter `iter`."""
    return [
        node_id
        for node_id in _walk(graph, 0)
        if graph.nodes[node_id].slot_variables
        or any(c.local_name == "iter" for c in graph.nodes[node_id].children)
    ]


def _slots(graph, optimizers: list[int]) -> dict[int, dict[str, str]]:
    """Return the key of each slot by the node of its variable and its name."""
    found: dict[int, dict[str, str]] = {}
    for optimizer in optimizers:
        for slot in graph.nodes[optimizer].slot_variables:
            for attribute in graph.nodes[slot.slot_variable_node_id].attributes:
                if attribute.name == _VALUE:
                    own = found.setdefault(slot.original_variable_node_id, {})
                    own[slot.slot_name] = attribute.checkpoint_key
    return found


def _iterations(prefix: pathlib.Path, graph, optimizers: list[int]) -> int | None:
    for optimizer in optimizers:
        for child in graph.nodes[optimizer].children:
            if child.local_name == "iter":
                for attribute in graph.nodes[child.node_id].attributes:
                    key = attribute.checkpoint_key
                    return int(_read(prefix, lambda r, key=key: r.get_tensor(key)))
    return None


def _digest(prefix: pathlib.Path) -> str:
    digest = hashlib.sha256()
    for file in sorted(prefix.parent.glob(f"{prefix.name}.*")):
        if re.fullmatch(r"\.index|\.data-\d+-of-\d+", file.name[len(prefix.name) :]):
            digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


def _compiled(patterns: Sequence[str]):
    try:
        compiled = [re.compile(pattern) for pattern in patterns]
    except re.error as error:
        raise InputError(
            f"--ignore: {quote(error.pattern)} is no regular expression "
            f"({one_line(error)}); escape special characters with a backslash"
        ) from None
    return lambda path: any(pattern.fullmatch(path) for pattern in compiled)
