// SPDX-License-Identifier: Apache-2.0
// XLA kernel of Tpufi>InjectFault; its CPU twin is in inject_fault.cc.
#ifndef TPUFI_CC_OPS_INJECT_FAULT_XLA_H_
#define TPUFI_CC_OPS_INJECT_FAULT_XLA_H_

#include <cstdint>
#include <vector>

#include "cc/ops/tf_xla.h"

namespace tpufi {

class InjectFaultXlaOp final : public tensorflow::XlaOpKernel {
 public:
  explicit InjectFaultXlaOp(tensorflow::OpKernelConstruction* ctx);
  void Compile(tensorflow::XlaOpKernelContext* ctx) override;

 private:
  int64_t site_;
  std::vector<int64_t> perm_;
  bool branch_ = false;
  bool confines_ = false;
};

}  // namespace tpufi

#endif  // TPUFI_CC_OPS_INJECT_FAULT_XLA_H_
