# SPDX-License-Identifier: Apache-2.0
"""Hardware faults in TensorFlow programs.

Each name of `__all__` is imported when it is first used; editors and type checkers read
`__init__.pyi`. If TensorFlow has been imported before, the fault ops are registered at
once, else together with the first name that needs them, or by `import tpufi.ops`.
"""

import importlib
import sys

__version__ = "0.2.0.dev0"

_MODULE_OF = {
    "InputError": "tpufi.errors",
    # Ops.
    "flip_bits": "tpufi.ops",
    "inject_fault": "tpufi.ops",
    "inject_random": "tpufi.ops",
    "zero_out": "tpufi.ops",
    "random_patterns": "tpufi.random",
    "read_record": "tpufi.descriptor",
    # Any TensorFlow program.
    "instrument": "tpufi.instrument",  # This package can be called itself.
    "flip": "tpufi.instrument",
    "replace": "tpufi.instrument",
    "zero": "tpufi.instrument",
    "WeightFault": "tpufi.instrument",
    "InjectionCallback": "tpufi.instrument.callback",
    "InferenceCampaign": "tpufi.instrument.inference",
    "activation_bounds": "tpufi.instrument.inference",
    # A training step of the user.
    "TrainingCampaign": "tpufi.campaign.own_step.training_campaign",
    "TrainingProgram": "tpufi.campaign.own_step.training_program",
    "Monitor": "tpufi.campaign.own_step.monitors",
    "gradient_norm_above": "tpufi.campaign.own_step.monitors",
    "loss_above": "tpufi.campaign.own_step.monitors",
    "not_finite": "tpufi.campaign.own_step.monitors",
    # Workloads and their fault sites.
    "Workload": "tpufi.workload",
    "WORKLOADS": "tpufi.models",
    "sites": "tpufi.models",
    "Site": "tpufi.site_table",
    "SiteTable": "tpufi.site_table",
    # Data, training and golden runs.
    "Batches": "tpufi.data",
    "Dataset": "tpufi.data",
    "load_dataset": "tpufi.data",
    "GoldenConfig": "tpufi.golden",
    "train_golden": "tpufi.golden",
    "make_deterministic": "tpufi.training",
    # Fault models, and faults drawn from them.
    "FaultModel": "tpufi.faults.fault_model",
    "FlipBits": "tpufi.faults.values",
    "Groups": "tpufi.faults.elements",
    "any_fault_model": "tpufi.faults.catalogue",
    "fault_line": "tpufi.faults.jsonl",
    "Sampler": "tpufi.faults.sampler",
    "SamplingPlan": "tpufi.faults.plan",
    "equally": "tpufi.faults.plan",
    "When": "tpufi.when",
    "SiteSpace": "tpufi.faults.plan",
    # Injection files, replays and their outcomes.
    "Injection": "tpufi.faults.injection",
    "read_injection": "tpufi.faults.csv",
    "write_injection": "tpufi.faults.csv",
    "replay": "tpufi.experiment.replay",
    "Point": "tpufi.outcomes.outcome",
    "classify": "tpufi.outcomes.outcome",
    "read_thresholds": "tpufi.outcomes.outcome_thresholds",
}

__all__ = [  # Not made of the above: tools read it.
    "Batches", "Dataset", "FaultModel", "FlipBits", "GoldenConfig", "Groups",
    "InferenceCampaign", "Injection", "InjectionCallback", "InputError", "Monitor",
    "Point", "Sampler", "SamplingPlan", "Site", "SiteSpace", "SiteTable",
    "TrainingCampaign", "TrainingProgram", "WORKLOADS", "WeightFault", "When",
    "Workload", "activation_bounds", "any_fault_model", "classify", "equally",
    "fault_line",
    "flip", "flip_bits", "gradient_norm_above", "inject_fault", "inject_random",
    "instrument", "load_dataset", "loss_above", "make_deterministic", "not_finite",
    "random_patterns", "read_injection", "read_record", "read_thresholds", "replace",
    "replay", "sites", "train_golden", "write_injection", "zero", "zero_out",
]  # fmt: skip


def __getattr__(name: str) -> object:
    if name in _MODULE_OF:
        return globals().setdefault(name, _imported(name))
    try:  # tpufi.data is there without a separate import.
        return importlib.import_module(f"{__name__}.{name}")
    except ModuleNotFoundError as error:
        if error.name != f"{__name__}.{name}":
            raise
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def _imported(name: str) -> object:
    try:
        return getattr(importlib.import_module(_MODULE_OF[name]), name)
    except ModuleNotFoundError as error:
        if error.name != "tensorflow":
            raise
    from tpufi.extras import TENSORFLOW_MISSING

    raise ImportError(TENSORFLOW_MISSING, name="tensorflow")


if "tensorflow" in sys.modules:
    importlib.import_module("tpufi.ops")
