# SPDX-License-Identifier: Apache-2.0
"""What watching a training step costs, detector by detector."""

from measure.paired import interleaved, ratios
from tpufi.detect import WatchedSession
from tpufi.detect.catalogue import DETECTORS, SETS, detector
from tpufi.detect.detectors.exact_replay import ExactReplay
from tpufi.golden import GoldenConfig

MODEL, IMAGES = "resnet18", 64
ROUNDS = 9  # Steps of each kind.


def detector_prices(data: str, rounds: int = ROUNDS) -> dict[str, dict[str, float]]:
    """Return what a watched clean step takes in unwatched ones, by detector and set.

    One step each in turns; ratios are paired, medians with intervals of 95 %.

    Args:
      data: images, see `GoldenConfig`.
      rounds: how often, >= 2.

    Returns:
      The fields of a `Spread` of each detector but of exact replay, whose price is that
      of the steps that it does again.
    """
    session = GoldenConfig(MODEL, data, replicas=1, per_replica=IMAGES).session()
    state = session.initial_state()
    names = [n for n, kind in DETECTORS.items() if not issubclass(kind, ExactReplay)]
    sets = {name: {name: detector(name)} for name in names}
    for name, several in SETS.items():
        sets[name] = {one: detector(one) for one in several if one in names}

    def watched(detectors: dict):
        own = WatchedSession(session, detectors)
        memory = own.memory()
        return lambda: own.step(state, 1, memory).scores

    variants = {name: watched(own) for name, own in sets.items()}
    variants["clean"] = lambda: session.step(state, 1).loss
    for work in variants.values():
        work()
    seconds = interleaved(variants, rounds)
    return {name: vars(ratios(seconds[name], seconds["clean"])) for name in sets}
