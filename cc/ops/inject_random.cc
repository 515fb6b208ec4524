// SPDX-License-Identifier: Apache-2.0
// Tpufi>InjectRandom: random bit patterns for start <= i < start + count.
//
// The model of a fault in control logic that leaves an arbitrary value. The pattern of
// element i is a pure function of (seed, i): cc/lib/random_patterns.h.
#include "cc/ops/element_type.h"
#include "cc/ops/run_kernel.h"
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
  return LikeInput(ctx);
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
start: Scalar, flat index of the first changed element.
count: Scalar, number of changed elements. 0 changes nothing, for any start.
seed: Two words, the key of Threefry-2x32.
finite: Scalar, whether Inf and NaN are excluded.
y: Tensor like x.
gradient: What flows back to x; see docs/decisions/0003-gradients.md.
)doc");

struct RandomRule : RunRule {
  static constexpr OperationSet kOperations = 1u << kRandom | 1u << kRandomBits;

  absl::Status Read(OpKernelContext* ctx, absl::string_view op, ElementFormat) {
    const tensorflow::Tensor* seed = nullptr;
    const tensorflow::Tensor* finite = nullptr;
    TF_RETURN_IF_ERROR(ctx->input("seed", &seed));
    TF_RETURN_IF_ERROR(ctx->input("finite", &finite));
    if (seed->dims() != 1 || seed->dim_size(0) != 2) {
      return absl::InvalidArgumentError(absl::StrCat(
          op, ": seed must have shape [2], got ", seed->shape().DebugString()));
    }
    TF_RETURN_IF_ERROR(CheckScalar(op, "finite", *finite));
    operation = finite->scalar<bool>()() ? kRandom : kRandomBits;
    word = uint64_t{seed->vec<uint32_t>()(1)} << 32 | seed->vec<uint32_t>()(0);
    return absl::OkStatus();
  }
  void Build(XlaOpKernelContext* ctx, ElementFormat) {
    const xla::XlaOp seed = ctx->Input("seed");
    const auto half = [&](int i) {
      return xla::Reshape(xla::SliceInDim(seed, i, i + 1, 1, 0), {});
    };
    xla_word = Whole({half(0), half(1)});
    const auto number = [&](Operation operation) {
      return xla::ConstantR0<int64_t>(ctx->builder(), operation);
    };
    xla_operation =
        xla::Select(ctx->Input("finite"), number(kRandom), number(kRandomBits));
  }
};

// A stream of random bits (dropout) replaces all elements, which is known while the
// program is compiled. Then each element is computed where it stands.
class InjectRandomXlaOp final : public RunXlaOp<RandomRule> {
 public:
  using RunXlaOp::RunXlaOp;

  void Compile(XlaOpKernelContext* ctx) override {
    const absl::StatusOr<xla::Shape> shape = ctx->InputXlaShape("x");
    OP_REQUIRES_OK(ctx, shape.status());
    const int64_t size = xla::ShapeUtil::ElementsIn(*shape);
    const ElementFormat format = FormatOf(ctx->input_type(0));
    if (size == 0 || format.bits > 32 || IndexType(size) != xla::U32 ||
        !IsConstant(ctx, 1, 0) || !IsConstant(ctx, 2, size)) {
      return RunXlaOp::Compile(ctx);
    }
    RandomRule rule;
    rule.Build(ctx, format);
    const xla::Shape words = xla::ShapeUtil::MakeShape(xla::U32, shape->dimensions());
    xla::XlaOp index =
        xla::Broadcast(xla::Zero(ctx->builder(), xla::U32), shape->dimensions());
    int64_t stride = 1;
    for (int64_t axis = shape->rank() - 1; axis >= 0; --axis) {
      const xla::XlaOp coordinate = xla::Iota(ctx->builder(), words, axis);
      index = index + coordinate * xla::ScalarLike(coordinate, stride);
      stride *= shape->dimensions(axis);
    }
    const xla::XlaOp finite = xla::ConvertElementType(ctx->Input("finite"), xla::U32);
    const xla::XlaOp bits =
        RandomPattern32(format,
                        RandomWords<xla::XlaOp>(Halves(rule.xla_word),
                                                {index, xla::ZerosLike(index)}, 0),
                        xla::ZerosLike(finite) - finite);
    ctx->SetOutput(
        0, xla::BitcastConvertType(xla::ConvertElementType(bits, WordType(format)),
                                   ctx->input_xla_type(0)));
  }

 private:
  static bool IsConstant(XlaOpKernelContext* ctx, int input, int64_t value) {
    const auto& constant = ctx->InputExpression(input).constant_value();
    return constant.has_value() && constant->scalar<int64_t>()() == value;
  }
};

REGISTER_KERNEL_BUILDER(Name("Tpufi>InjectRandom").Device(tensorflow::DEVICE_CPU),
                        RunCpuOp<RandomRule>);
REGISTER_XLA_OP(Name("Tpufi>InjectRandom").TypeConstraint("T", kElementTypes),
                InjectRandomXlaOp);

}  // namespace
}  // namespace tpufi
