// SPDX-License-Identifier: Apache-2.0
// XLA kernel of Tpufi>ReplaceRun; its CPU twin is in replace_run.cc.
#ifndef TPUFI_CC_OPS_REPLACE_RUN_XLA_H_
#define TPUFI_CC_OPS_REPLACE_RUN_XLA_H_

#include <cstdint>
#include <vector>

#include "cc/ops/tf_xla.h"

namespace tpufi {

class ReplaceRunXlaOp final : public tensorflow::XlaOpKernel {
 public:
  explicit ReplaceRunXlaOp(tensorflow::OpKernelConstruction* ctx);
  void Compile(tensorflow::XlaOpKernelContext* ctx) override;

 private:
  std::vector<int64_t> strides_;
  int64_t offset_;
  int64_t base_;
  std::vector<int64_t> banks_;
};

}  // namespace tpufi

#endif  // TPUFI_CC_OPS_REPLACE_RUN_XLA_H_
