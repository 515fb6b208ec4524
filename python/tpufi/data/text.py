# SPDX-License-Identifier: Apache-2.0
"""A text as a data set: windows of bytes, each byte predicted from those before."""

import dataclasses
import functools
import hashlib
import importlib
from pathlib import Path

import numpy as np

from tpufi.errors import InputError
from tpufi.messages import one_line, show_path
from tpufi.random import derive, words

CONTEXT = 64
_TOPICS = "pydoc_data.topics"
# The last tenth of a text is for the test.
_TEST_SHARE = 10


@dataclasses.dataclass(frozen=True)
class Text:
    """Windows of a text; tokens are bytes, the labels of a window its next bytes.

    The text is split by region: the first nine tenths are for training. Window i of a
    region starts at byte i * context. In training it starts up to context - 1 bytes
    later, by its own draw in every step: word j of the stream ("window", epoch, step,
    replica) gives the offset of window j of a replica batch, as floor(context * w /
    2**32) of its low half w.

    Args:
      name: how records call it; has no influence on the content or the digest.
      text: the bytes.
      context: tokens of a window, >= 1.

    Raises:
      InputError: the text is too short for one window of each kind.

    Example:
      >>> Text("abc", bytes(range(200)), context=8).train_labels.shape
      (21, 8)
    """

    name: str
    text: bytes = dataclasses.field(repr=False)
    context: int = CONTEXT

    def __post_init__(self) -> None:
        if self.context < 1:
            raise InputError(
                f"text {self.name}: context {self.context} is below 1; choose 1 or more"
            )
        # Test: a window and its last label. Training: two, as a window moves.
        least = _TEST_SHARE * (self.context + 1)
        if len(self.text) < least:
            raise InputError(
                f"text {self.name}: {len(self.text)} bytes; expected at least {least} "
                f"for windows of {self.context}; choose a longer text"
            )

    @property
    def example_shape(self) -> tuple[int, ...]:
        """Shape of one example."""
        return (self.context,)

    @property
    def example_dtype(self) -> str:
        """Type of the tokens."""
        return "int32"

    @functools.cached_property
    def digest(self) -> str:
        """SHA-256 of context and text, in hex; equal data have equal digests."""
        digest = hashlib.sha256(f"text {self.context}\n".encode())
        digest.update(self.text)
        return digest.hexdigest()

    @property
    def train_labels(self) -> np.ndarray:
        """Labels of the training windows before they move, uint8 (n, context)."""
        count = len(self._train) // self.context - 1
        return self._train[1 : 1 + count * self.context].reshape(count, self.context)

    @property
    def test_labels(self) -> np.ndarray:
        """Labels of the test windows, uint8 (m, context)."""
        count = (len(self._test) - 1) // self.context
        return self._test[1 : 1 + count * self.context].reshape(count, self.context)

    def train_examples(
        self, indices: np.ndarray, seed: int, epoch: int, step: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return moved windows and their labels; see `tpufi.data.Examples`."""
        draws = [
            words(derive(seed, "window", epoch, step, replica), 0, len(row))
            for replica, row in enumerate(indices)
        ]
        low = np.array(draws) & np.uint64(0xFFFFFFFF)
        offsets = (low * np.uint64(self.context)) >> np.uint64(32)
        return self._windows(
            self._train, indices * self.context + offsets.astype(np.int64)
        )

    def test_examples(self, chosen: slice) -> tuple[np.ndarray, np.ndarray]:
        """Return test windows and their labels; see `tpufi.data.Examples`."""
        starts = np.arange(len(self.test_labels))[chosen] * self.context
        return self._windows(self._test, starts)

    @functools.cached_property
    def _train(self) -> np.ndarray:
        return np.frombuffer(self.text, np.uint8)[: -len(self._test)]

    @functools.cached_property
    def _test(self) -> np.ndarray:
        count = len(self.text) // _TEST_SHARE
        return np.frombuffer(self.text, np.uint8)[-count:]

    def _windows(
        self, region: np.ndarray, starts: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        reach = starts[..., np.newaxis] + np.arange(self.context + 1)
        tokens = region[reach].astype(np.int32)
        return tokens[..., :-1].copy(), tokens[..., 1:].copy()


def read_text(path: Path, name: str) -> Text:
    """Read a file as a text, whatever its encoding.

    Args:
      path: the file.
      name: name of the data set.

    Returns:
      The data set.

    Raises:
      InputError: the file cannot be read or is too short.
    """
    try:
        content = path.read_bytes()
    except (OSError, MemoryError) as error:
        raise InputError(
            f"{show_path(path)}: cannot read: {one_line(error)}; expected a text file; "
            "check the path and its permissions"
        ) from None
    return Text(name, content)


def python_text(context: int = CONTEXT) -> Text:
    """Return the topics of Python's `help()` as a text, in the order of their names.

    English with examples of code, 470 kB in Python 3.11. The content depends on the
    version of Python, and so does the digest.

    Args:
      context: tokens of a window, >= 1.

    Returns:
      The data set.

    Raises:
      InputError: this Python comes without its help.
    """
    try:
        topics = importlib.import_module(_TOPICS).topics
    except ImportError:
        raise InputError(
            f"python-text: this Python has no module {_TOPICS}; expected the whole "
            "standard library; install it, or name the path of a .txt file"
        ) from None
    text = "\n".join(topics[name] for name in sorted(topics))
    return Text("python-text", text.encode(), context)
