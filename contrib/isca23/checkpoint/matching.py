# SPDX-License-Identifier: Apache-2.0
"""Variables of a checkpoint and our weights, matched by their order.

Weights are taken kind by kind (convolution kernels, biases, gammas, ...). Within a kind
the n-th variable of the checkpoint is our n-th weight, and all shapes have to agree. As
equal shapes follow each other in most models, the order itself has to be certain: it is
refused if numbers or names in the checkpoint contradict it.
"""

import re
from collections.abc import Sequence

from tpufi.contrib.isca23.checkpoint.object_graph import Checkpoint, Variable
from tpufi.errors import InputError
from tpufi.layers import DepthwiseConv2D
from tpufi.layers.layer import Weight
from tpufi.messages import show_path
from tpufi.workload import Workload

Kind = tuple[str, int]
Assignment = dict[str, Variable]

# What Keras, or the artefact, calls a variable that we call otherwise.
_OUR_NAME = {"skip_gain": "gain"}
_SHOWN = 4
_REMEDY = "name the variables with --mapping (docs/from_isca_artifact.md)"


def by_order(checkpoint: Checkpoint, workload: Workload) -> Assignment:
    """Return the variable of each of our weights.

    Args:
      checkpoint: its variables in the order of creation.
      workload: its weights in the order of creation.

    Raises:
      InputError: a number of variables or a shape differs, or the order is not certain;
        the message lists what was expected and what was found.
    """
    ours = _weights_by_kind(workload)
    found: dict[Kind, list[Variable]] = {}
    for variable in checkpoint.variables:
        found.setdefault(kind_of(variable), []).append(variable)
    where = show_path(checkpoint.prefix)
    if problems := _differences(ours, found):
        shown = "; ".join(problems[:_SHOWN])
        more = len(problems) - _SHOWN
        rest = f"; and {more} more differences" if more > 0 else ""
        raise InputError(
            f"{where}: does not fit workload {workload.name}: {shown}{rest}; {_REMEDY}"
        )
    pairs = [
        (weight, variable)
        for kind, weights in ours.items()
        for weight, variable in zip(weights, found[kind], strict=True)
    ]
    doubts = [
        *_descending_attributes(checkpoint.variables),
        *_descending_layers(found),
        *_other_names(pairs, workload),
    ]
    if doubts:
        raise InputError(
            f"{where}: the order of its variables is not certain: {doubts[0]}; "
            f"{_REMEDY}"
        )
    return {weight.name: variable for weight, variable in pairs}


def kind_of(variable: Variable) -> Kind:
    """Return the kind of a variable: what it is to its layer, and its rank."""
    leaf = variable.path.rsplit("/", 1)[-1]
    return _OUR_NAME.get(leaf, leaf), len(variable.shape)


def _weights_by_kind(workload: Workload) -> dict[Kind, list[Weight]]:
    kinds: dict[Kind, list[Weight]] = {}
    for layer, shape in workload.layers:
        for weight in (*layer.parameters(shape), *layer.statistics(shape)):
            leaf = weight.name.rsplit("/", 1)[-1]
            if isinstance(layer, DepthwiseConv2D):
                leaf = f"depthwise_{leaf}"
            kinds.setdefault((leaf, len(weight.shape)), []).append(weight)
    return kinds


def _differences(
    ours: dict[Kind, list[Weight]], found: dict[Kind, list[Variable]]
) -> list[str]:
    problems = []
    for kind in dict.fromkeys((*ours, *found)):
        leaf, rank = kind
        weights, variables = ours.get(kind, []), found.get(kind, [])
        if len(weights) != len(variables):
            first = weights or variables
            name = getattr(first[0], "name", None) or variables[0].path
            problems.append(
                f"expected {len(weights)} variables {leaf!r} of rank {rank}, found "
                f"{len(variables)} (the first is {name})"
            )
        problems += [
            f"expected {weight.name} {weight.shape}, found {variable.path} "
            f"{variable.shape} in its place"
            for weight, variable in zip(weights, variables, strict=False)
            if weight.shape != variable.shape
        ]
    return problems


def _descending_attributes(variables: Sequence[Variable]) -> list[str]:
    """Numbered attributes of one object (`conv1`, `conv2`; `0`, `1`) must ascend."""
    last: dict[tuple, tuple[list[int], str]] = {}
    doubts = []
    for variable in variables:
        parts = variable.path.split("/")
        for i, part in enumerate(parts):
            numbers = [int(n) for n in re.findall(r"\d+", part)]
            key = (*parts[:i], re.sub(r"\d+", "#", part))
            before, path = last.get(key, ([], ""))
            if numbers < before:
                doubts.append(f"{variable.path} comes behind {path}")
            last[key] = numbers, variable.path
    return doubts


def _descending_layers(found: dict[Kind, list[Variable]]) -> list[str]:
    """Numbers that Keras gave to layers of a class (`conv`, `conv_1`) must ascend."""
    doubts = []
    for kind, variables in found.items():
        series: dict[str, list[tuple[int, str]]] = {}
        for variable in variables:
            layer = variable.full_name.split("/")[-2:-1]
            for stem, number in re.findall(r"^(.*?)(?:_(\d+))?$", "".join(layer))[:1]:
                entry = int(number or 0), variable.full_name
                series.setdefault(stem, []).append(entry)
        for stem, entries in series.items():
            numbers = [number for number, _ in entries]
            # A number that appears twice is the user's, not a running number.
            if (
                stem
                and len(set(numbers)) == len(numbers)
                and numbers != sorted(numbers)
            ):
                at = next(
                    i for i in range(1, len(numbers)) if numbers[i] < numbers[i - 1]
                )
                doubts.append(
                    f"{kind[0]} {entries[at][1]} comes behind {entries[at - 1][1]}"
                )
    return doubts


def _other_names(
    pairs: Sequence[tuple[Weight, Variable]], workload: Workload
) -> list[str]:
    """A variable that has the name of one of our layers must be matched with it."""
    # Names without an underscore (`conv1`) are attributes of many objects.
    layers = {layer.name for layer, _ in workload.layers if "_" in layer.name}
    doubts = []
    for weight, variable in pairs:
        own = weight.name.rsplit("/", 1)[0]
        for part in (*variable.path.split("/"), *variable.full_name.split("/")):
            if part in layers and part not in (own, own.removesuffix("_bias")):
                doubts.append(
                    f"{variable.path} ({variable.full_name}) stands where "
                    f"{weight.name} is expected"
                )
    return doubts
