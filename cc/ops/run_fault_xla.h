// SPDX-License-Identifier: Apache-2.0
// XLA kernel of an op that changes one run of elements by a value rule.
//
// Rule is a default-constructible struct with
//   void Build(XlaOpKernelContext*, ElementFormat, XlaOp indices, PrimitiveType);
// that sets its members keep, word (of the element's word type, scalar or full shape)
// and valid (a scalar; false makes the fault void).
#ifndef TPUFI_CC_OPS_RUN_FAULT_XLA_H_
#define TPUFI_CC_OPS_RUN_FAULT_XLA_H_

#include <vector>

#include "cc/ops/element_type.h"
#include "cc/ops/tf_xla.h"
#include "cc/ops/xla_words.h"

namespace tpufi {

template <typename Rule>
class RunFaultXlaOp final : public tensorflow::XlaOpKernel {
 public:
  using XlaOpKernel::XlaOpKernel;

  void Compile(tensorflow::XlaOpKernelContext* ctx) override {
    const absl::StatusOr<xla::Shape> shape = ctx->InputXlaShape(0);
    OP_REQUIRES_OK(ctx, shape.status());
    const int64_t size = xla::ShapeUtil::ElementsIn(*shape);
    const ElementFormat format = FormatOf(ctx->input_type(0));
    const xla::XlaOp x = ctx->Input(0);
    if (size == 0) {
      ctx->SetOutput(0, x);
      return;
    }
    const xla::PrimitiveType index_type = IndexType(size);
    const std::vector<int64_t> dims(shape->dimensions().begin(),
                                    shape->dimensions().end());
    const xla::XlaOp indices =
        FlatIndices(ctx->builder(), index_type, dims, View(dims, {}));
    Rule rule;
    rule.Build(ctx, format, indices, index_type);
    const xla::XlaOp start = ctx->Input(1);
    const xla::XlaOp count = ctx->Input(2);
    const xla::XlaOp strikes = xla::And(rule.valid, IsValid(start, count, size));
    const xla::XlaOp hit = InRun(indices, index_type, start, count, strikes);
    const xla::XlaOp bits = xla::BitcastConvertType(x, WordType(format));
    const xla::XlaOp struck =
        xla::Select(hit, Strike(bits, rule.keep, rule.word), bits);
    ctx->SetOutput(0, xla::BitcastConvertType(struck, ctx->input_xla_type(0)));
  }
};

}  // namespace tpufi

#endif  // TPUFI_CC_OPS_RUN_FAULT_XLA_H_
