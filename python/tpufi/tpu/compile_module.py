# SPDX-License-Identifier: Apache-2.0
"""Compiles one HLO module for a TPU topology; a program for the environment of jax.

    python compile_module.py MODULE TOPOLOGY CHIPS TEXT

reads the serialised HloModuleProto MODULE, writes the optimised program as text to
TEXT, and prints one JSON object on the last line of stdout; without arguments it prints
the versions of its packages. It imports nothing of tpufi: the environment has no
TensorFlow.
"""

import importlib.metadata
import json
import os
import pathlib
import resource
import sys
import time

# Without these libtpu asks a metadata server for minutes, or waits for a lock that
# belongs to a machine with a TPU.
SETTINGS = {
    "JAX_PLATFORMS": "cpu",
    "TPU_SKIP_MDS_QUERY": "1",
    "TPU_ACCELERATOR_TYPE": "v5litepod-4",
    "TPU_WORKER_HOSTNAMES": "localhost",
    "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",
}

# What is said if the compiler writes what jaxlib's older reader does not know.
UNREADABLE = "the program was compiled, but jaxlib cannot read it back"


def compile_module(module: bytes, topology: str, chips: int) -> tuple[str, dict]:
    """Return the optimised program and what the compiler says about it.

    Args:
      module: a serialised HloModuleProto.
      topology: name that libtpu knows, such as `v5e:2x2`.
      chips: how many chips run it, as replicas; at most those of the topology.
    """
    import jax._src.compiler as options
    import numpy as np
    from jax._src.interpreters import mlir
    from jax.experimental import topologies
    from jaxlib import xla_client
    from jaxlib.mlir import ir

    devices = topologies.get_topology_desc(
        platform="tpu", topology_name=topology
    ).devices
    if chips > len(devices):
        raise ValueError(f"{chips} chips; topology {topology} has {len(devices)}")
    stable = xla_client._xla.mlir.hlo_to_stablehlo(module)
    with mlir.make_ir_context():
        parsed = ir.Module.parse(stable)
        how = options.get_compile_options(
            num_replicas=chips,
            num_partitions=1,
            device_assignment=np.arange(chips).reshape(chips, 1),
        )
        start = time.process_time()
        program = devices[0].client.compile(
            parsed, xla_client.DeviceList(tuple(devices[:chips])), how
        )
        seconds = time.process_time() - start
    analysis = program.cost_analysis()
    analysis = analysis[0] if isinstance(analysis, list) else analysis
    memory = program.get_compiled_memory_stats()
    try:
        modules = program.hlo_modules()
    except Exception as error:
        raise RuntimeError(f"{UNREADABLE}: {error}") from None
    return modules[0].to_string(), {
        "compiler_s": round(seconds, 1),
        "compiler_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10,
        "bytes_accessed": int(analysis["bytes accessed"]),
        "code_bytes": memory.generated_code_size_in_bytes,
        "argument_bytes": memory.argument_size_in_bytes,
        "output_bytes": memory.output_size_in_bytes,
        "temporary_bytes": memory.temp_size_in_bytes,
        "host_bytes": memory.host_argument_size_in_bytes
        + memory.host_output_size_in_bytes
        + memory.host_temp_size_in_bytes,
        "chip": devices[0].device_kind,
        "versions": versions(),
    }


def versions() -> dict[str, str]:
    """Return the versions of the packages that compile."""
    return {n: importlib.metadata.version(n) for n in ("jax", "jaxlib", "libtpu")}


def main(module: str, topology: str, chips: str, text: str) -> int:
    """Compile, write the text, print the figures."""
    os.environ.update(SETTINGS)
    program, figures = compile_module(
        pathlib.Path(module).read_bytes(), topology, int(chips)
    )
    pathlib.Path(text).write_text(program)
    print(json.dumps(figures))
    return 0


if __name__ == "__main__":
    if len(sys.argv) == 1:
        print(json.dumps(versions()))
    else:
        sys.exit(main(*sys.argv[1:]))
