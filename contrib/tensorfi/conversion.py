# SPDX-License-Identifier: Apache-2.0
"""Turns a configuration of TensorFI or TensorFI2 into ours, and says what changed."""

from tpufi.contrib.tensorfi.config import KEYS, OperationConfig, operation_config
from tpufi.contrib.tensorfi.layer_plan import layer_config
from tpufi.yaml_reader import Node

_BITS = (
    "flips are of the element's own bits (IEEE); TensorFI flipped a sign and 21 "
    "integer places: results differ; bit_model: tensorfi21_10 brings that back"
)
_FRESH = "the instance is drawn again in each run; pin_instance: true keeps it"
_COUNTED = "Instances were removed: executions are counted by running the program"


def convert(tree: Node, legacy: bool) -> str:
    """Return the text of our configuration file, remarks first.

    Args:
      tree: theirs.
      legacy: keep their tolerances and bit model.

    Raises:
      InputError: it cannot be read even with their tolerances, or injects nothing.
    """
    if isinstance(tree.value, dict) and "Target" in tree.value:
        return _layers(tree, legacy)
    config = operation_config(tree, legacy=True)
    remarks = _operation_remarks(tree, config, legacy)
    lines = [
        f"ScalarFaultType: {config.scalar_type}",
        f"TensorFaultType: {config.tensor_type}",
        "Ops:",
        *(f"  - {name} = {value!r}" for name, value in config.probabilities.items()),
        f"InjectMode: {config.mode}",
        f"Seed: {config.seed}",
    ]
    if not config.probabilities:
        raise tree.wrong("Ops with a known name: this file injects nothing")
    if config.mode == "None":
        raise tree.wrong("InjectMode: this file never injects; add a mode")
    if config.skip:
        lines.append(f"SkipCount: {config.skip}")
    if config.tensor_type == "multiBitFlip" or config.scalar_type == "multiBitFlip":
        lines.append(f"BitCount: {config.bit_count}")
    if legacy:
        lines.append("legacy: true")
        if config.instances:
            lines += ["Instances:"]
            lines += [f"  - {name} = {n}" for name, n in config.instances.items()]
    return _text(remarks, lines)


def _operation_remarks(tree: Node, config: OperationConfig, legacy: bool) -> list[str]:
    remarks = []
    if "Seed" not in tree.value:
        remarks.append("there was no Seed, so nothing could be repeated; it is 0 now")
    named = tree.value.get("Ops")
    for item in named.value if named and isinstance(named.value, list) else ():
        name = str(item.value).partition("=")[0].strip()
        if name not in config.probabilities:
            remarks.append(f"{name} was removed: no operation is called so")
    remarks += [f"{k} was removed: unknown key" for k in tree.value if k not in KEYS]
    if legacy:
        return remarks
    if "bitFlip" in config.tensor_type + config.scalar_type:
        remarks.append(_BITS)
    if config.instances:
        remarks.append(_COUNTED)
    if config.mode == "dynamicInstance":
        remarks.append(_FRESH)
    if config.tensor_type == "Rand-element":
        remarks.append(
            "Rand-element injects into tensors of any rank, not only 1 and 2"
        )
    return remarks


def _layers(tree: Node, legacy: bool) -> str:
    config = layer_config(tree, legacy=True)
    remarks = []
    if not legacy and config.mode == "multiple":
        remarks.append(
            "faults reach the last layer or variable too; TensorFI2 left it out"
        )
        if config.kind == "zeros":
            remarks.append("Amount is the percentage of every tensor, not of the first")
    remarks.append("draws come from Seed; TensorFI2 could not be repeated")
    lines = [
        f"Target: {config.target}",
        f"Mode: {config.mode}",
        f"Type: {config.kind}",
        f"Amount: {config.amount}",
    ]
    if config.kind == "bitflips":
        lines.append(f"Bit: {'N' if config.bit is None else config.bit}")
    lines.append(f"Seed: {config.seed}")
    if legacy:
        lines.append("legacy: true")
    return _text(remarks, lines)


def _text(remarks: list[str], lines: list[str]) -> str:
    return "".join(f"# {r}\n" for r in remarks) + "\n".join(lines) + "\n"
