// SPDX-License-Identifier: Apache-2.0
// The only place that includes the headers for XLA kernels.
//
// In the TensorFlow 2.19 wheel xla_op_kernel.h pulls in a CUDA header that needs LLVM
// headers the wheel does not ship (github.com/tensorflow/tensorflow/issues/90026). Its
// one class is only named, never used, so the header is replaced by a declaration.
// Delete the two marked lines when 2.19 is no longer supported (2.20 does not need
// them).
#ifndef TPUFI_CC_OPS_TF_XLA_H_
#define TPUFI_CC_OPS_TF_XLA_H_

#define XLA_STREAM_EXECUTOR_GPU_TMA_METADATA_H_  // 2.19 only.
namespace stream_executor::gpu {
class TmaDescriptor {};  // 2.19 only.
}  // namespace stream_executor::gpu

#include "tensorflow/compiler/tf2xla/xla_op_kernel.h"
#include "tensorflow/compiler/tf2xla/xla_op_registry.h"
#include "xla/hlo/builder/lib/arithmetic.h"
#include "xla/hlo/builder/lib/constants.h"
#include "xla/hlo/builder/xla_builder.h"

#endif  // TPUFI_CC_OPS_TF_XLA_H_
