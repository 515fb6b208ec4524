# SPDX-License-Identifier: Apache-2.0
"""Operations that multiply, and what each multiplies as matrices, in numpy."""

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

from tests.array_cases import changing
from tests.systolic_array import multiply
from tpufi.units import UnitFault

Matrices = tuple[np.ndarray, np.ndarray]  # [groups, M, K] and [groups, K, N].
raw = tf.raw_ops


@dataclasses.dataclass(frozen=True)
class Case:
    """One operation.

    Args:
      compute: the operation of its two operands.
      shapes: of the operands.
      matrices: what it multiplies.
      placed: results [groups, M, N] in the shape of the operation's result.
      padded: whether operands meet zeros of padding.
    """

    compute: Callable[[tf.Tensor, tf.Tensor], tf.Tensor]
    shapes: tuple[tuple[int, ...], tuple[int, ...]]
    matrices: Callable[[np.ndarray, np.ndarray], Matrices]
    placed: Callable[[np.ndarray], np.ndarray]
    padded: bool = False

    def wanted(self, a: np.ndarray, b: np.ndarray, fault: UnitFault) -> np.ndarray:
        """Return what an array with a broken element makes of the operands."""
        with np.errstate(invalid="ignore"):
            c = [
                multiply(*pair, fault.unit, changing(fault))
                for pair in zip(*self.matrices(a, b), strict=True)
            ]
        return self.placed(np.array(c))


def single(x: np.ndarray) -> np.ndarray:
    return x[np.newaxis]


def first(c: np.ndarray) -> np.ndarray:
    return c[0]


