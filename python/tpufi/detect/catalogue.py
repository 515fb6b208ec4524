# SPDX-License-Identifier: Apache-2.0
"""The detectors by name; a new one is a file and a line here."""

import dataclasses
from collections.abc import Mapping
from types import MappingProxyType

from tpufi.detect.detector import Detector
from tpufi.detect.detectors.conv_checksums import ConvChecksums
from tpufi.detect.detectors.dense_checksums import DenseChecksums
from tpufi.detect.detectors.exact_replay import ExactReplay
from tpufi.detect.detectors.feature_value import FeatureValue
from tpufi.detect.detectors.free_invariants import (
    AttentionColumnSums,
    LinearProducts,
    LogitZeroSums,
    NormZeroSums,
    SoftmaxZeroSums,
)
from tpufi.detect.detectors.history_bounds import HistoryBounds
from tpufi.detect.detectors.non_finite import NonFinite
from tpufi.detect.detectors.replica_outlier import ReplicaOutlier
from tpufi.detect.detectors.state_checksum import StateChecksum
from tpufi.detect.detectors.update_jump import UpdateJump
from tpufi.detect.detectors.variance_bounds import VarianceBounds
from tpufi.detect.detectors.z_score import GradientNormZScore, LossZScore
from tpufi.errors import InputError
from tpufi.messages import quote
from tpufi.user_file import named_parts, python_object, users_code

DETECTORS: Mapping[str, type[Detector]] = MappingProxyType(
    {
        "non_finite": NonFinite,
        "history_bounds": HistoryBounds,
        "variance_bounds": VarianceBounds,
        "update_jump": UpdateJump,
        "loss_z_score": LossZScore,
        "gradient_norm_z_score": GradientNormZScore,
        "feature_value": FeatureValue,
        "state_checksum": StateChecksum,
        "replica_outlier": ReplicaOutlier,
        "exact_replay": ExactReplay,
        "norm_zero_sums": NormZeroSums,
        "softmax_zero_sums": SoftmaxZeroSums,
        "logit_zero_sums": LogitZeroSums,
        "attention_column_sums": AttentionColumnSums,
        "linear_products": LinearProducts,
        "dense_checksums": DenseChecksums,
        "conv_checksums": ConvChecksums,
    }
)

# Names of several; a plan and a command take them in place of a detector's.
SETS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "all": tuple(DETECTORS),
        # Covers most of what all cover, see docs/results/detectors/README.md.
        "sentinel": ("loss_z_score", "gradient_norm_z_score", "dense_checksums"),
    }
)


def named_detectors(name: str) -> dict[str, Detector]:
    """Return a detector by its name, or those of a set.

    Args:
      name: key of `DETECTORS` or of `SETS`.

    Raises:
      InputError: there is no such detector or set.
    """
    if name not in SETS and name not in DETECTORS:
        known = ", ".join((*SETS, *DETECTORS))
        raise InputError(f"detector {quote(name)}; known: {known}")
    return {one: detector(one) for one in SETS.get(name, (name,))}


def detector(name: str, **settings: float) -> Detector:
    """Return a detector by its name.

    Args:
      name: key of `DETECTORS`.
      settings: fields other than their defaults, e.g. `threshold`.

    Raises:
      InputError: there is no such detector, or it has no such field.
    """
    if name not in DETECTORS:
        raise InputError(f"detector {quote(name)}; known: {', '.join(DETECTORS)}")
    fields = [field.name for field in dataclasses.fields(DETECTORS[name])]
    for key in settings:
        if key not in fields:
            raise InputError(
                f"detector {name}: {quote(key)}; it has {', '.join(sorted(fields))}"
            )
    return DETECTORS[name](**settings)


def any_detector(name: str, **settings: float) -> Detector:
    """Return a detector by its name, or that of a Python file.

    Args:
      name: key of `DETECTORS`, or `file.py:NAME`; the file is run.
      settings: fields other than they are, e.g. `threshold`.

    Raises:
      InputError: there is none, or it has no such field.
    """
    if not named_parts(name)[1]:
        return detector(name, **settings)
    found = python_object(name)
    if not isinstance(found, Detector):
        raise InputError(
            f"{name}: {type(found).__name__}; expected a tpufi.detect.Detector "
            "(docs/how_to/own_detector.md)"
        )
    with users_code(name):
        return dataclasses.replace(found, **settings)


def name_of(detector: Detector) -> str:
    """Return the name of a detector; of one that is not in the table its class's."""
    for name, kind in DETECTORS.items():
        if type(detector) is kind:
            return name
    return type(detector).__name__
