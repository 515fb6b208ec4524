# SPDX-License-Identifier: Apache-2.0
"""The files of tests/data/frozen, and the process that makes them; no tpufi in here.

How sums are rounded depends on the kernels that oneDNN picks for the processor and on
the threads that share a kernel's work. ENVIRONMENT holds both. Found on a processor
with AVX2 and without AVX-512, where AVX2 and the default are the same kernels:

- SSE41 against AVX2: every golden state, faulty step, replay and row differs.
- 2 threads against 1: the golden states are the same, and one of 60 rows differs, a
  fault in an operand that only the reference form of a gradient has.
- 4 threads against 1 or 2: every golden state differs.
- TF_ENABLE_ONEDNN_OPTS=0 is the default there, but not with AVX512_VNNI. It leaves
  matrix products to oneDNN, which is why ONEDNN_MAX_CPU_ISA matters all the same. 1
  gives other golden states.
- `faults`, the bits that the op leaves, never differ: no sum is in them.
- With one setting all runs give the same bits, on a loaded machine too.
"""

import hashlib
import json
import math
import os
import pathlib
import subprocess
import sys

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[1]
FOLDER = ROOT / "tests" / "data" / "frozen"
PARTS = ("faults", "steps", "replays", "campaign")
ENVIRONMENT = {
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    "TF_ENABLE_ONEDNN_OPTS": "0",
    "TF_NUM_INTRAOP_THREADS": "1",
    "TF_CPP_MIN_LOG_LEVEL": "2",
    "CUDA_VISIBLE_DEVICES": "",
}
_UNSET = ("TF_NUM_INTEROP_THREADS", "XLA_FLAGS")
_SHOWN = 4

Case = dict[str, object]


def make(folder: pathlib.Path) -> None:
    """Make all files in a process with ENVIRONMENT.

    Args:
      folder: where.

    Raises:
      RuntimeError: the process failed; the message ends as its output does.
    """
    inherited = {k: v for k, v in os.environ.items() if k not in _UNSET}
    run = subprocess.run(
        [sys.executable, "-m", "tests.frozen_cases", folder],
        cwd=ROOT, env={**inherited, **ENVIRONMENT},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if run.returncode:
        raise RuntimeError(f"tests.frozen_cases: {run.stderr[-3000:]}")


def write(folder: pathlib.Path, part: str, cases: list[Case], head: dict) -> None:
    """Write a part: what it rests on, then a line for each case."""
    lines = [json.dumps(case, separators=(",", ":")) for case in cases]
    start = json.dumps(head)[:-1] + ", "
    text = ",\n".join(lines)
    (folder / f"{part}.json").write_text(f'{start}"cases": [\n{text}\n]}}\n')


def read(folder: pathlib.Path, part: str) -> dict:
    """Read a part."""
    return json.loads((folder / f"{part}.json").read_text())


def positions(case: Case) -> np.ndarray:
    """Return the flat indices of the faulty elements of a case, as docs define them."""
    i = np.arange(case["count"])
    return case["start"] + i // case["block"] * case["stride"] + i % case["block"]


def tensor_bits(
    seed: int, shape: tuple[int, ...], bits: int, exponent: int, mantissa: int
) -> np.ndarray:
    """Return random bits of normal numbers, or of integers, as uint64 [elements].

    numpy never changes the stream of a bit generator. Subnormals are left out, which
    TensorFlow's threads take for zero, and so are Inf and NaN.

    Args:
      seed: of the stream.
      shape: of the tensor.
      bits: width of an element.
      exponent: bits of the exponent, 0 for integers.
      mantissa: bits of the mantissa.
    """
    words = np.random.PCG64(seed).random_raw(math.prod(shape))
    words = np.atleast_1d(words) & np.uint64((1 << bits) - 1)
    if exponent:
        lowest = np.uint64(1 << mantissa)
        field = np.uint64(((1 << exponent) - 1) << mantissa)
        words[words & field == field] ^= lowest
        words[words & field == 0] ^= lowest
    return words


def hexadecimal(words: np.ndarray) -> list[str]:
    """Return the first few words as text."""
    return [f"{word:x}" for word in words[:_SHOWN].tolist()]


def words_sha256(*words: np.ndarray) -> str:
    """Return the SHA-256 of the words, as little-endian uint64."""
    return sha256(*(w.astype("<u8").tobytes() for w in words))


def sha256(*pieces: bytes) -> str:
    """Return the SHA-256 of the pieces one behind the other."""
    return hashlib.sha256(b"".join(pieces)).hexdigest()
