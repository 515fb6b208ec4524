# SPDX-License-Identifier: Apache-2.0
"""Augmentation: flips of each image, one shifted crop for the whole replica batch.

As in the artefact: a horizontal and a vertical flip of each image with probability 1/2,
then 6 pixels of zeros on every side and a crop back to the old size at one offset that
all images of a replica share. Images are standardised before, so a zero is the mean
colour of the training set.
"""

import itertools
from typing import NamedTuple

import numpy as np

from tpufi.random import derive, words

PADDING = 6


class Augmentation(NamedTuple):
    """What happens to the images of one replica in one step.

    Fields:
      horizontal: bool (n,), which images are mirrored left to right.
      vertical: bool (n,), which images are mirrored top to bottom.
      top: first row of the crop in the padded image, 0 to 12.
      left: first column of the crop, 0 to 12.
    """

    horizontal: np.ndarray
    vertical: np.ndarray
    top: int
    left: int


def draw_augmentation(
    seed: int, epoch: int, step: int, replica: int, count: int
) -> Augmentation:
    """Draw the augmentation of one replica batch from its own random stream.

    Word 0 of the stream ("augment", epoch, step, replica) gives the offsets, word 1 + i
    the flips of image i, so that a smaller batch has the same flips. A coin is one bit
    and exactly fair. An offset is the upper part of 13 times a 32-bit word: the
    probability of each differs from 1/13 by less than 2**-32.

    Args:
      seed: seed of the run.
      epoch: epoch, from 0.
      step: step in the epoch, from 0.
      replica: replica, from 0.
      count: images of the replica batch.

    Returns:
      The augmentation.
    """
    stream = words(derive(seed, "augment", epoch, step, replica), 0, 1 + count)
    first = int(stream[0])
    offsets = 2 * PADDING + 1
    return Augmentation(
        horizontal=(stream[1:] & np.uint64(1)).astype(bool),
        vertical=(stream[1:] & np.uint64(2)).astype(bool),
        top=((first & 0xFFFFFFFF) * offsets) >> 32,
        left=((first >> 32) * offsets) >> 32,
    )


def augment(images: np.ndarray, augmentation: Augmentation) -> np.ndarray:
    """Flip, pad with zeros and crop the images of one replica.

    Args:
      images: (n, height, width, channels), any type; standardised.
      augmentation: as drawn for n images.

    Returns:
      New array like `images`.
    """
    result = np.zeros_like(images)
    rows_from, rows_to = _overlap(images.shape[1], augmentation.top - PADDING)
    columns_from, columns_to = _overlap(images.shape[2], augmentation.left - PADDING)
    for vertical, horizontal in itertools.product((False, True), repeat=2):
        alike = (augmentation.vertical == vertical) & (
            augmentation.horizontal == horizontal
        )
        chosen = np.flatnonzero(alike)
        flipped = images[chosen][
            :, :: -1 if vertical else 1, :: -1 if horizontal else 1
        ]
        result[chosen, rows_to, columns_to] = flipped[:, rows_from, columns_from]
    return result


def _overlap(size: int, shift: int) -> tuple[slice, slice]:
    """Return where a crop shifted by `shift` reads the image and where it writes."""
    return (
        slice(max(0, shift), size + min(0, shift)),
        slice(max(0, -shift), size + min(0, -shift)),
    )
