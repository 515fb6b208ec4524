# SPDX-License-Identifier: Apache-2.0
"""A small decoder-only transformer that predicts the next byte, trained with Adam.

| part       | output per token | layers                                               |
|------------|------------------|------------------------------------------------------|
| embeddings | 64               | of 256 bytes and of 64 positions, learned            |
| blocks 0-3 | 64               | layer norm, causal attention with 4 heads, shortcut; |
|            |                  | layer norm, 64 to 256, GELU, 256 to 64, shortcut     |
| head       | 256              | layer norm, fully connected, not tied to the table   |

Every fully connected layer has a bias. There is no dropout. The context is 64 tokens.
Kernels are Glorot normal, both tables normal with deviation 0.02; GELU is exact. A
forward pass takes 15.7 million multiply-accumulates. The loss is the mean over all
tokens of the global batch, the accuracy the share of tokens.

Source: Vaswani et al. 2017; Radford et al. 2019, with layer norm before each branch.
"""

from tpufi.layers import (
    GELU,
    Attention,
    AttentionContext,
    AttentionScores,
    Bias,
    CausalSoftmax,
    Dense,
    Embedding,
    LayerNorm,
    Node,
    PositionEmbedding,
    Residual,
    Sequence,
)
from tpufi.optimizers import Adam, LinearDecay
from tpufi.workload import Workload

CONTEXT = 64
VOCABULARY = 256
WIDTH = 64
HEADS = 4
BLOCKS = 4
# Width between the two layers of a block's second branch, as a multiple of its own.
EXPANSION = 4


def linear(name: str, units: int) -> Sequence:
    """Return a fully connected layer with bias, for each token by itself."""
    return Sequence((Dense(name, units), Bias(f"{name}_bias")))


def attention(name: str, width: int, heads: int) -> Sequence:
    """Return causal self-attention and the projection of its heads."""
    return Sequence(
        (
            Attention(
                query=linear(f"{name}_query", width),
                key=linear(f"{name}_key", width),
                value=linear(f"{name}_value", width),
                scores=AttentionScores(f"{name}_scores", heads),
                softmax=CausalSoftmax(f"{name}_softmax"),
                context=AttentionContext(f"{name}_context", width),
            ),
            linear(f"{name}_projection", width),
        )
    )


def block(name: str, width: int, heads: int) -> Sequence:
    """Return an attention and a two-layer perceptron, each with a shortcut."""
    mixing = (LayerNorm(f"{name}_norm1"), attention(name, width, heads))
    perceptron = (
        LayerNorm(f"{name}_norm2"),
        linear(f"{name}_expand", EXPANSION * width),
        GELU(f"{name}_gelu"),
        linear(f"{name}_contract", width),
    )
    return Sequence((Residual(Sequence(mixing)), Residual(Sequence(perceptron))))


def architecture(
    blocks: int = BLOCKS,
    width: int = WIDTH,
    heads: int = HEADS,
    vocabulary: int = VOCABULARY,
) -> Sequence:
    """Return the model.

    Args:
      blocks: number of blocks.
      width: length of a token's vector.
      heads: heads of an attention; divides the width.
      vocabulary: number of different tokens.
    """
    parts: list[Node] = [
        Embedding("embedding", vocabulary, width),
        PositionEmbedding("position"),
    ]
    parts += [block(f"block{b}", width, heads) for b in range(blocks)]
    return Sequence((*parts, LayerNorm("norm"), linear("head", vocabulary)))


WORKLOAD = Workload(
    name="decoder",
    model=architecture(),
    optimizer=Adam(),
    schedule=LinearDecay(final=0.0001, steps=5000),
    learning_rate=0.001,
    input_shape=(CONTEXT,),
    classes=VOCABULARY,
    input_dtype="int32",
)
