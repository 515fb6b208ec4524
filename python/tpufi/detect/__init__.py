# SPDX-License-Identifier: Apache-2.0
"""Detectors of silent data corruption in training, and recovery from what they find.

`Sentinel` and `ProtectedStep` are imported when they are first used: they load Keras.
"""

from tpufi.detect.catalogue import DETECTORS, any_detector, detector
from tpufi.detect.detector import Detector
from tpufi.detect.recovery import Incident, ProtectedRun
from tpufi.detect.signals import Network, Signals
from tpufi.detect.watch import WatchedSession, WatchedStep

_OF_KERAS = ("ProtectedStep", "Sentinel")

__all__ = [
    "DETECTORS",
    "Detector",
    "Incident",
    "Network",
    "ProtectedRun",
    "ProtectedStep",
    "Sentinel",
    "Signals",
    "WatchedSession",
    "WatchedStep",
    "any_detector",
    "detector",
]


def __getattr__(name: str) -> object:
    if name not in _OF_KERAS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from tpufi.detect import sentinel

    return globals().setdefault(name, getattr(sentinel, name))
