// SPDX-License-Identifier: Apache-2.0
// Tpufi>ZeroOut: y[i] = +0 for start <= i < start + count.
//
// The model of a lost write or a gated-off unit.
#include <algorithm>

#include "cc/ops/element_type.h"
#include "cc/ops/run_fault_cpu.h"
#include "cc/ops/run_fault_xla.h"
#include "tensorflow/core/framework/common_shape_fns.h"
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
    .SetShapeFn(tensorflow::shape_inference::UnchangedShape)
    .Doc(R"doc(
Replaces a run of elements by zero.

y[i] = +0 (all bits clear) for start <= i < start + count; all other elements are
unchanged, bit for bit. i is the flat (row-major) index.

x: Tensor of any shape.
start: Scalar, flat index of the first struck element.
count: Scalar, number of struck elements. 0 changes nothing, for any start.
y: Tensor like x.
gradient: What flows back to x; see docs/decisions/0003-gradients.md.
)doc");

struct ZeroRule {
  absl::Status Read(OpKernelContext*, absl::string_view, ElementFormat) {
    return absl::OkStatus();
  }
  uint64_t keep() const { return 0; }
  template <typename Word>
  void words(int64_t /*start*/, int n, Word* words) const {
    std::fill_n(words, n, Word{0});
  }
  static constexpr int64_t kCyclesPerElement = 1;
};

struct XlaZeroRule {
  void Build(XlaOpKernelContext* ctx, ElementFormat format, xla::XlaOp /*indices*/,
             xla::PrimitiveType /*index_type*/) {
    keep = xla::Zero(ctx->builder(), WordType(format));
    word = keep;
    valid = xla::ConstantR0<bool>(ctx->builder(), true);
  }

  xla::XlaOp keep, word, valid;
};

REGISTER_KERNEL_BUILDER(Name("Tpufi>ZeroOut").Device(tensorflow::DEVICE_CPU),
                        RunFaultCpuOp<ZeroRule>);
REGISTER_XLA_OP(Name("Tpufi>ZeroOut").TypeConstraint("T", kElementTypes),
                RunFaultXlaOp<XlaZeroRule>);

}  // namespace
}  // namespace tpufi
