// SPDX-License-Identifier: Apache-2.0
// CPU kernel of an op that changes one run of elements by a value rule.
//
// Rule is a default-constructible struct with
//   absl::Status Read(OpKernelContext*, absl::string_view op, ElementFormat);
//   uint64_t keep() const;                          // Bits that survive.
//   void words(int64_t start, int n, Word* w) const;  // Bits xored into n elements
//                                                     // from flat index `start`.
// Words come in blocks, so that a rule's loop over a block can be vectorised.
#ifndef TPUFI_CC_OPS_RUN_FAULT_CPU_H_
#define TPUFI_CC_OPS_RUN_FAULT_CPU_H_

#include <algorithm>
#include <cstdint>

#include "cc/ops/element_type.h"
#include "cc/ops/struck_elements.h"
#include "tensorflow/core/framework/op_kernel.h"
#include "tensorflow/core/util/work_sharder.h"

namespace tpufi {

template <typename Rule>
class RunFaultCpuOp final : public tensorflow::OpKernel {
 public:
  using OpKernel::OpKernel;

  static constexpr int kBlock = 256;

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
      const auto strike = [&](int64_t first, int64_t last) {
        Word block[kBlock];
        for (int64_t i = first; i < last; i += kBlock) {
          const int n = static_cast<int>(std::min<int64_t>(kBlock, last - i));
          rule.words(range.start + i, n, block);
          Word* element = words + range.start + i;
          for (int j = 0; j < n; ++j) {
            element[j] = Strike<Word>(element[j], keep, block[j]);
          }
        }
      };
      const auto& threads = *ctx->device()->tensorflow_cpu_worker_threads();
      tensorflow::Shard(threads.num_threads, threads.workers, range.count,
                        Rule::kCyclesPerElement, strike);
    });
  }
};

}  // namespace tpufi

#endif  // TPUFI_CC_OPS_RUN_FAULT_CPU_H_
