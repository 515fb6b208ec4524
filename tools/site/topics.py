# SPDX-License-Identifier: Apache-2.0
"""The public Python names by topic: the order of the reference."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Topic:
    """One page of the reference.

    Args:
      file: name of the page.
      title: its heading.
      about: what is on it.
      names: public names in reading order, without `tpufi.`; a name that is also a
        package stands for the function in it.
    """

    file: str
    title: str
    about: str
    names: tuple[str, ...]


TOPICS = (
    Topic(
        "instrument",
        "Faults in any program",
        "How to use it: [faults in any TensorFlow program](../instrument.md).",
        ("instrument", "instrument.Instrumented", "flip", "replace", "zero")
        + ("WeightFault", "InjectionCallback")
        + ("instrument.attached.Attachment", "instrument.Run")
        + ("instrument.InjectionRecord", "instrument.GraphSite", "instrument.Selector")
        + ("instrument.SiteFault",),
    ),
    Topic(
        "inference",
        "Campaigns of inferences",
        "How to use them: [inference campaigns](../inference_campaigns.md).",
        ("InferenceCampaign", "instrument.inference.InferenceResult")
        + ("instrument.inference.Trial", "activation_bounds"),
    ),
    Topic(
        "own_training",
        "Campaigns over a training step",
        "How to use them: [training campaigns](../training_campaigns.md).",
        ("TrainingCampaign", "TrainingProgram", "Monitor", "loss_above")
        + ("gradient_norm_above", "not_finite"),
    ),
    Topic(
        "detectors",
        "Detectors and recovery",
        "How to use them: [detectors](../detectors.md), [protecting your training]"
        "(../how_to/protect_training.md).",
        ("detect.sentinel.Sentinel", "detect.sentinel.ProtectedStep")
        + ("detect.detector.Detector", "detect.signals.Signals")
        + ("detect.watch.WatchedSession", "detect.recovery.ProtectedRun")
        + ("detect.recovery.Incident", "detect.calibration.Calibration"),
    ),
    Topic(
        "fault_ops",
        "Fault ops",
        "Types, ranges and gradients: [the fault ops](../ops.md); their registrations: "
        "[registered ops](ops.md).",
        ("flip_bits", "inject_random", "zero_out", "inject_fault", "random_patterns")
        + ("read_record",),
    ),
    Topic(
        "workloads",
        "Workloads and sites",
        "How to make one: [own workload](../how_to/own_workload.md).",
        ("Workload", "WORKLOADS", "sites", "Site", "SiteTable"),
    ),
    Topic(
        "training",
        "Data, training and golden runs",
        "The files: [golden runs and replays](../replay.md), [data](../data.md).",
        ("load_dataset", "Dataset", "Batches", "GoldenConfig", "train_golden")
        + ("make_deterministic",),
    ),
    Topic(
        "fault_models",
        "Fault models",
        "The list: [fault models](../fault_models.md); drawing: "
        "[sampling](../sampling.md).",
        ("any_fault_model", "FaultModel", "FlipBits", "Groups", "Sampler")
        + ("SamplingPlan", "equally", "SiteSpace", "fault_line", "When"),
    ),
    Topic(
        "replays",
        "Injection files, replays and outcomes",
        "The classes: [outcomes](../outcomes.md); the format: "
        "[injection file](../injection_file.md).",
        ("replay", "read_injection", "write_injection", "Injection", "classify")
        + ("Point", "read_thresholds", "InputError"),
    ),
)
