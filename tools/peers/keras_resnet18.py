# SPDX-License-Identifier: Apache-2.0
"""ResNet-18 as a user builds it from Keras layers."""

import tensorflow as tf

keras = tf.keras
_STAGES = ((64, 1), (128, 2), (256, 2), (512, 2))


def keras_resnet18(dtype: str, dropout: float = 0.0) -> keras.Model:
    """Return the model; layers are called as those of the workload.

    Args:
      dtype: of all tensors.
      dropout: rate behind both ReLUs of every block; 0 leaves dropout out.
    """
    inputs = keras.Input((32, 32, 3), dtype=dtype)
    x = _relu(_normed(inputs, "conv1", "bn1", 64, 7, 2, dtype), 0.0)
    for stage, (filters, first) in enumerate(_STAGES, 1):
        for block in (0, 1):
            name = f"basicblock_{stage}_basic_{block}"
            stride = first if block == 0 else 1
            x = _block(x, name, filters, stride, dtype, dropout)
    x = keras.layers.GlobalAveragePooling2D(dtype=dtype)(x)
    return keras.Model(inputs, keras.layers.Dense(10, name="fc", dtype=dtype)(x))


def _block(x, name: str, filters: int, stride: int, dtype: str, dropout: float):
    parts = [f"{name}_conv1", f"{name}_bn1", filters, 3, stride, dtype]
    y = _relu(_normed(x, *parts), dropout)
    y = _normed(y, f"{name}_conv2", f"{name}_bn2", filters, 3, 1, dtype)
    if stride > 1:
        parts = [f"{name}_downsample", f"{name}_bn3", filters, 1, stride, dtype]
        x = _normed(x, *parts)
    return _relu(keras.layers.add([y, x], dtype=dtype), dropout)


def _normed(x, name: str, norm: str, filters: int, kernel: int, stride: int, dtype):
    y = keras.layers.Conv2D(
        filters, kernel, stride, padding="same", name=name, dtype=dtype
    )(x)
    return keras.layers.BatchNormalization(epsilon=1e-3, name=norm, dtype=dtype)(y)


def _relu(x, dropout: float):
    y = keras.layers.ReLU(dtype=x.dtype)(x)
    return keras.layers.Dropout(dropout, dtype=x.dtype)(y) if dropout else y
