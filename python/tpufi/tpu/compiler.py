# SPDX-License-Identifier: Apache-2.0
"""The TPU compiler as a separate program, in a separate environment.

jax and libtpu want other versions of packages than TensorFlow does, so they live in a
virtual environment that `./dev tpu` makes from requirements-tpu.lock. For a v6e it
makes another, from requirements-tpu-v6e.lock: what the libtpu of the first compiles for
that chip, jaxlib cannot read back.
"""

import dataclasses
import json
import pathlib
import subprocess
import tempfile

from tpufi.errors import InputError
from tpufi.tpu import compile_module
from tpufi.tpu.program_text import ProgramCost, read_program

_ROOT = pathlib.Path(__file__).resolve().parents[3]
ENVIRONMENT = _ROOT / ".venv-tpu"
_BY_CHIP = {"v6e": _ROOT / ".venv-tpu-v6e"}


@dataclasses.dataclass(frozen=True)
class Compiled:
    """One program as a TPU would run it.

    Args:
      cost: what its text says.
      figures: what the compiler says: sizes in bytes, `compiler_s` (processor seconds),
        `compiler_bytes` (its memory), `chip`, `versions`.
      text: the optimised HLO module.
    """

    cost: ProgramCost
    figures: dict
    text: str


def environment_for(topology: str) -> pathlib.Path:
    """Return the virtual environment whose compiler is for a topology.

    Args:
      topology: name that libtpu knows, such as `v5e:2x2`.
    """
    return _BY_CHIP.get(topology.partition(":")[0], ENVIRONMENT)


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
    environment: pathlib.Path | None = None,
) -> Compiled:
    """Compile a module for a TPU.

    Args:
      module: a serialised HloModuleProto.
      topology: name that libtpu knows, such as `v5e:2x2`.
      chips: how many chips run it, as replicas, >= 1.
      environment: the virtual environment with jax and libtpu; None: the topology's.

    Raises:
      InputError: there is no such environment, the compiler refuses (its last line is
        in the message), or it was ended from outside.
    """
    python = interpreter(environment or environment_for(topology))
    with tempfile.TemporaryDirectory() as folder:
        source, text = pathlib.Path(folder, "module"), pathlib.Path(folder, "text")
        source.write_bytes(module)
        run = subprocess.run(
            [python, compile_module.__file__, source, topology, str(chips), text],
            capture_output=True,
            text=True,
            check=False,
        )
        if run.returncode < 0:
            raise InputError(
                f"the TPU compiler was ended by signal {-run.returncode}; the system "
                "may lack memory: arm fewer sites"
            )
        if run.returncode != 0:
            lines = run.stderr.strip().splitlines() or [f"exit code {run.returncode}"]
            what = f"the TPU compiler refuses topology {topology!r}"
            if compile_module.UNREADABLE in lines[-1]:
                what = f"topology {topology!r}"
            raise InputError(f"{what}: {lines[-1]}")
        program = text.read_text()
    figures = json.loads(run.stdout.strip().splitlines()[-1])
    return Compiled(read_program(program), figures, program)
