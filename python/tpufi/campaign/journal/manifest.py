# SPDX-License-Identifier: Apache-2.0
"""What the rows of a journal depend on, so that no other campaign adds to them."""

import dataclasses
import hashlib
import json
import pathlib
from collections.abc import Iterable, Mapping, Sequence
from typing import BinaryIO

from tpufi.errors import InputError
from tpufi.messages import one_line, quote, show_path

_GOLDEN_FILES = ("manifest.json", "steps.jsonl", "epochs.jsonl")


@dataclasses.dataclass(frozen=True)
class Manifest:
    """All that must be the same whenever a campaign is taken up again.

    Args:
      plan: `Plan.identity()` as JSON with sorted keys.
      golden: digest of the golden run.
      data: digest of the data set.
      library: digest of the compiled libraries.
      tensorflow: version.
      numpy: version.
      deterministic: `yes`, or `no` if the user allowed a set-up that is not.
      allocation: `Allocation.text()`; empty without one.
      device: where the golden run was trained and experiments run; empty where a
        program of the user decides.
      compiled: `yes` if XLA compiles the programs, else `no`; or empty.
      control: what faulty steps are compared with: the `golden` run, or the `armed`
        program without a fault; or empty.
    """

    plan: str
    golden: str
    data: str
    library: str
    tensorflow: str
    numpy: str
    deterministic: str = "yes"
    allocation: str = ""
    device: str = ""
    compiled: str = ""
    control: str = ""

    def check_same(self, recorded: Mapping[str, str], where: str) -> None:
        """Raise InputError if a journal was begun with another manifest.

        Args:
          recorded: entries in the journal.
          where: stands in front of the message.
        """
        for key, value in dataclasses.asdict(self).items():
            if recorded.get(key, "") != value:
                then, now = _first_difference(recorded.get(key, ""), value)
                raise InputError(
                    f"{where}: begun with another {key}: {then}, now {now}; restore "
                    "it to go on, or begin a new folder"
                )


def plan_text(identity: Mapping[str, object]) -> str:
    """Return the identity of a plan as canonical JSON."""
    return json.dumps(identity, sort_keys=True, separators=(",", ":"))


def golden_digest(folders: Sequence[pathlib.Path]) -> str:
    """Return the digest of golden runs.

    Their lines hold a digest of the state after every step, so they stand for the
    checkpoints too.

    Args:
      folders: that of the golden run, then those of its band.

    Raises:
      InputError: a file cannot be read.
    """
    return files_digest(f / name for f in folders for name in _GOLDEN_FILES)


def files_digest(paths: Iterable[pathlib.Path]) -> str:
    """Return SHA-256 over names and contents of files, hexadecimal.

    Raises:
      InputError: a file cannot be read.
    """
    whole = hashlib.sha256()
    for path in paths:
        try:
            with open(path, "rb") as file:
                digest = _digest(file)
        except OSError as error:
            raise InputError(
                f"{show_path(path)}: cannot read: {one_line(error)}; restore the file"
            ) from None
        whole.update(f"{path.name} {digest}\n".encode())
    return whole.hexdigest()


def _digest(file: BinaryIO) -> str:
    """Return SHA-256 of a file; `hashlib.file_digest` came with Python 3.11."""
    found = hashlib.sha256()
    while block := file.read(1 << 20):
        found.update(block)
    return found.hexdigest()


def _first_difference(then: str, now: str) -> tuple[str, str]:
    """Return both texts, quoted; of long JSON objects only the key that differs."""
    try:
        old, new = json.loads(then), json.loads(now)
        keys = sorted(k for k in {*old, *new} if old.get(k) != new.get(k))
        key = keys[0]
        return tuple(f"{key} {quote(json.dumps(e.get(key)))}" for e in (old, new))
    except (ValueError, TypeError, AttributeError, IndexError):
        return quote(then), quote(now)