@dataclasses.dataclass(frozen=True)
class Moves:
    """How a kernel moves over images."""

    strides: tuple[int, int] = (1, 1)
    padding: str = "SAME"
    apart: tuple[int, int] = (1, 1)
    pads: tuple[tuple[int, int], tuple[int, int]] = ((0, 0), (0, 0))

    @property
    def how(self) -> dict:
        explicit = [0, 0, *self.pads[0], *self.pads[1], 0, 0]
        return {
            "strides": [1, *self.strides, 1],
            "padding": self.padding,
            "dilations": [1, *self.apart, 1],
            "explicit_paddings": explicit if self.padding == "EXPLICIT" else [],
        }

    def seen(self, x: np.ndarray, kernel: Sequence[int]) -> np.ndarray:
        """Return [batch, height, width, taps, channels], one number after the other."""
        padded = [(0, 0)]
        for axis in (0, 1):
            size, by = x.shape[1 + axis], self.strides[axis]
            reach = (kernel[axis] - 1) * self.apart[axis] + 1
            pads = self.pads[axis]
            if self.padding == "SAME":
                both = max((-(-size // by) - 1) * by + reach - size, 0)
                pads = both // 2, both - both // 2
            padded.append(pads)
        x = np.pad(x, [*padded, (0, 0)])
        pixels = [
            (x.shape[1 + i] - (kernel[i] - 1) * self.apart[i] - 1) // self.strides[i]
            + 1
            for i in (0, 1)
        ]
        found = np.zeros((len(x), *pixels, *kernel, x.shape[-1]), x.dtype)
        for i, j, u, v in np.ndindex(*pixels, *kernel):
            row, column = (
                n * by + t * between
                for n, t, by, between in zip(
                    (i, j), (u, v), self.strides, self.apart, strict=True
                )
            )
            found[:, i, j, u, v] = x[:, row, column]
        return found.reshape(len(x), *pixels, -1, x.shape[-1])

    def met(self, dy: np.ndarray, sizes: Sequence[int], kernel: Sequence[int]):
        """Return [pixels of images, taps, filters]: the gradient that each meets."""
        batch, taps = len(dy), kernel[0] * kernel[1]
        number = np.arange(1, 1 + batch * sizes[0] * sizes[1], dtype=np.float64)
        seen = self.seen(number.reshape(batch, *sizes, 1), kernel).reshape(-1, taps)
        found = np.zeros((len(number), taps, dy.shape[-1]), dy.dtype)
        results = dy.reshape(-1, dy.shape[-1])
        for pixel, tap in np.ndindex(*seen.shape):
            if seen[pixel, tap]:
                found[int(seen[pixel, tap]) - 1, taps - 1 - tap] = results[pixel]
        return found


def convolutions(
    images: tuple[int, ...], kernel: tuple[int, ...], moves: Moves
) -> tuple[Case, Case, Case]:
    """Return a convolution, its input gradient and its kernel gradient."""
    rows = kernel[:2]
    *pixels, _, _ = moves.seen(np.zeros(images), rows).shape
    result = *pixels, kernel[3]
    forward = Case(
        lambda x, w: raw.Conv2D(input=x, filter=w, **moves.how),
        (images, kernel),
        lambda x, w: (
            single(moves.seen(x, rows).reshape(-1, w[..., 0].size)),
            single(w.reshape(-1, kernel[3])),
        ),
        lambda c: c.reshape(result),
        True,
    )
    of_input = Case(
        lambda dy, w: raw.Conv2DBackpropInput(
            input_sizes=images, filter=w, out_backprop=dy, **moves.how
        ),
        (result, kernel),
        lambda dy, w: (
            single(moves.met(dy, images[1:3], rows).reshape(-1, w[:, :, 0].size)),
            single(w[::-1, ::-1].transpose(0, 1, 3, 2).reshape(-1, kernel[2])),
        ),
        lambda c: c.reshape(images),
        True,
    )
    of_kernel = Case(
        lambda x, dy: raw.Conv2DBackpropFilter(
            input=x, filter_sizes=kernel, out_backprop=dy, **moves.how
        ),
        (images, result),
        lambda x, dy: (
            single(moves.seen(x, rows).reshape(dy[..., 0].size, -1).T),
            single(dy.reshape(-1, kernel[3])),
        ),
        lambda c: c.reshape(kernel),
        True,
    )
    return forward, of_input, of_kernel


def depthwise(
    images: tuple[int, ...], kernel: tuple[int, ...], moves: Moves
) -> tuple[Case, Case, Case]:
    """Return a depthwise convolution, its input gradient and its kernel gradient."""
    rows, (channels, filters) = kernel[:2], kernel[2:]
    *pixels, _, _ = moves.seen(np.zeros(images), rows).shape
    result = *pixels, channels * filters

    def seen(x: np.ndarray) -> np.ndarray:
        return moves.seen(x, rows).reshape(-1, rows[0] * rows[1], channels)

    def by_channel(dy: np.ndarray) -> np.ndarray:
        return dy.reshape(-1, channels, filters).transpose(1, 0, 2)

    forward = Case(
        lambda x, w: raw.DepthwiseConv2dNative(input=x, filter=w, **moves.how),
        (images, kernel),
        lambda x, w: (seen(x).transpose(2, 0, 1), by_channel(w)),
        lambda c: c.transpose(1, 0, 2).reshape(result),
        True,
    )
    of_input = Case(
        lambda dy, w: raw.DepthwiseConv2dNativeBackpropInput(
            input_sizes=images, filter=w, out_backprop=dy, **moves.how
        ),
        (result, kernel),
        lambda dy, w: (
            moves.met(dy, images[1:3], rows)
            .reshape(-1, rows[0] * rows[1], channels, filters)
            .transpose(2, 0, 1, 3)
            .reshape(channels, -1, rows[0] * rows[1] * filters),
            w[::-1, ::-1].transpose(2, 0, 1, 3).reshape(channels, -1, 1),
        ),
        lambda c: c[..., 0].T.reshape(images),
        True,
    )
    of_kernel = Case(
        lambda x, dy: raw.DepthwiseConv2dNativeBackpropFilter(
            input=x, filter_sizes=kernel, out_backprop=dy, **moves.how
        ),
        (images, result),
        lambda x, dy: (seen(x).transpose(2, 1, 0), by_channel(dy)),
        lambda c: c.transpose(1, 0, 2).reshape(kernel),
        True,
    )
    return forward, of_input, of_kernel


def _cases() -> dict[str, Case]:
    strided = convolutions((2, 5, 4, 2), (3, 3, 2, 3), Moves((2, 2)))
    valid = convolutions((1, 5, 6, 2), (2, 3, 2, 3), Moves(padding="VALID"))
    padded = convolutions(
        (1, 4, 5, 2), (3, 2, 2, 2), Moves((2, 2), "EXPLICIT", pads=((1, 2), (0, 1)))
    )
    spread, _, _ = convolutions(
        (1, 6, 7, 2), (3, 2, 2, 3), Moves((1, 1), "VALID", (2, 3))
    )
    own = depthwise((2, 5, 4, 3), (3, 3, 3, 1), Moves((2, 2)))
    many = depthwise((1, 4, 5, 2), (2, 3, 2, 2), Moves(padding="VALID"))
    cases = {
        "MatMul": Case(
            lambda a, b: raw.MatMul(a=a, b=b),
            ((5, 7), (7, 6)),
            lambda a, b: (single(a), single(b)),
            first,
        ),
        "MatMul transposed": Case(
            lambda a, b: raw.MatMul(a=a, b=b, transpose_a=True, transpose_b=True),
            ((7, 3), (5, 7)),
            lambda a, b: (single(a.T), single(b.T)),
            first,
        ),
        "BatchMatMul": Case(
            lambda a, b: raw.BatchMatMul(x=a, y=b, adj_x=True),
            ((3, 4, 5), (3, 4, 2)),
            lambda a, b: (a.transpose(0, 2, 1), b),
            lambda c: c,
        ),
        "BatchMatMulV2": Case(
            lambda a, b: raw.BatchMatMulV2(x=a, y=b, adj_y=True),
            ((2, 3, 4), (5, 4)),
            lambda a, b: (single(a.reshape(6, 4)), single(b.T)),
            lambda c: c.reshape(2, 3, 5),
        ),
        "BatchMatMulV3": Case(
            lambda a, b: raw.BatchMatMulV3(x=a, y=b, Tout=tf.float32),
            ((1, 2, 3, 4), (3, 2, 4, 2)),
            # One batch numbers matrices, the other one columns of them.
            lambda a, b: (a[0], b.transpose(1, 2, 0, 3).reshape(2, 4, 6)),
            lambda c: c.reshape(2, 3, 3, 2).transpose(2, 0, 1, 3),
        ),
        "Einsum of a layer": Case(
            lambda a, b: tf.einsum("abc,cde->abde", a, b),
            ((2, 3, 4), (4, 2, 3)),
            lambda a, b: (single(a.reshape(6, 4)), single(b.reshape(4, 6))),
            lambda c: c.reshape(2, 3, 2, 3),
        ),
        "Einsum of heads": Case(
            lambda a, b: tf.einsum("aecd,abcd->acbe", a, b),
            ((2, 3, 2, 4), (2, 5, 2, 4)),
            lambda a, b: (
                a.transpose(0, 2, 1, 3).reshape(4, 3, 4),
                b.transpose(0, 2, 3, 1).reshape(4, 4, 5),
            ),
            lambda c: c.reshape(2, 2, 3, 5).transpose(0, 1, 3, 2),
        ),
        "Conv2D dilated": spread,
    }
    parts = "", "BackpropInput", "BackpropFilter"
    for how, three in (("by 2", strided), ("valid", valid), ("padded", padded)):
        for part, case in zip(parts, three, strict=True):
            cases[f"Conv2D{part} {how}"] = case
    for how, three in (("by 2", own), ("of 2 filters", many)):
        for part, case in zip(parts, three, strict=True):
            cases[f"DepthwiseConv2dNative{part} {how}"] = case
    return cases


CASES = _cases()
