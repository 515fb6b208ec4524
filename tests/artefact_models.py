# SPDX-License-Identifier: Apache-2.0
"""Objects like those of the artefact's models, whose checkpoints tests import.

The trees have the artefact's layers in its order of creation, with attributes named as
one would; `Weights` remembers each value under the name that our weight must get.
"""

import numpy as np
import tensorflow as tf


class Weights:
    """Makes variables with drawn values and remembers them by our names."""

    def __init__(self, seed: int = 0):
        self.values: dict[str, np.ndarray] = {}
        self._rng = np.random.default_rng(seed)

    def __call__(self, name: str, *shape: int, positive: bool = False) -> tf.Variable:
        value = self._rng.standard_normal(shape, np.float32)
        value = np.abs(value) + 0.5 if positive else value * 0.1
        self.values[name] = np.asarray(value, np.float32)
        return tf.Variable(self.values[name], name=name.rsplit("/", 1)[-1])


class Part(tf.Module):
    """An object with attributes in the given order."""

    def __init__(self, **attributes: object):
        super().__init__()
        for name, value in attributes.items():
            setattr(self, name, value)


def conv(w: Weights, name: str, k: int, cin: int, cout: int, bias: bool = True) -> Part:
    part = Part(kernel=w(f"{name}/kernel", k, k, cin, cout))
    if bias:
        part.additive = Part(bias=w(f"{name}_bias/bias", cout))
    return part


def norm(w: Weights, name: str, channels: int) -> Part:
    return Part(
        gamma=w(f"{name}/gamma", channels),
        beta=w(f"{name}/beta", channels),
        moving_mean=w(f"{name}/moving_mean", channels),
        moving_variance=w(f"{name}/moving_variance", channels, positive=True),
    )


def dense(w: Weights, inputs: int) -> Part:
    return Part(kernel=w("fc/kernel", inputs, 10), bias=w("fc_bias/bias", 10))


def resnet18(w: Weights, batch_norm: bool = True) -> Part:
    """ResNet-18: a stem, four stages of two blocks, a dense layer."""

    def maybe(attribute: str, name: str, channels: int) -> dict:
        return {attribute: norm(w, name, channels)} if batch_norm else {}

    root = Part(conv1=conv(w, "conv1", 7, 3, 64), **maybe("bn1", "bn1", 64))
    channels = 64
    for s, width in enumerate((64, 128, 256, 512), 1):
        blocks = []
        for b in range(2):
            name = f"basicblock_{s}_basic_{b}"
            parts = {"conv1": conv(w, f"{name}_conv1", 3, channels, width)}
            parts |= maybe("bn1", f"{name}_bn1", width)
            parts["conv2"] = conv(w, f"{name}_conv2", 3, width, width)
            parts |= maybe("bn2", f"{name}_bn2", width)
            if channels != width:
                parts["downsample"] = conv(w, f"{name}_downsample", 1, channels, width)
                parts |= maybe("bn3", f"{name}_bn3", width)
            blocks.append(Part(**parts))
            channels = width
        setattr(root, f"stage{s}", blocks)
    root.fc = dense(w, 512)
    return root


def resnet18_logits(root: Part, x: tf.Tensor) -> tf.Tensor:
    """Infer with the variables of such a tree, in plain TensorFlow."""

    def convolve(part: Part, x: tf.Tensor, stride: int) -> tf.Tensor:
        return tf.nn.conv2d(x, part.kernel, stride, "SAME") + part.additive.bias

    def normalise(part: Part, x: tf.Tensor) -> tf.Tensor:
        statistics = part.moving_mean, part.moving_variance
        return tf.nn.batch_normalization(x, *statistics, part.beta, part.gamma, 1e-3)

    x = tf.nn.relu(normalise(root.bn1, convolve(root.conv1, x, 2)))
    for stage in (root.stage1, root.stage2, root.stage3, root.stage4):
        for block in stage:
            stride = 2 if hasattr(block, "downsample") else 1
            short = x
            if stride > 1:
                short = normalise(block.bn3, convolve(block.downsample, x, stride))
            y = tf.nn.relu(normalise(block.bn1, convolve(block.conv1, x, stride)))
            x = tf.nn.relu(normalise(block.bn2, convolve(block.conv2, y, 1)) + short)
    return tf.reduce_mean(x, [1, 2]) @ root.fc.kernel + root.fc.bias


