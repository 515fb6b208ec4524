# SPDX-License-Identifier: Apache-2.0
"""Images as the matrices that convolutions multiply: one row for each pixel (im2col).

Row (b, i, j) holds what the kernel sees at pixel (i, j) of the result for image b, in
the order (kernel row, kernel column, channel): the image at row `i * stride + u *
apart - offset` for kernel row u, likewise for columns, and zero outside. An image may
be dilated first, with zeros between its pixels.
"""

import dataclasses
import functools
from collections.abc import Sequence

import tensorflow as tf

from tpufi.layers.accumulator import widened
from tpufi.layers.matrix_view import Side, in_tiles, sizes_of, tiles_of


@dataclasses.dataclass(frozen=True)
class Window:
    """How a kernel moves over images: two numbers each, for rows and columns.

    Args:
      kernel: sizes of the kernel.
      offset: zeros before the first pixel.
      pixels: sizes of the result.
      stride: distances of two positions of the kernel.
      dilation: distances of two pixels of the images; 1: they follow each other.
      apart: distances of two taps of the kernel; 1: likewise.
    """

    kernel: tuple[int, int]
    offset: tuple[int, int]
    pixels: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)
    apart: tuple[int, int] = (1, 1)

    @property
    def taps(self) -> list[tuple[int, int]]:
        """Rows and columns of the kernel, in order."""
        return [(u, v) for u in range(self.kernel[0]) for v in range(self.kernel[1])]

    def of_gradient(self, sizes: Sequence[int]) -> "Window":
        """Return how the rotated kernel moves over the gradient of the result.

        Args:
          sizes: of the images, whose gradient it makes.
        """
        last = zip(self.kernel, self.apart, self.offset, strict=True)
        offset = tuple((size - 1) * apart - pad for size, apart, pad in last)
        how = {"dilation": self.stride, "apart": self.apart}
        return Window(self.kernel, offset, tuple(sizes), **how)

    def seen(self, axis: int, pixel: tf.Tensor, tap: tf.Tensor, size: int) -> tuple:
        """Return which pixel of an image a tap sees, and whether there is one.

        Args:
          axis: 0 for rows, 1 for columns.
          pixel: of the result, int64.
          tap: of the kernel, int64.
          size: of the image.
        """
        place = pixel * self.stride[axis] + tap * self.apart[axis] - self.offset[axis]
        inside = (place >= 0) & tf.equal(place % self.dilation[axis], 0)
        place = place // self.dilation[axis]
        inside &= place < size
        return tf.where(inside, place, 0), inside

    def moved(self, images: tf.Tensor, tap: tuple[int, int]) -> tf.Tensor:
        """Return what one tap sees at each pixel of the result.

        Args:
          images: [many, height, width, ...].
          tap: of the kernel.
        """
        for axis in (0, 1):
            begin = tap[axis] * self.apart[axis] - self.offset[axis]
            how = begin, self.stride[axis], self.dilation[axis], self.pixels[axis]
            images = _placed(images, axis + 1, *how)
        return images

    def returned(
        self, pixels: tf.Tensor, tap: tuple[int, int], sizes: tuple[int, int]
    ) -> tf.Tensor:
        """Return numbers of pixels of the result where a tap sees them in an image.

        Args:
          pixels: [many, height, width, ...].
          tap: of the kernel.
          sizes: of the image, which is not dilated.
        """
        for axis in (0, 1):
            begin = self.offset[axis] - tap[axis] * self.apart[axis]
            how = begin, 1, self.stride[axis], sizes[axis]
            pixels = _placed(pixels, axis + 1, *how)
        return pixels


