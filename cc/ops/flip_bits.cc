// SPDX-License-Identifier: Apache-2.0
// Tpufi>FlipBits: y[i] = x[i] xor mask for start <= i < start + count.
//
// The bit-flip model of a transient fault in a flip-flop or memory cell.
#include "cc/ops/element_type.h"
#include "cc/ops/run_kernel.h"
#include "tensorflow/core/framework/op.h"

namespace tpufi {
namespace {

using tensorflow::OpKernelContext;
using tensorflow::XlaOpKernelContext;

REGISTER_OP("Tpufi>FlipBits")
    .Attr(TPUFI_ELEMENT_TYPES)
    .Attr(TPUFI_GRADIENTS)
    .Input("x: T")
    .Input("start: int64")
    .Input("count: int64")
    .Input("mask: uint64")
    .Output("y: T")
    .SetShapeFn(LikeInput)
    .Doc(R"doc(
Flips bits of a run of elements.

y[i] = x[i] xor mask for start <= i < start + count, on the bits of the elements; all
other elements are unchanged, bit for bit. i is the flat (row-major) index.

x: Tensor of any shape.
start: Scalar, flat index of the first changed element.
count: Scalar, number of changed elements. 0 changes nothing, for any start.
mask: Scalar, the bits to flip; bit 0 is the least significant. Bits beyond the width of
  the element type are an error.
y: Tensor like x.
gradient: What flows back to x; see docs/decisions/0003-gradients.md.
)doc");

struct FlipRule : RunRule {
  static constexpr OperationSet kOperations = 1u << kFlip;

  absl::Status Read(OpKernelContext* ctx, absl::string_view op, ElementFormat format) {
    const tensorflow::Tensor* mask = nullptr;
    TF_RETURN_IF_ERROR(ctx->input("mask", &mask));
    TF_RETURN_IF_ERROR(CheckScalar(op, "mask", *mask));
    operation = kFlip;
    word = mask->scalar<uint64_t>()();
    if ((word & ~format.mask()) == 0) return absl::OkStatus();
    return absl::InvalidArgumentError(absl::StrCat(
        op, ": mask 0x", absl::Hex(word), " has bits beyond the ", format.bits,
        " bits of the element type; the largest is 0x", absl::Hex(format.mask())));
  }
  void Build(XlaOpKernelContext* ctx, ElementFormat format) {
    xla_operation = xla::ConstantR0<int64_t>(ctx->builder(), kFlip);
    xla_word = ctx->Input("mask");
    valid = xla::Le(xla_word, xla::ScalarLike(xla_word, format.mask()));
  }
};

REGISTER_KERNEL_BUILDER(Name("Tpufi>FlipBits").Device(tensorflow::DEVICE_CPU),
                        RunCpuOp<FlipRule>);
REGISTER_XLA_OP(Name("Tpufi>FlipBits").TypeConstraint("T", kElementTypes),
                RunXlaOp<FlipRule>);

}  // namespace
}  // namespace tpufi
