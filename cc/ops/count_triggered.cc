// SPDX-License-Identifier: Apache-2.0
// Tpufi>CountTriggered: how many elements a prepared fault changes.
#include "cc/ops/element_type.h"
#include "cc/ops/prepare_xla.h"
#include "tensorflow/core/framework/op.h"
#include "tensorflow/core/framework/shape_inference.h"
#include "xla/hlo/builder/lib/arithmetic.h"

namespace tpufi {
namespace {

using tensorflow::OpKernelConstruction;
using tensorflow::XlaOpKernelContext;
using xla::XlaOp;

REGISTER_OP("Tpufi>CountTriggered")
    .Input("prepared: uint32")
    .Input("changes: bool")
    .Input("low: uint32")
    .Input("high: uint32")
    .Output("count: uint32")
    .SetShapeFn(tensorflow::shape_inference::ScalarShape)
    .Doc(R"doc(
Counts the elements that a prepared fault changes; in programs that XLA compiles.

prepared: A row of Tpufi>PrepareFaults.
changes: Which elements it names, by flat index, [n].
low: Low halves of their words before the fault, [n].
high: High halves, [n]; of another size if no element has 64 bits.
count: How many of them its trigger lets change.
)doc");

class CountTriggeredXlaOp final : public tensorflow::XlaOpKernel {
 public:
  explicit CountTriggeredXlaOp(OpKernelConstruction* ctx) : XlaOpKernel(ctx) {}

  void Compile(XlaOpKernelContext* ctx) override {
    const absl::StatusOr<xla::Shape> shape = ctx->InputXlaShape("changes");
    const absl::StatusOr<xla::Shape> high = ctx->InputXlaShape("high");
    OP_REQUIRES_OK(ctx, shape.status());
    OP_REQUIRES_OK(ctx, high.status());
    const bool wide = high->dimensions() == shape->dimensions();
    const xla::PrimitiveType word = wide ? xla::U64 : xla::U32;
    XlaOp bits = ctx->Input("low");
    if (wide) bits = Whole({bits, ctx->Input("high")});
    const XlaOp hit =
        xla::And(ctx->Input("changes"),
                 Triggers(TriggerOfPrepared(ctx->Input("prepared"), word), bits));
    ctx->SetOutput(
        0, xla::ReduceAll(xla::ConvertElementType(hit, xla::U32),
                          xla::Zero(ctx->builder(), xla::U32),
                          xla::CreateScalarAddComputation(xla::U32, ctx->builder())));
  }
};

REGISTER_XLA_OP(Name("Tpufi>CountTriggered"), CountTriggeredXlaOp);

}  // namespace
}  // namespace tpufi
