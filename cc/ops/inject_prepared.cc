// SPDX-License-Identifier: Apache-2.0
// Tpufi>InjectPrepared: a site of a compiled program.
#include "cc/ops/element_type.h"
#include "cc/ops/inject_xla.h"
#include "tensorflow/core/framework/op.h"
#include "tensorflow/core/framework/shape_inference.h"

namespace tpufi {
namespace {

using tensorflow::OpKernelConstruction;
using tensorflow::XlaOpKernelContext;
using xla::XlaOp;

REGISTER_OP("Tpufi>InjectPrepared")
    .Attr(TPUFI_ELEMENT_TYPES)
    .Attr("site: int >= 0")
    .Attr("confines: bool = false")
    .Input("x: T")
    .Input("prepared: uint32")
    .Input("changes: bool")
    .Input("low: uint32")
    .Input("high: uint32")
    .Output("y: T")
    .Output("golden_low: uint32")
    .Output("golden_high: uint32")
    .SetShapeFn([](tensorflow::shape_inference::InferenceContext* ctx) {
      for (int i = 1; i < 3; ++i) ctx->set_output(i, ctx->input(2 + i));
      return LikeInput(ctx);
    })
    .Doc(R"doc(
Injects a prepared fault if it names this site; in programs that XLA compiles.

It does what Tpufi>InjectFault does of the same fault, where a step with a fault gets to.

x: Tensor of any shape.
prepared: A row of Tpufi>PrepareFaults; that for another replica must name no site.
changes: Which elements change, like `x`.
low: Low halves of their words, like `x`; of a row that copies, of what is copied.
high: High halves, like `x` if it has elements of 64 bits.
y: Tensor like x.
golden_low: Low halves of the words of `x`.
golden_high: High halves, if it has elements of 64 bits; else zeros like `high`.
site: Id of this site.
confines: Whether rows may have a reach; see docs/decisions/0012-confined-faults.md.
)doc");

class InjectPreparedXlaOp final : public tensorflow::XlaOpKernel {
 public:
  explicit InjectPreparedXlaOp(OpKernelConstruction* ctx) : XlaOpKernel(ctx) {
    OP_REQUIRES_OK(ctx, ctx->GetAttr("site", &site_));
    OP_REQUIRES_OK(ctx, ctx->GetAttr("confines", &confines_));
  }

  void Compile(XlaOpKernelContext* ctx) override {
    const absl::StatusOr<xla::Shape> shape = ctx->InputXlaShape("x");
    OP_REQUIRES_OK(ctx, shape.status());
    const ElementFormat format = FormatOf(ctx->input_type(0));
    for (const absl::string_view plane : {"changes", "low", "high"}) {
      if (plane == "high" && format.bits < 64) continue;
      const absl::StatusOr<xla::Shape> other = ctx->InputXlaShape(plane);
      OP_REQUIRES_OK(ctx, other.status());
      OP_REQUIRES(ctx, other->dimensions() == shape->dimensions(),
                  absl::InvalidArgumentError(
                      absl::StrCat(type_string(), ": ", plane, " has the shape ",
                                   other->ToString(), ", x has ", shape->ToString())));
    }
    const XlaOp fields = ctx->Input("prepared");
    const int field = confines_ ? kNamedSite : kUnconfinedSite;
    const XlaOp named =
        xla::Reshape(xla::SliceInDim(fields, field, field + 1, 1, 0), {});
    const XlaOp happens =
        xla::Eq(named, xla::ScalarLike(named, static_cast<uint32_t>(site_)));
    const XlaPlanes planes = {xla::And(ctx->Input("changes"), happens),
                              ctx->Input("low"), ctx->Input("high")};
    const XlaSeen found =
        InjectXla(ctx->input_xla_type(0), format, fields, planes, ctx->Input("x"));
    ctx->SetOutput(0, found.y);
    ctx->SetOutput(1, found.golden.lo);
    ctx->SetOutput(
        2, format.bits == 64 ? found.golden.hi : xla::ZerosLike(ctx->Input("high")));
  }

 private:
  int64_t site_ = 0;
  bool confines_ = false;
};

REGISTER_XLA_OP(Name("Tpufi>InjectPrepared").TypeConstraint("T", kElementTypes),
                InjectPreparedXlaOp);

}  // namespace
}  // namespace tpufi
