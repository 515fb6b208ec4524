// SPDX-License-Identifier: Apache-2.0
// CPU kernel of an op that changes one run of elements by a value rule.
//
// Rule is a default-constructible struct with
//   absl::Status Read(OpKernelContext*, absl::string_view op, ElementFormat);
//   uint64_t keep() const;                  // Bits that survive.
//   uint64_t word(int64_t index) const;     // Bits xored into element `index`.
#ifndef TPUFI_CC_OPS_RUN_FAULT_CPU_H_
#define TPUFI_CC_OPS_RUN_FAULT_CPU_H_

#include "cc/ops/element_type.h"
#include "cc/ops/struck_elements.h"
#include "tensorflow/core/framework/op_kernel.h"

namespace tpufi {

template <typename Rule>
class RunFaultCpuOp final : public tensorflow::OpKernel {
 public:
  using OpKernel::OpKernel;

  void Compute(tensorflow::OpKernelContext* ctx) override {
    const tensorflow::Tensor& x = ctx->input(0);
    const ElementFormat format = FormatOf(x.dtype());
    const absl::string_view op = type_string();
    OP_REQUIRES_OK(ctx, CheckScalar(op, "start", ctx->input(1)));
    OP_REQUIRES_OK(ctx, CheckScalar(op, "count", ctx->input(2)));
    const FaultRange range = {ctx->input(1).scalar<int64_t>()(),
                              ctx->input(2).scalar<int64_t>()()};
    Rule rule;
    OP_REQUIRES_OK(ctx, rule.Read(ctx, op, format));
    OP_REQUIRES_OK(ctx, CheckRange(op, range, x.NumElements()));
    if (range.count == 0) {
      ctx->set_output(0, x);
      return;
    }
    tensorflow::Tensor* y = nullptr;
    OP_REQUIRES_OK(ctx, WritableOutput(ctx, &y));
    WithWords(y, format, [&](auto* words) {
      using Word = std::remove_pointer_t<decltype(words)>;
      const Word keep = static_cast<Word>(rule.keep());
      const int64_t end = range.start + range.count;
      for (int64_t i = range.start; i < end; ++i) {
        words[i] = Strike<Word>(words[i], keep, static_cast<Word>(rule.word(i)));
      }
    });
  }
};

}  // namespace tpufi

#endif  // TPUFI_CC_OPS_RUN_FAULT_CPU_H_
