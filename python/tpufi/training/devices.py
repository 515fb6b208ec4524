# SPDX-License-Identifier: Apache-2.0
"""On which device a program runs, and whether XLA compiles it there.

The fault ops have a CPU kernel and a lowering for XLA, and no GPU kernel. So programs
are compiled on a GPU and on a TPU, and run as a graph on a CPU unless asked otherwise.
"""

import argparse
import contextlib
import dataclasses
import os
from collections.abc import Iterator

import tensorflow as tf
from absl import logging

from tpufi.errors import InputError

DEVICES = ("cpu", "gpu", "tpu")
AUTO = "auto"
_TPU_STRATEGY = "tpu"
_SITES_OF_A_CORE = 200


@dataclasses.dataclass(frozen=True)
class Placement:
    """Where and how a program runs; a golden run has one for all that forks from it.

    Args:
      device: one of `DEVICES`.
      compiled: whether XLA compiles the program.
    """

    device: str = "cpu"
    compiled: bool = False

    def __str__(self) -> str:
        return f"{self.device} ({'compiled' if self.compiled else 'graph'})"

    @property
    def options(self) -> str:
        """The options of a command that ask for it."""
        compiled = self.device == "cpu" and self.compiled
        return f"--device {self.device}{' --compile' if compiled else ''}"


@dataclasses.dataclass(frozen=True)
class Asked:
    """What the options of a command ask for.

    Args:
      device: one of `DEVICES`, or `auto`.
      compiled: whether XLA compiles; None: as is usual on the device.
    """

    device: str = AUTO
    compiled: bool | None = None

    def placement(self, strategy: str = "virtual") -> Placement:
        """Return where a new golden run is trained.

        Args:
          strategy: one of `tpufi.training.strategies.STRATEGIES`.

        Raises:
          InputError: there is no such device here, or it cannot run such a program.
        """
        if strategy == _TPU_STRATEGY:
            if self.device not in (AUTO, "tpu"):
                raise InputError(
                    f"device {self.device} with strategy tpu, whose replicas run on "
                    "the cores of a TPU; leave --device out, or choose --strategy "
                    "virtual"
                )
            device = "tpu"
        elif self.device == AUTO:
            device = max(present(), key=DEVICES.index)
        else:
            device = self.device
            check_present(device)
        if self.compiled is False:
            check_compiled(device, False)
        return Placement(device, device != "cpu" or bool(self.compiled))

    def check_same(self, golden: Placement, folder: object) -> None:
        """Refuse a device or a compilation that is not the golden run's.

        Args:
          golden: where the golden run was trained.
          folder: of the golden run, for the message.

        Raises:
          InputError: it is another one, or none that there can be.
        """
        compiled = golden.compiled if self.compiled is None else self.compiled
        device = golden.device if self.device == AUTO else self.device
        if device != "cpu":
            check_compiled(device, self.compiled is not False)
            compiled = True
        if (asked := Placement(device, compiled)) != golden:
            raise InputError(
                f"{folder}: the golden run was trained on {golden}, and {asked} rounds "
                f"in another way; leave the option out, or train a golden run there "
                f"with tpufi golden {asked.options}"
            )


USUAL = Asked()


def present() -> tuple[str, ...]:
    """Return which of `DEVICES` TensorFlow lists on this machine."""
    return tuple(d for d in DEVICES if tf.config.list_physical_devices(d.upper()))


def check_present(device: str) -> None:
    """Raise InputError unless TensorFlow lists the device."""
    here = present()
    if device not in here:
        raise InputError(
            f"device {device}: TensorFlow lists none on this machine, which has: "
            f"{', '.join(here)}; choose one of these, or run where there is one"
        )


def warn_of_hang(device: str, compiled: bool, sites: int) -> None:
    """Warn of a program that XLA may never end compiling on a CPU.

    It has more kernels than the queue of XLA's pool takes; see docs/compatibility.md.

    Args:
      device: where it runs, one of `DEVICES`.
      compiled: whether XLA compiles it.
      sites: how many it has.
    """
    cores = len(os.sched_getaffinity(0))
    if device == "cpu" and compiled and sites > _SITES_OF_A_CORE * cores:
        logging.warning(
            "%d sites on %d cores: TensorFlow's XLA may hang while it compiles so many "
            "for a CPU; name fewer sites (a plan's patterns), or run the graph",
            sites,
            cores,
        )


def check_compiled(device: str, compiled: bool) -> None:
    """Raise InputError for a program that is not compiled and needs to be."""
    if device != "cpu" and not compiled:
        raise InputError(
            f"device {device} without compilation: the fault ops have no {device} "
            "kernel and would run on the CPU; leave --no-compile out, or choose "
            "--device cpu"
        )


def share_memory() -> None:
    """Let processes share a GPU, if TensorFlow has not started to use it yet.

    Otherwise the first worker of a campaign takes all of its memory.
    """
    with contextlib.suppress(RuntimeError):
        for gpu in tf.config.list_physical_devices("GPU"):
            tf.config.experimental.set_memory_growth(gpu, True)


@contextlib.contextmanager
def placed(device: str) -> Iterator[None]:
    """Run TensorFlow's operations on the first device of a kind."""
    with tf.device(f"/device:{device.upper()}:0"):
        yield


def asked(options: argparse.Namespace) -> Asked:
    """Return what the options `--device` and `--compile` of a command ask for."""
    return Asked(options.device, options.compile)
