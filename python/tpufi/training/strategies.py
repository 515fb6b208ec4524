# SPDX-License-Identifier: Apache-2.0
"""Where the replicas of a training step run."""

from collections.abc import Iterable

import tensorflow as tf

from tpufi.errors import InputError
from tpufi.training.devices import check_present, share_memory
from tpufi.training.distributed import DistributedProgram
from tpufi.training.program import Program
from tpufi.workload import Workload

STRATEGIES = ("virtual", "mirrored", "tpu")


def make_program(
    workload: Workload,
    strategy: str,
    replicas: int,
    per_replica: int,
    *,
    compiled: bool = False,
    sites: Iterable[str] | None = None,
    device: str = "cpu",
) -> Program | DistributedProgram:
    """Return the program of a workload.

    Args:
      workload: what is trained.
      strategy: `virtual` (one device, one replica after the other), `mirrored` (a GPU
        each, or logical CPU devices) or `tpu` (the cores of this TPU VM).
      replicas: data-parallel replicas.
      per_replica: images of one replica.
      compiled: whether XLA compiles the program; on a TPU it always does.
      sites: names of the sites that faults may name; None: all.
      device: where it runs, one of `tpufi.training.devices.DEVICES`; with strategy
        `tpu` it is a TPU.

    Raises:
      InputError: unknown strategy or site, there are not so many devices, or none of
        the kind.
    """
    how = {"compiled": compiled, "sites": sites}
    if strategy != "tpu":
        check_present(device)
    if device == "gpu":
        share_memory()
    if strategy == "virtual":
        if device == "tpu":
            _tpu_resolver()
        return Program(workload, replicas, per_replica, **how, device=device)
    devices = make_strategy(strategy, replicas, device)
    return DistributedProgram(workload, devices, per_replica, **how)


def make_strategy(
    name: str, replicas: int, device: str = "cpu"
) -> tf.distribute.Strategy:
    """Return the strategy `mirrored` or `tpu` for so many replicas.

    Args:
      name: of the strategy.
      replicas: how many.
      device: of `mirrored`: `cpu` or `gpu`.

    Raises:
      InputError: unknown strategy, or there are not so many devices.
    """
    if name == "mirrored":
        return tf.distribute.MirroredStrategy(_mirrored_devices(replicas, device))
    if name == "tpu":
        return _tpu_strategy(replicas)
    raise InputError(f"strategy {name!r} is unknown; known: {', '.join(STRATEGIES)}")


def _mirrored_devices(replicas: int, device: str) -> list[str]:
    if device == "tpu":
        raise InputError(
            "strategy mirrored has no TPU; choose --strategy tpu, or --device cpu"
        )
    if device == "gpu":
        count = len(tf.config.list_physical_devices("GPU"))
        if count < replicas:
            raise InputError(
                f"strategy mirrored needs {replicas} GPUs and there are {count}; "
                "choose fewer replicas, or --device cpu"
            )
        return [f"GPU:{i}" for i in range(replicas)]
    cpu = tf.config.list_physical_devices("CPU")[0]
    logical = [tf.config.LogicalDeviceConfiguration()] * replicas
    try:
        tf.config.set_logical_device_configuration(cpu, logical)
    except RuntimeError:
        if len(tf.config.list_logical_devices("CPU")) < replicas:
            raise InputError(
                f"strategy mirrored needs {replicas} logical CPU devices, which can be "
                "made only before TensorFlow has started; start a new process"
            ) from None
    return [f"CPU:{i}" for i in range(replicas)]


def _tpu_resolver() -> tf.distribute.cluster_resolver.TPUClusterResolver:
    """Return the resolver of this machine's TPU, once it has been initialised."""
    try:
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver(tpu="local")
        tf.tpu.experimental.initialize_tpu_system(resolver)
    except (ValueError, tf.errors.OpError) as error:
        reason = str(error).splitlines()[0][:200]
        raise InputError(
            f"strategy tpu: no TPU on this machine ({reason}); run on a TPU VM with "
            "tensorflow-tpu, or choose virtual"
        ) from None
    return resolver


def _tpu_strategy(replicas: int) -> tf.distribute.Strategy:
    strategy = tf.distribute.TPUStrategy(_tpu_resolver())
    if strategy.num_replicas_in_sync != replicas:
        raise InputError(
            f"strategy tpu: this machine has {strategy.num_replicas_in_sync} cores, "
            f"not {replicas}; set the number of replicas to that"
        )
    return strategy
