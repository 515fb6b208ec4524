# SPDX-License-Identifier: Apache-2.0
"""The smallest and largest value of every site in one run."""

from collections.abc import Sequence

import tensorflow as tf
from tensorflow.core.framework import function_pb2, types_pb2

from tpufi.descriptor import disarmed
from tpufi.instrument.armed_program import ArmedProgram
from tpufi.instrument.context import context
from tpufi.instrument.nodes import add_node, type_attr
from tpufi.instrument.prefix.cut import producing
from tpufi.instrument.prefix.inlined import inlined


class SiteRanges:
    """Computes ranges of floating-point sites outside branches and loops.

    Args:
      armed: the program; it changes no state (`pure.first_effect`).

    Attributes:
      sites: ids of the sites that it tells.
    """

    def __init__(self, armed: ArmedProgram):
        definition, starts = inlined(armed)
        nodes = {node.name: node for node in definition.node_def}
        by_id, places = armed.by_id, {}
        for site, start in starts.items():
            faults = nodes[start].op == "Tpufi>InjectFault"
            if faults and "float" in by_id[site].dtype and by_id[site].size != 0:
                places[site] = nodes[start].input[0]
        self.sites = tuple(places)
        part = producing(definition, list(places.values()), "_ranges")
        for number, result in enumerate(list(part.signature.output_arg)):
            _reduce(part, number, result)
        self._armed, self._function = armed, armed.load(part)

    def of(self, flat: Sequence[tf.Tensor]) -> dict[int, tuple[float, float]]:
        """Return smallest and largest value of each site.

        Args:
          flat: inputs of the graph, `ArmedProgram.program.flat`.
        """
        nothing = disarmed()
        given = (
            tf.constant(context(0), tf.int64),
            tf.constant(nothing.faults),
            tf.constant(nothing.words),
        )
        found = self._function([*flat, *given])
        ends = [tuple(map(float, pair.numpy())) for pair in found]
        return dict(zip(self.sites, ends, strict=True))


def _reduce(part: function_pb2.FunctionDef, number: int, result) -> None:
    """Return a pair in the place of a tensor: its smallest and its largest value."""
    name, kind = f"tpufi_range_{number}", {"T": type_attr(result.type)}
    index = {"dtype": type_attr("int32")}
    flat = add_node(part, f"{name}/flat", "Const", (), **index)
    flat.attr["value"].tensor.CopyFrom(tf.make_tensor_proto([-1], tf.int32))
    axis = add_node(part, f"{name}/axis", "Const", (), **index)
    axis.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(0, tf.int32))
    row = f"{name}/row"
    shape = {"Tshape": type_attr("int32")}
    given = part.ret[result.name], f"{flat.name}:output:0"
    add_node(part, row, "Reshape", given, **kind, **shape)
    ends = []
    for op in ("Min", "Max"):
        node = add_node(part, f"{name}/{op}", op, (f"{row}:output:0",
                        f"{axis.name}:output:0"), **kind)  # fmt: skip
        node.attr["Tidx"].type = types_pb2.DT_INT32
        wide = {"SrcT": kind["T"], "DstT": type_attr("float64")}
        add_node(part, f"{name}/{op}_wide", "Cast", (f"{node.name}:output:0",), **wide)
        ends.append(f"{name}/{op}_wide:y:0")
    pair = add_node(part, f"{name}/pair", "Pack", ends, T=type_attr("float64"))
    pair.attr["N"].i = len(ends)
    result.type = types_pb2.DT_DOUBLE
    part.ret[result.name] = f"{pair.name}:output:0"
