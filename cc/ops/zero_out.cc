// SPDX-License-Identifier: Apache-2.0
// Tpufi>ZeroOut: y[i] = +0 for start <= i < start + count.
//
// The model of a lost write or a gated-off unit.
#include "cc/ops/element_type.h"
#include "cc/ops/run_kernel.h"
#include "tensorflow/core/framework/op.h"

namespace tpufi {
namespace {

using tensorflow::OpKernelContext;
using tensorflow::XlaOpKernelContext;

REGISTER_OP("Tpufi>ZeroOut")
    .Attr(TPUFI_ELEMENT_TYPES)
    .Attr(TPUFI_GRADIENTS)
    .Input("x: T")
    .Input("start: int64")
    .Input("count: int64")
    .Output("y: T")
    .SetShapeFn(LikeInput)
    .Doc(R"doc(
Replaces a run of elements by zero.

y[i] = +0 (all bits clear) for start <= i < start + count; all other elements are
unchanged, bit for bit. i is the flat (row-major) index.

x: Tensor of any shape.
start: Scalar, flat index of the first changed element.
count: Scalar, number of changed elements. 0 changes nothing, for any start.
y: Tensor like x.
gradient: What flows back to x; see docs/decisions/0003-gradients.md.
)doc");

struct ZeroRule : RunRule {
  static constexpr OperationSet kOperations = 1u << kZero;

  absl::Status Read(OpKernelContext*, absl::string_view, ElementFormat) {
    operation = kZero;
    return absl::OkStatus();
  }
  void Build(XlaOpKernelContext* ctx, ElementFormat) {
    xla_operation = xla::ConstantR0<int64_t>(ctx->builder(), kZero);
  }
};

REGISTER_KERNEL_BUILDER(Name("Tpufi>ZeroOut").Device(tensorflow::DEVICE_CPU),
                        RunCpuOp<ZeroRule>);
REGISTER_XLA_OP(Name("Tpufi>ZeroOut").TypeConstraint("T", kElementTypes),
                RunXlaOp<ZeroRule>);

}  // namespace
}  // namespace tpufi
