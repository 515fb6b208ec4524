# SPDX-License-Identifier: Apache-2.0
"""Detectors of silent data corruption in training, and recovery from what they find."""

from tpufi.detect.catalogue import DETECTORS, detector
from tpufi.detect.detector import Detector
from tpufi.detect.signals import Network, Signals
from tpufi.detect.watch import WatchedSession, WatchedStep

__all__ = [
    "DETECTORS",
    "Detector",
    "Network",
    "Signals",
    "WatchedStep",
    "WatchedSession",
    "detector",
]
