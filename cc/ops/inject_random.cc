// SPDX-License-Identifier: Apache-2.0
// Tpufi>InjectRandom: random bit patterns for start <= i < start + count.
//
// The model of a fault in control logic that leaves an arbitrary value. The pattern of
// element i is a pure function of (seed, i): cc/lib/random_patterns.h.
#include "cc/lib/random_patterns.h"
#include "cc/ops/element_type.h"
#include "cc/ops/run_fault_cpu.h"
#include "cc/ops/run_fault_xla.h"
#include "tensorflow/core/framework/op.h"
#include "tensorflow/core/framework/shape_inference.h"

namespace tpufi {
namespace {

using tensorflow::OpKernelContext;
using tensorflow::XlaOpKernelContext;
using tensorflow::shape_inference::InferenceContext;
using tensorflow::shape_inference::ShapeHandle;

absl::Status Shape(InferenceContext* ctx) {
  ShapeHandle unused;
  TF_RETURN_IF_ERROR(ctx->Merge(ctx->input(3), ctx->MakeShape({2}), &unused));
  ctx->set_output(0, ctx->input(0));
  return absl::OkStatus();
}

REGISTER_OP("Tpufi>InjectRandom")
    .Attr(TPUFI_ELEMENT_TYPES)
    .Attr(TPUFI_GRADIENTS)
    .Input("x: T")
    .Input("start: int64")
    .Input("count: int64")
    .Input("seed: uint32")
    .Input("finite: bool")
    .Output("y: T")
    .SetShapeFn(Shape)
    .Doc(R"doc(
Replaces a run of elements by random bit patterns.

For start <= i < start + count, y[i] is a random pattern that depends on seed and i only;
all other elements are unchanged, bit for bit. Sign and mantissa bits are fair. With
`finite` the exponent field is uniform over all values but all ones, so Inf and NaN never
occur; without it all patterns are equally likely. Integers are uniform in both cases.

x: Tensor of any shape.
start: Scalar, flat index of the first struck element.
count: Scalar, number of struck elements. 0 changes nothing, for any start.
seed: Two words, the key of Threefry-2x32.
finite: Scalar, whether Inf and NaN are excluded.
y: Tensor like x.
gradient: What flows back to x; see docs/decisions/0003-gradients.md.
)doc");

struct RandomRule {
  absl::Status Read(OpKernelContext* ctx, absl::string_view op,
                    ElementFormat element_format) {
    const tensorflow::Tensor& seed = ctx->input(3);
    if (seed.dims() != 1 || seed.dim_size(0) != 2) {
      return absl::InvalidArgumentError(absl::StrCat(
          op, ": seed must have shape [2], got ", seed.shape().DebugString()));
    }
    if (absl::Status s = CheckScalar(op, "finite", ctx->input(4)); !s.ok()) {
      return s;
    }
    key = {seed.vec<uint32_t>()(0), seed.vec<uint32_t>()(1)};
    finite = ctx->input(4).scalar<bool>()();
    format = element_format;
    return absl::OkStatus();
  }
  uint64_t keep() const { return 0; }
  template <typename Word>
  void words(int64_t start, int n, Word* words) const {
    RandomPatterns(format, key, start, n, finite, words);
  }
  static constexpr int64_t kCyclesPerElement = 20;

  ElementFormat format = {};
  WordPair<uint32_t> key = {};
  bool finite = true;
};

struct XlaRandomRule {
  void Build(XlaOpKernelContext* ctx, ElementFormat format, xla::XlaOp indices,
             xla::PrimitiveType index_type) {
    const xla::XlaOp seed = ctx->Input(3);
    const auto seed_word = [&](int i) {
      return xla::Reshape(xla::SliceInDim(seed, i, i + 1, 1, 0), {});
    };
    const WordPair<xla::XlaOp> key = {seed_word(0), seed_word(1)};
    const WordPair<xla::XlaOp> index = UnsignedHalves(indices, index_type);
    const xla::XlaOp finite_mask = FullMask(ctx->Input(4));
    const WordPair<xla::XlaOp> words = RandomWords(key, index, 0);
    if (format.bits <= 32) {
      word = xla::ConvertElementType(RandomPattern32(format, words, finite_mask),
                                     WordType(format));
    } else {
      const WordPair<xla::XlaOp> pattern =
          RandomPattern64(format, words, RandomWords(key, index, 1), finite_mask);
      const xla::XlaOp hi = xla::ConvertElementType(pattern.hi, xla::U64);
      word = (hi << xla::ScalarLike(hi, 32)) |
             xla::ConvertElementType(pattern.lo, xla::U64);
    }
    keep = xla::Zero(ctx->builder(), WordType(format));
    valid = xla::ConstantR0<bool>(ctx->builder(), true);
  }

  xla::XlaOp keep, word, valid;
};

REGISTER_KERNEL_BUILDER(Name("Tpufi>InjectRandom").Device(tensorflow::DEVICE_CPU),
                        RunFaultCpuOp<RandomRule>);
REGISTER_XLA_OP(Name("Tpufi>InjectRandom").TypeConstraint("T", kElementTypes),
                RunFaultXlaOp<XlaRandomRule>);

}  // namespace
}  // namespace tpufi
