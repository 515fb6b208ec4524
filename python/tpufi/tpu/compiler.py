# SPDX-License-Identifier: Apache-2.0
"""The TPU compiler as a program of its own, in an environment of its own.

jax and libtpu want other versions of packages than TensorFlow does, so they live in a
virtual environment that `./dev tpu` makes from requirements-tpu.lock.
"""

import dataclasses
import json
import os
import pathlib
import subprocess
import tempfile

from tpufi.errors import InputError
from tpufi.tpu import compile_module
from tpufi.tpu.program_text import ProgramCost, read_program

# Passes behind the estimates. Without them a program is compiled in half the time; its
# code is larger and slower, and few of its kernels are others (decision 0015).
_CODE_PASSES = (
    "xla_jf_vliw_scheduler",
    "xla_jf_xlu_optimizer",
    "xla_jf_critical_path_scheduler",
    "xla_jf_lsra_v2_verifier",
    "xla_tpu_load_store_optimizations",
    "xla_tpu_impure_enable_retry_opt",
)
_NO_CODE_PASSES = " ".join(f"--{name}=false" for name in _CODE_PASSES)

ENVIRONMENT = pathlib.Path(__file__).resolve().parents[3] / ".venv-tpu"


@dataclasses.dataclass(frozen=True)
class Compiled:
    """One program as a TPU would run it.

    Args:
      cost: what its text says.
      figures: what the compiler says: sizes in bytes, `compile_s`, `chip`, `versions`.
      text: the optimised HLO module.
    """

    cost: ProgramCost
    figures: dict
    text: str


def interpreter(environment: pathlib.Path = ENVIRONMENT) -> pathlib.Path:
    """Return the Python that has jax and libtpu.

    Raises:
      InputError: there is none.
    """
    python = environment / "bin" / "python"
    if not python.exists():
        raise InputError(
            f"no TPU compiler in {environment}; `./dev tpu` makes that environment"
        )
    return python


def versions(environment: pathlib.Path = ENVIRONMENT) -> dict[str, str]:
    """Return the versions of the compiler's packages.

    Raises:
      InputError: there is no compiler, or a package is missing.
    """
    command = [interpreter(environment), compile_module.__file__]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    if run.returncode != 0:
        lines = run.stderr.strip().splitlines() or [f"exit code {run.returncode}"]
        raise InputError(f"no TPU compiler in {environment}: {lines[-1]}")
    return json.loads(run.stdout)


def compile_for(
    module: bytes,
    topology: str,
    chips: int = 1,
    environment: pathlib.Path = ENVIRONMENT,
    *,
    estimates_only: bool = False,
) -> Compiled:
    """Compile a module for a TPU.

    Args:
      module: a serialised HloModuleProto.
      topology: name that libtpu knows, such as `v5e:2x2`.
      chips: how many chips run it, as replicas, >= 1.
      environment: the virtual environment with jax and libtpu.
      estimates_only: leave out what improves the code only.

    Raises:
      InputError: there is no such environment, the compiler refuses (its last line is
        in the message), or it was ended from outside.
    """
    python = interpreter(environment)
    flags = os.environ.get("LIBTPU_INIT_ARGS", "")
    if estimates_only:
        flags = f"{flags} {_NO_CODE_PASSES} --xla_tpu_compile_time_fuel=0"
    with tempfile.TemporaryDirectory() as folder:
        source, text = pathlib.Path(folder, "module"), pathlib.Path(folder, "text")
        source.write_bytes(module)
        run = subprocess.run(
            [python, compile_module.__file__, source, topology, str(chips), text],
            capture_output=True,
            text=True,
            check=False,
            env=os.environ | {"LIBTPU_INIT_ARGS": flags},
        )
        if run.returncode < 0:
            raise InputError(
                f"the TPU compiler was ended by signal {-run.returncode}; the system "
                "may lack memory: take fewer --groups, or compile each alone: --apart"
            )
        if run.returncode != 0:
            lines = run.stderr.strip().splitlines() or [f"exit code {run.returncode}"]
            raise InputError(
                f"the TPU compiler refuses topology {topology!r}: {lines[-1]}"
            )
        program = text.read_text()
    figures = json.loads(run.stdout.strip().splitlines()[-1])
    return Compiled(read_program(program), figures, program)
