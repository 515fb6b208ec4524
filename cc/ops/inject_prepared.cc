// SPDX-License-Identifier: Apache-2.0
// Tpufi>InjectPrepared: a site of a compiled program.
#include <vector>

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
    .Attr("perm: list(int) = []")
    .Attr("confines: bool = false")
    .Attr("Noted: list({float, uint32}) >= 1")
    .Input("x: T")
    .Input("noted: Noted")
    .Input("prepared: uint32")
    .Input("notes: uint32")
    .Input("changes: bool")
    .Input("low: uint32")
    .Input("high: uint32")
    .Output("y: T")
    .Output("now: Noted")
    .SetShapeFn([](tensorflow::shape_inference::InferenceContext* ctx) {
      for (int i = 1; i < ctx->num_outputs(); ++i) ctx->set_output(i, ctx->input(i));
      return LikeInput(ctx);
    })
    .Doc(R"doc(
Injects the prepared faults that name this site; in programs that XLA compiles.

It does what Tpufi>InjectFault does of the same faults.

x: Tensor of any shape.
noted: What other sites noted: one record of float (Tpufi>InjectFault), and the site is
  a conditional; or low and high halves of the numbers, each [rows, 1 + n], where only a
  step with a fault gets to the site.
prepared: Of Tpufi>PrepareFaults, as are the next ones. Rows for another replica must
  name no site.
notes: What is noted of the faults.
changes: Which elements change.
low: Low halves of the words.
high: High halves of the words.
y: Tensor like x.
now: The same with what this site noted.
site: Id of this site.
perm: Axis order of the site's view.
confines: Whether rows may have a reach; see docs/decisions/0012-confined-faults.md.
)doc");

class InjectPreparedXlaOp final : public tensorflow::XlaOpKernel {
 public:
  explicit InjectPreparedXlaOp(OpKernelConstruction* ctx) : XlaOpKernel(ctx) {
    OP_REQUIRES_OK(ctx, ctx->GetAttr("site", &site_));
    OP_REQUIRES_OK(ctx, ctx->GetAttr("perm", &perm_));
    OP_REQUIRES_OK(ctx, ctx->GetAttr("confines", &confines_));
    std::vector<tensorflow::DataType> noted;
    OP_REQUIRES_OK(ctx, ctx->GetAttr("Noted", &noted));
    rare_ =
        noted.size() == 2 && noted[0] == tensorflow::DT_UINT32 && noted[1] == noted[0];
    OP_REQUIRES(ctx, rare_ || (noted.size() == 1 && noted[0] == tensorflow::DT_FLOAT),
                absl::InvalidArgumentError(absl::StrCat(
                    type_string(), ": noted is one of float or two of uint32")));
  }

  void Compile(XlaOpKernelContext* ctx) override {
    const absl::StatusOr<xla::Shape> shape = ctx->InputXlaShape("x");
    const absl::StatusOr<xla::Shape> words = ctx->InputXlaShape("low");
    const absl::StatusOr<xla::Shape> wide = ctx->InputXlaShape("high");
    const absl::StatusOr<xla::Shape> all_notes = ctx->InputXlaShape("notes");
    for (const auto& status :
         {shape.status(), words.status(), wide.status(), all_notes.status()}) {
      OP_REQUIRES_OK(ctx, status);
    }
    const std::vector<int64_t> dims(shape->dimensions().begin(),
                                    shape->dimensions().end());
    OP_REQUIRES(
        ctx, IsPermutation(perm_, dims.size()),
        absl::InvalidArgumentError(absl::StrCat(
            type_string(), ": perm is not a permutation of ", dims.size(), " axes")));
    const int64_t rows = all_notes->dimensions(0), n = all_notes->dimensions(1) / 4;
    const int64_t room = words->dimensions(0) / rows,
                  wide_room = wide->dimensions(0) / rows;
    const ElementFormat format = FormatOf(ctx->input_type(0));
    const XlaSite site(ctx->input_xla_type(0), format, dims, perm_);
    OP_REQUIRES(ctx, site.size <= room && (format.bits < 64 || site.size <= wide_room),
                absl::InvalidArgumentError(absl::StrCat(
                    type_string(), ": the faults are prepared for ", room,
                    " elements of less than 64 bits and ", wide_room,
                    " of 64; the site has ", site.size, " of ", format.bits)));
    std::vector<XlaOp> noted;
    std::vector<tensorflow::TensorShape> shapes;
    OP_REQUIRES_OK(ctx, ctx->InputList("noted", &noted, &shapes));
    XlaOp y = ctx->Input("x");
    std::vector<std::vector<XlaOp>> now(noted.size());
    for (int64_t row = 0; row < rows && site.size > 0; ++row) {
      const auto of_row = [&](XlaOp x, const std::vector<int64_t>& dims) {
        return xla::Reshape(xla::SliceInDim(x, row, row + 1, 1, 0), dims);
      };
      const auto plane = [&](absl::string_view name, int64_t size) {
        return xla::SliceInDim(ctx->Input(name), row * size, (row + 1) * size, 1, 0);
      };
      const XlaOp prepared = of_row(ctx->Input("prepared"), {kPreparedFields});
      const XlaOp numbers = of_row(ctx->Input("notes"), {4 * n});
      const auto notes = [&](int64_t i) {
        return xla::SliceInDim(numbers, i * n, (i + 1) * n, 1, 0);
      };
      const XlaOperands operands = {
          prepared,
          {notes(0), notes(1), notes(2), notes(3)},
          {plane("changes", room), plane("low", room), plane("high", wide_room)}};
      const int field = confines_ ? kNamedSite : kUnconfinedSite;
      const XlaOp named =
          xla::Reshape(xla::SliceInDim(prepared, field, field + 1, 1, 0), {});
      const XlaOp happens =
          xla::Eq(named, xla::ScalarLike(named, static_cast<uint32_t>(site_)));
      if (rare_) {
        const XlaInjected found = InjectXla(
            site, operands, {y, of_row(noted[0], {n}), of_row(noted[1], {n})}, happens);
        y = found.y;
        now[0].push_back(xla::Reshape(found.low, {1, n}));
        now[1].push_back(xla::Reshape(found.high, {1, n}));
      } else {
        const XlaRecorded found =
            InjectXlaIf(site, operands, y, of_row(noted[0], {kQuarters, n}), happens);
        y = found.y;
        now[0].push_back(xla::Reshape(found.record, {1, kQuarters, n}));
      }
    }
    ctx->SetOutput(0, y);
    for (size_t i = 0; i < noted.size(); ++i) {
      ctx->SetOutput(1 + i, now[i].empty()
                                ? noted[i]
                                : xla::ConcatInDim(ctx->builder(), now[i], 0));
    }
  }

 private:
  int64_t site_ = 0;
  std::vector<int64_t> perm_;
  bool confines_ = false;
  bool rare_ = false;
};

REGISTER_XLA_OP(Name("Tpufi>InjectPrepared").TypeConstraint("T", kElementTypes),
                InjectPreparedXlaOp);

}  // namespace
}  // namespace tpufi