def effnet(w: Weights) -> Part:
    """EfficientNet-B0 with the artefact's squeeze-excite."""
    stages = (
        (16, 1, 1, 3), (24, 2, 6, 3), (40, 2, 6, 5), (80, 3, 6, 3), (112, 3, 6, 5),
        (192, 4, 6, 5), (320, 1, 6, 3),
    )  # fmt: skip
    root = Part(conv1=conv(w, "conv1", 3, 3, 32, False), bn1=norm(w, "bn1", 32))
    cin = 32
    for b, (cout, blocks, expansion, k) in enumerate(stages, 1):
        made = []
        for i in range(blocks):
            name, wide = f"block{b}_mbconv_{i}", cin * expansion
            made.append(
                Part(
                    conv1=conv(w, f"{name}_conv1", 1, cin, wide, False),
                    bn1=norm(w, f"{name}_bn1", wide),
                    dwconv=Part(
                        depthwise_kernel=w(f"{name}_dwconv/kernel", k, k, wide, 1)
                    ),
                    bn2=norm(w, f"{name}_bn2", wide),
                    se=Part(
                        reduce=conv(w, f"{name}_se_reduce_conv", 1, wide, wide // 4),
                        expand=conv(w, f"{name}_se_expand_conv", 1, wide // 4, wide),
                    ),
                    conv2=conv(w, f"{name}_conv2", 1, wide, cout, False),
                    bn3=norm(w, f"{name}_bn3", cout),
                )
            )
            cin = cout
        setattr(root, f"block{b}", made)
    root.conv2 = conv(w, "conv2", 1, 320, 1280, False)
    root.bn2 = norm(w, "bn2", 1280)
    root.fc = dense(w, 1280)
    return root


def densenet(w: Weights) -> Part:
    """DenseNet-121 with trained convolutions in place of its poolings."""
    name, channels = "densenet", 64
    root = Part(
        conv=conv(w, f"{name}_conv", 7, 3, 64),
        bn=norm(w, f"{name}_bn", 64),
        conv_p=conv(w, f"{name}_conv_p", 3, 64, 64),
    )
    for i, count in enumerate((6, 12, 24, 16), 1):
        made = []
        for j in range(count):
            block = f"{name}_dense_block_{i}_bottleneck_{j}"
            made.append(
                Part(
                    bn1=norm(w, f"{block}_bn1", channels),
                    conv1=conv(w, f"{block}_conv1", 1, channels, 128),
                    bn2=norm(w, f"{block}_bn2", 128),
                    conv2=conv(w, f"{block}_conv2", 3, 128, 32),
                )
            )
            channels += 32
        setattr(root, f"dense_block_{i}", Part(features=made))
        if i < 4:
            block, half = f"{name}_transition_{i}", channels // 2
            transition = Part(
                bn=norm(w, f"{block}_bn", channels),
                conv=conv(w, f"{block}_conv", 1, channels, half),
                conv_p=conv(w, f"{block}_conv_p", 3, half, half),
            )
            setattr(root, f"transition_{i}", transition)
            channels = half
    root.fc = dense(w, 1024)
    return root


def nfnet(w: Weights) -> Part:
    """NF-ResNet: gain, kernel and bias of each convolution; skip gains."""

    def standardised(name: str, k: int, cin: int, cout: int) -> Part:
        return Part(
            gain=w(f"{name}/gain", cout),
            kernel=w(f"{name}/kernel", k, k, cin, cout),
            bias=w(f"{name}_bias/bias", cout),
        )

    root = Part(init_conv=standardised("NF_ResNet_init_conv", 3, 3, 64))
    cin, made = 64, []
    for i, cout in enumerate((256, 256, 512, 512, 1024, 1024, 2048, 2048)):
        name, width = f"NF_ResNet_block_{i}", cout // 4
        block = Part(
            conv0=standardised(f"{name}_conv0", 1, cin, width),
            conv1=standardised(f"{name}_conv1", 3, width, width),
            conv2=standardised(f"{name}_conv2", 1, width, cout),
        )
        if i % 2 == 0:
            block.shortcut = standardised(f"{name}_conv_shortcut", 1, cin, cout)
        block.skip_gain = w(f"{name}_skip_gain/gain")
        made.append(block)
        cin = cout
    root.blocks = made
    root.fc = dense(w, 2048)
    return root


class Adam(tf.Module):
    """The part of a Keras 2 optimiser that checkpoints see: counter and slots."""

    def __init__(self, trained: list[tf.Variable], iterations: int):
        super().__init__()
        self.iter = tf.Variable(iterations, dtype=tf.int64)
        self.learning_rate = tf.Variable(0.001)
        # Not attributes: slots are reached through get_slot only.
        slots = {
            (v.ref(), slot): tf.Variable(tf.fill(v.shape, scale * (1 + i)))
            for i, v in enumerate(trained)
            for slot, scale in (("m", 1e-3), ("v", 1e-6))
        }
        self._of = lambda variable, name: slots.get((variable.ref(), name))

    def _create_or_restore_slot_variable(self, *_: object) -> None:
        raise NotImplementedError("checkpoints are only written here")

    def get_slot_names(self) -> list[str]:
        return ["m", "v"]

    def get_slot(self, variable: tf.Variable, name: str) -> tf.Variable:
        return self._of(variable, name)


MODELS = {
    "resnet18": resnet18,
    "resnet18_sgd": resnet18,
    "resnet18_nobn": lambda w: resnet18(w, batch_norm=False),
    "effnet": effnet,
    "densenet": densenet,
    "nfnet": nfnet,
}
