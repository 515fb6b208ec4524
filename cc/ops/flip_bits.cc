// SPDX-License-Identifier: Apache-2.0
// Tpufi>FlipBits: y[i] = x[i] xor mask for start <= i < start + count.
//
// The bit-flip model of a transient fault in a flip-flop or memory cell.
#include <algorithm>

#include "cc/lib/element.h"
#include "cc/ops/element_type.h"
#include "cc/ops/run_fault_cpu.h"
#include "cc/ops/run_fault_xla.h"
#include "tensorflow/core/framework/common_shape_fns.h"
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
    .SetShapeFn(tensorflow::shape_inference::UnchangedShape)
    .Doc(R"doc(
Flips bits of a run of elements.

y[i] = x[i] xor mask for start <= i < start + count, on the bits of the elements; all
other elements are unchanged, bit for bit. i is the flat (row-major) index.

x: Tensor of any shape.
start: Scalar, flat index of the first struck element.
count: Scalar, number of struck elements. 0 changes nothing, for any start.
mask: Scalar, the bits to flip; bit 0 is the least significant. Bits beyond the width of
  the element type are an error.
y: Tensor like x.
gradient: What flows back to x; see docs/decisions/0003-gradients.md.
)doc");

struct FlipRule {
  absl::Status Read(OpKernelContext* ctx, absl::string_view op, ElementFormat format) {
    if (absl::Status s = CheckScalar(op, "mask", ctx->input(3)); !s.ok()) {
      return s;
    }
    mask = ctx->input(3).scalar<uint64_t>()();
    return CheckWord(op, "mask", mask, format);
  }
  uint64_t keep() const { return ~uint64_t{0}; }
  template <typename Word>
  void words(int64_t /*start*/, int n, Word* words) const {
    std::fill_n(words, n, static_cast<Word>(mask));
  }
  static constexpr int64_t kCyclesPerElement = 1;

  uint64_t mask = 0;
};

struct XlaFlipRule {
  void Build(XlaOpKernelContext* ctx, ElementFormat format, xla::XlaOp /*indices*/,
             xla::PrimitiveType /*index_type*/) {
    const xla::XlaOp mask = ctx->Input(3);
    valid = xla::Le(mask, xla::ScalarLike(mask, format.mask()));
    word = xla::ConvertElementType(mask, WordType(format));
    keep = xla::Not(xla::ZerosLike(word));
  }

  xla::XlaOp keep, word, valid;
};

REGISTER_KERNEL_BUILDER(Name("Tpufi>FlipBits").Device(tensorflow::DEVICE_CPU),
                        RunFaultCpuOp<FlipRule>);
REGISTER_XLA_OP(Name("Tpufi>FlipBits").TypeConstraint("T", kElementTypes),
                RunFaultXlaOp<XlaFlipRule>);

}  // namespace
}  // namespace tpufi
