// SPDX-License-Identifier: Apache-2.0
// The kernels of the ops with one operation on one run of elements.
//
// They are those of Tpufi>InjectFault with the operation fixed. A Rule is a
// subclass of RunRule with
//   absl::Status Read(OpKernelContext*, absl::string_view op, ElementFormat);
//   void Build(XlaOpKernelContext*, ElementFormat);
//   static constexpr OperationSet kOperations;  // Those it may ask for.
#ifndef TPUFI_CC_OPS_RUN_KERNEL_H_
#define TPUFI_CC_OPS_RUN_KERNEL_H_

#include <cstdint>
#include <vector>

#include "cc/ops/element_type.h"
#include "cc/ops/inject_cpu.h"
#include "cc/ops/inject_xla.h"

namespace tpufi {

// What a rule fills in: the first two by Read, the others by Build.
struct RunRule {
  Operation operation = kZero;
  uint64_t word = 0;         // The only word, if the operation takes one.
  xla::XlaOp xla_operation;  // S64.
  xla::XlaOp xla_word;       // U64; none if the operation takes none.
  xla::XlaOp valid;          // False makes the fault void; none: it is valid.
};

template <typename Rule>
class RunCpuOp final : public tensorflow::OpKernel {
 public:
  using OpKernel::OpKernel;

  void Compute(tensorflow::OpKernelContext* ctx) override {
    const tensorflow::Tensor* x = nullptr;
    const tensorflow::Tensor* start = nullptr;
    const tensorflow::Tensor* count = nullptr;
    OP_REQUIRES_OK(ctx, ctx->input("x", &x));
    OP_REQUIRES_OK(ctx, ctx->input("start", &start));
    OP_REQUIRES_OK(ctx, ctx->input("count", &count));
    const ElementFormat format = FormatOf(x->dtype());
    const absl::string_view op = type_string();
    OP_REQUIRES_OK(ctx, CheckScalar(op, "start", *start));
    OP_REQUIRES_OK(ctx, CheckScalar(op, "count", *count));
    Rule rule;
    OP_REQUIRES_OK(ctx, rule.Read(ctx, op, format));
    const Elements elements = {start->scalar<int64_t>()(), count->scalar<int64_t>()(),
                               0, 0};
    OP_REQUIRES_OK(ctx, CheckElements(op, elements, x->NumElements()));
    if (elements.count == 0) {
      ctx->set_output(0, *x);
      return;
    }
    const auto dims = x->shape().dim_sizes();
    const View view({dims.begin(), dims.end()}, {});
    const Fault fault = {elements, rule.operation, 0, WordsTaken(rule.operation),
                         &rule.word};
    tensorflow::Tensor* y = nullptr;
    OP_REQUIRES_OK(ctx, WritableOutput(ctx, &y));
    WithWords(y, format, [&](auto* words) {
      CpuInjection(format, fault, view, words, y->NumElements()).Run(ctx);
    });
  }
};

template <typename Rule>
class RunXlaOp : public tensorflow::XlaOpKernel {
 public:
  using XlaOpKernel::XlaOpKernel;

  void Compile(tensorflow::XlaOpKernelContext* ctx) override {
    const absl::StatusOr<xla::Shape> shape = ctx->InputXlaShape("x");
    OP_REQUIRES_OK(ctx, shape.status());
    if (xla::ShapeUtil::ElementsIn(*shape) == 0) {
      ctx->SetOutput(0, ctx->Input("x"));
      return;
    }
    const ElementFormat format = FormatOf(ctx->input_type(0));
    const std::vector<int64_t> dims(shape->dimensions().begin(),
                                    shape->dimensions().end());
    xla::XlaBuilder* builder = ctx->builder();
    Rule rule;
    rule.Build(ctx, format);
    const xla::XlaOp count = ctx->Input("count");
    std::vector<xla::XlaOp> row(kFaultFields, xla::Zero(builder, xla::S64));
    row[kOperation] = rule.xla_operation;
    row[kStart] = ctx->Input("start");
    row[kCount] = count;
    row[kGiven] = xla::ScalarLike(count, rule.xla_word.valid() ? 1 : 0);
    for (xla::XlaOp& field : row) field = xla::Reshape(field, {1});
    const xla::XlaOp word =
        rule.xla_word.valid() ? rule.xla_word : xla::Zero(builder, xla::U64);
    const xla::XlaOp some = xla::Ne(count, xla::ScalarLike(count, 0));
    const XlaSite site(ctx->input_xla_type(0), format, dims, {});
    const XlaInjected injected =
        InjectRawXlaIf(site, Rule::kOperations, ctx->Input("x"),
                       xla::ConcatInDim(builder, row, 0), xla::Reshape(word, {1}), 1,
                       rule.valid.valid() ? xla::And(some, rule.valid) : some);
    ctx->SetOutput(0, injected.y);
  }
};

}  // namespace tpufi

#endif  // TPUFI_CC_OPS_RUN_KERNEL_H_