def same_padding(size: int, kernel: int, stride: int) -> int:
    """Return the number of zeros that 'same' padding puts before an axis of `size`."""
    pixels = -(-size // stride)
    return max((pixels - 1) * stride + kernel - size, 0) // 2


def same_window(sizes: Sequence[int], kernel: int, stride: int) -> Window:
    """Return how a square kernel moves over images with 'same' padding.

    Args:
      sizes: of the images.
      kernel: its size.
      stride: distance of two positions.
    """
    pads = tuple(same_padding(size, kernel, stride) for size in sizes)
    pixels = tuple(-(-size // stride) for size in sizes)
    return Window((kernel, kernel), pads, pixels, (stride, stride))


def _placed(
    x: tf.Tensor, axis: int, begin: int, step: int, dilation: int, count: int
) -> tf.Tensor:
    """Return the places `begin + step * i`, i < count, of an axis, dilated before.

    Places outside hold zero.
    """
    shape, pads = sizes_of(x), [[0, 0]] * x.shape.rank
    size = (shape[axis] - 1) * dilation + 1
    if dilation > 1:
        between = [*pads[: axis + 1], [0, dilation - 1], *pads[axis + 1 :]]
        spread = tf.pad(tf.expand_dims(x, axis + 1), between)
        shape[axis] *= dilation
        x = tf.reshape(spread, shape)[(*[slice(None)] * axis, slice(size))]
    before = max(-begin, 0)
    pads[axis] = [before, max(begin + step * (count - 1) + 1 - size, 0)]
    x = tf.pad(x, pads)
    first = begin + before
    cut = slice(first, first + step * (count - 1) + 1, step)
    return x[(*[slice(None)] * axis, cut)]


class _Images:
    """Images under a window.

    Args:
      images: [batch, height, width, channels].
      window: how the kernel moves over them.
    """

    def __init__(self, images: tf.Tensor, window: Window):
        self.images, self.window = images, window
        self.batch, *self.sizes, self.channels = sizes_of(images)
        self.pixels = self.batch * window.pixels[0] * window.pixels[1]
        self.depth = len(window.taps) * self.channels

    def rows(self, pixels: tf.Tensor) -> tf.Tensor:
        """Return what the kernel sees at some pixels, [number, taps, channels]."""
        (height, width), window = self.sizes, self.window
        image, place = _divided(pixels, window.pixels[0] * window.pixels[1])
        row, column = _divided(place, window.pixels[1])
        taps = tf.range(len(window.taps), dtype=tf.int64)
        u, v = _divided(taps, window.kernel[1])
        at_row, has_row = window.seen(0, row[:, tf.newaxis], u, height)
        at_column, has_column = window.seen(1, column[:, tf.newaxis], v, width)
        flat = (image[:, tf.newaxis] * height + at_row) * width + at_column
        found = tf.gather(tf.reshape(self.images, (-1, self.channels)), flat)
        inside = (has_row & has_column)[..., tf.newaxis]
        return tf.where(inside, found, tf.zeros([], found.dtype))

    def planes(self, images: tf.Tensor, taps: tf.Tensor) -> tf.Tensor:
        """Return what a tap sees of each of some planes at all pixels.

        Args:
          images: [number, batch, height, width, ...].
          taps: int64 [number].

        Returns:
          [number, pixels, ...].
        """
        window = self.window
        tap = _divided(taps, window.kernel[1])
        for axis in (0, 1):
            pixel = tf.range(window.pixels[axis], dtype=tf.int64)
            own = tap[axis][:, tf.newaxis]
            place, inside = window.seen(axis, pixel, own, self.sizes[axis])
            images = tf.gather(images, place, axis=axis + 2, batch_dims=1)
            shape = [-1] + [1] * (images.shape.rank - 1)
            shape[axis + 2] = window.pixels[axis]
            seen = tf.reshape(inside, shape)
            images = tf.where(seen, images, tf.zeros([], images.dtype))
        return tf.reshape(images, (-1, self.pixels, *images.shape[4:]))


def _divided(a: tf.Tensor, b: int) -> tuple[tf.Tensor, tf.Tensor]:
    return a // b, a % b


class PatchSide(Side):
    """A row for each pixel of the result, a column for each tap and channel."""

    groups = 1

    def __init__(self, images: tf.Tensor, window: Window):
        self._own = _Images(images, window)
        self.size, self.depth = self._own.pixels, self._own.depth

    def slices(self, rows: tf.Tensor) -> tf.Tensor:
        return tf.reshape(self._own.rows(rows), (1, -1, self.depth))

    def columns(self, indices: tf.Tensor) -> tf.Tensor:
        tap, channel = _divided(indices, self._own.channels)
        planes = tf.gather(self._own.images, channel, axis=3)
        planes = self._own.planes(tf.transpose(planes, (3, 0, 1, 2)), tap)
        return tf.transpose(planes)[tf.newaxis]

    def times(self, vectors: tf.Tensor) -> tf.Tensor:
        (sums,) = self._sums(vectors, self.depth)
        return sums

    def tile_sums(self, vectors: tf.Tensor, tile: int) -> tf.Tensor:
        return tf.stack(self._sums(widened(vectors), tile))

    def _sums(self, vectors: tf.Tensor, tile: int) -> list[tf.Tensor]:
        """Return the products with the parts of vectors, [1, size, number] each.

        Each channel is multiplied where it is; then the products are moved by taps.
        """
        own, number = self._own, vectors.shape[2]
        by_tap = tf.reshape(vectors, (-1, own.channels, number))
        parts = [
            (tap, part)
            for tap in range(by_tap.shape[0])
            for part in range(tiles_of(self.depth, tile))
            if part * tile < (tap + 1) * own.channels
            and tap * own.channels < (part + 1) * tile
        ]
        channel = tf.range(own.channels)
        masked = []
        for tap, part in parts:
            place = channel + tap * own.channels
            inside = (place >= part * tile) & (place < (part + 1) * tile)
            whole = part * tile <= tap * own.channels
            whole &= (tap + 1) * own.channels <= (part + 1) * tile
            zero = tf.zeros([], by_tap.dtype)
            chosen = by_tap[tap]
            masked.append(
                chosen if whole else tf.where(inside[:, tf.newaxis], chosen, zero)
            )
        factors = tf.concat(masked, 1)
        images = tf.cast(tf.reshape(own.images, (-1, own.channels)), factors.dtype)
        products = tf.matmul(factors, images, transpose_a=True, transpose_b=True)
        products = tf.reshape(products, (len(parts), number * own.batch, *own.sizes))
        sums = {}
        for place, (tap, part) in enumerate(parts):
            moved = own.window.moved(products[place], own.window.taps[tap])
            sums.setdefault(part, []).append(tf.reshape(moved, (number, self.size)))
        return [tf.transpose(tf.add_n(one))[tf.newaxis] for one in sums.values()]


class TapSide(Side):
    """The same, rows and columns exchanged."""

    groups = 1

    def __init__(self, images: tf.Tensor, window: Window):
        self._own, self._patches = _Images(images, window), PatchSide(images, window)
        self.size, self.depth = self._own.depth, self._own.pixels

    def slices(self, rows: tf.Tensor) -> tf.Tensor:
        return tf.linalg.matrix_transpose(self._patches.columns(rows))

    def columns(self, indices: tf.Tensor) -> tf.Tensor:
        return tf.linalg.matrix_transpose(self._patches.slices(indices))

    def times(self, vectors: tf.Tensor) -> tf.Tensor:
        own, number = self._own, vectors.shape[2]
        shape = number * own.batch, *own.window.pixels
        pixels = tf.reshape(tf.transpose(vectors[0]), shape)
        placed = [own.window.returned(pixels, t, own.sizes) for t in own.window.taps]
        placed = tf.reshape(tf.stack(placed), (len(placed) * number, -1))
        sums = tf.matmul(placed, tf.reshape(own.images, (-1, own.channels)))
        sums = tf.reshape(sums, (-1, number, own.channels))
        return tf.reshape(tf.transpose(sums, (0, 2, 1)), (1, self.size, number))

    def tile_sums(self, vectors: tf.Tensor, tile: int) -> tf.Tensor:
        own = self._own
        factors = in_tiles(widened(vectors[0]), 0, tile)
        images, sums = widened(own.images), []
        for tap in own.window.taps:
            seen = tf.reshape(own.window.moved(images, tap), (-1, own.channels))
            sums.append(tf.einsum("tkc,tkj->tcj", in_tiles(seen, 0, tile), factors))
        return tf.concat(sums, 1)[:, tf.newaxis]


class ChannelPatchSide(Side):
    """A matrix for each group of channels: a row for each pixel.

    It has a column for each tap and each channel of the group, in this order.

    Args:
      images: [batch, height, width, groups * together].
      window: how the kernel moves over them.
      together: channels of a group.
    """

    def __init__(self, images: tf.Tensor, window: Window, together: int = 1):
        self._own, self._together = _Images(images, window), together
        self.groups = self._own.channels // together
        self.size, self.depth = self._own.pixels, len(window.taps) * together

    def slices(self, rows: tf.Tensor) -> tf.Tensor:
        split = -1, len(self._own.window.taps), self.groups, self._together
        found = tf.transpose(tf.reshape(self._own.rows(rows), split), (2, 0, 1, 3))
        return tf.reshape(found, (self.groups, -1, self.depth))

    def columns(self, indices: tf.Tensor) -> tf.Tensor:
        tap, channel = _divided(indices, self._together)
        images = tf.gather(self._split(self._own.images), channel, axis=4)
        planes = self._own.planes(tf.transpose(images, (4, 0, 1, 2, 3)), tap)
        return tf.transpose(planes, (2, 1, 0))

    def _split(self, x: tf.Tensor) -> tf.Tensor:
        """Return a tensor with an axis for groups, and one for channels of a group."""
        return tf.reshape(x, (*sizes_of(x)[:-1], self.groups, self._together))

    def times(self, vectors: tf.Tensor) -> tf.Tensor:
        return self.tile_sums(vectors, self.depth)[0]

    def tile_sums(self, vectors: tf.Tensor, tile: int) -> tf.Tensor:
        sums = [[] for _ in range(tiles_of(self.depth, tile))]
        factors = widened(vectors)
        seen = [one for tap in self._own.window.taps for one in self.seen(tap)]
        for place, one in enumerate(seen):
            product = one[..., tf.newaxis] * factors[:, place, tf.newaxis]
            sums[place // tile].append(product)
        return tf.stack([functools.reduce(tf.add, one) for one in sums])

    def seen(self, tap: tuple[int, int]) -> list[tf.Tensor]:
        """Return what a tap sees of each channel of a group, [groups, pixels], wide."""
        seen = self._own.window.moved(widened(self._own.images), tap)
        seen = tf.reshape(seen, (-1, self.groups, self._together))
        return tf.unstack(tf.transpose(seen, (2, 1, 0)), num=self._together)


class ChannelTapSide(Side):
    """The same, rows and columns exchanged."""

    def __init__(self, images: tf.Tensor, window: Window):
        self._patches = ChannelPatchSide(images, window)
        self._taps = window.taps
        self.groups = self._patches.groups
        self.size, self.depth = self._patches.depth, self._patches.size

    def slices(self, rows: tf.Tensor) -> tf.Tensor:
        return tf.linalg.matrix_transpose(self._patches.columns(rows))

    def columns(self, indices: tf.Tensor) -> tf.Tensor:
        return tf.linalg.matrix_transpose(self._patches.slices(indices))

    def times(self, vectors: tf.Tensor) -> tf.Tensor:
        return self.tile_sums(vectors, self.depth)[0]

    def tile_sums(self, vectors: tf.Tensor, tile: int) -> tf.Tensor:
        factors = in_tiles(widened(vectors), 1, tile)
        seen = [one for tap in self._taps for one in self._patches.seen(tap)]
        sums = [
            tf.einsum("gtk,gtkj->tgj", in_tiles(one, 1, tile), factors) for one in seen
        ]
        return tf.stack(sums, 2)
