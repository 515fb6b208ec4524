# SPDX-License-Identifier: Apache-2.0
"""A data set in memory: images, labels, their digest and their statistics."""

import dataclasses
import functools
import hashlib

import numpy as np

from tpufi.data.augment import augment, draw_augmentation
from tpufi.errors import InputError

CLASSES = 10
IMAGE_SHAPE = (32, 32, 3)

# Bounds the temporary arrays of the statistics: 1000 images are 3 MB.
_CHUNK = 1000


@dataclasses.dataclass(frozen=True, eq=False)
class Dataset:
    """Training and test images with their labels, read-only.

    Args:
      name: how records call it; has no influence on the content or the digest.
      train_images: uint8 (n, 32, 32, 3), 0 to 255.
      train_labels: int32 (n,), 0 to 9.
      test_images: uint8 (m, 32, 32, 3).
      test_labels: int32 (m,).

    Raises:
      InputError: an array has another type or shape, or a label is out of range.
    """

    name: str
    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray

    def __post_init__(self) -> None:
        _check(self.train_images, self.train_labels, "training")
        _check(self.test_images, self.test_labels, "test")
        for field in dataclasses.fields(self)[1:]:
            # The digest is cached, so the content must stay as it is.
            view = np.ascontiguousarray(getattr(self, field.name)).view()
            view.setflags(write=False)
            object.__setattr__(self, field.name, view)

    @property
    def example_shape(self) -> tuple[int, ...]:
        """Shape of one image."""
        return IMAGE_SHAPE

    @property
    def example_dtype(self) -> str:
        """Type of standardised pixels."""
        return "float32"

    @functools.cached_property
    def digest(self) -> str:
        """SHA-256 of shapes and content, in hex; equal data have equal digests."""
        digest = hashlib.sha256()
        for field in dataclasses.fields(self)[1:]:
            array = getattr(self, field.name)
            array = array.astype(array.dtype.newbyteorder("<"), copy=False)
            digest.update(f"{field.name} {array.dtype.str} {array.shape}\n".encode())
            digest.update(array.data)
        return digest.hexdigest()

    @functools.cached_property
    def statistics(self) -> tuple[float, float]:
        """Mean and standard deviation of all training pixels, in units of 0 to 255.

        One scalar each over images, pixels and channels, from exact integer sums.

        Source: the artefact's `prepare_data` (He et al., ISCA 2023).
        """
        counts = np.zeros(256, np.int64)
        for start in range(0, len(self.train_images), _CHUNK):
            chunk = self.train_images[start : start + _CHUNK]
            counts += np.bincount(chunk.reshape(-1), minlength=256)
        pixels = int(counts.sum())
        total = sum(value * int(count) for value, count in enumerate(counts))
        squares = sum(value * value * int(count) for value, count in enumerate(counts))
        deviation = ((pixels * squares - total * total) / pixels**2) ** 0.5
        if deviation == 0:
            raise InputError(
                f"data set {self.name}: every training pixel is {total // pixels}; "
                "expected images that differ; choose another data set"
            )
        return total / pixels, deviation

    def standardise(self, pixels: np.ndarray) -> np.ndarray:
        """Return (pixels - mean) / deviation, computed in float64, as float32.

        Args:
          pixels: uint8 array of any shape, of the training or the test images.

        Returns:
          float32 array like `pixels`.
        """
        return self._standardised_levels[pixels]

    def train_examples(
        self, indices: np.ndarray, seed: int, epoch: int, step: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return augmented images and their labels; see `tpufi.data.Examples`."""
        images = self.standardise(self.train_images[indices])
        for replica, own in enumerate(images):
            drawn = draw_augmentation(seed, epoch, step, replica, len(own))
            images[replica] = augment(own, drawn)
        return images, self.train_labels[indices]

    def test_examples(self, chosen: slice) -> tuple[np.ndarray, np.ndarray]:
        """Return images and their labels; see `tpufi.data.Examples`."""
        return self.standardise(self.test_images[chosen]), self.test_labels[chosen]

    @functools.cached_property
    def _standardised_levels(self) -> np.ndarray:
        # A pixel has 256 levels, so float64 arithmetic on all of them is cheap.
        mean, deviation = self.statistics
        return ((np.arange(256) - mean) / deviation).astype(np.float32)


def _check(images: np.ndarray, labels: np.ndarray, which: str) -> None:
    if images.dtype != np.uint8 or images.shape[1:] != IMAGE_SHAPE or not len(images):
        raise InputError(
            f"{which} images are {images.dtype} {images.shape}; expected uint8 "
            "(n, 32, 32, 3) with n > 0; convert them"
        )
    if labels.dtype != np.int32 or labels.shape != images.shape[:1]:
        raise InputError(
            f"{which} labels are {labels.dtype} {labels.shape}; expected int32 "
            f"({len(images)},), one for each image; convert them"
        )
    if labels.min() < 0 or labels.max() >= CLASSES:
        raise InputError(
            f"{which} labels run from {labels.min()} to {labels.max()}; expected 0 to "
            f"{CLASSES - 1}; number the classes so"
        )
