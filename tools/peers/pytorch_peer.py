# SPDX-License-Identifier: Apache-2.0
"""PyTorchFI as a peer, in a separate process: it needs PyTorch, and we do not."""

import pathlib
import subprocess

from tpufi.errors import InputError
from tpufi.messages import one_line, quote, show_path

_SERVER = pathlib.Path(__file__).with_name("pytorch_server.py")


class PyTorchFI:
    """A PyTorch model with PyTorchFI's fault: one value of one convolution's output.

    Args:
      python: of an environment with torch and pytorchfi.
      model: `lenet` or `resnet50`.
      size: of the images.
      threads: of PyTorch.

    Raises:
      InputError: the environment does not have them.
    """

    def __init__(self, python: pathlib.Path, model: str, size: int, threads: int):
        command = [str(python), str(_SERVER), model, str(size), str(threads)]
        try:
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                stderr=subprocess.PIPE, text=True,
            )  # fmt: skip
        except OSError as error:
            raise InputError(f"{show_path(python)}: {one_line(error)}") from None
        if self._process.stdout.readline().strip() != "ready":
            *_, last = self._process.stderr.read().strip().splitlines() or ["no reason"]
            raise InputError(
                f"{show_path(python)}: PyTorchFI does not start: {quote(last)}; "
                "install torch and pytorchfi there"
            )

    def infer(self, number: int) -> int:
        """Inject the fault of this number and return the class."""
        self._process.stdin.write(f"{number}\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def close(self) -> None:
        """End the process."""
        self._process.stdin.close()
        self._process.wait()
