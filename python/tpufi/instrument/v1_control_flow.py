# SPDX-License-Identifier: Apache-2.0
"""Finds operations inside the control flow of TensorFlow 1, where no op can be added.

An operation inside a frame (Enter ... Exit) may only use what enters the frame, and one
between Switch and Merge may not run at all: neither can take a descriptor and return a
record.
"""

from collections import defaultdict

from tensorflow.core.framework import function_pb2

_REGIONS = (
    ({"Enter", "RefEnter"}, {"Exit", "RefExit"}),
    ({"Switch", "RefSwitch"}, {"Merge", "RefMerge", "Exit", "RefExit"}),
)


def in_v1_control_flow(definition: function_pb2.FunctionDef) -> set[str]:
    """Return the names of such operations, with those that open a region."""
    nodes = {node.name: node for node in definition.node_def}
    consumers = defaultdict(list)
    for node in definition.node_def:
        for name in node.input:
            consumers[name.removeprefix("^").split(":")[0]].append(node.name)
    inside: set[str] = set()
    for opening, closing in _REGIONS:
        region = {name for name, node in nodes.items() if node.op in opening}
        pending = list(region)
        while pending:
            for consumer in consumers[pending.pop()]:
                if consumer not in region and nodes[consumer].op not in closing:
                    region.add(consumer)
                    pending.append(consumer)
        inside |= region
    return inside
