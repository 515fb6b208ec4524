// SPDX-License-Identifier: Apache-2.0
// What the CPU kernels share: checking a fault's parameters and rewriting elements.
#ifndef TPUFI_CC_OPS_STRUCK_ELEMENTS_H_
#define TPUFI_CC_OPS_STRUCK_ELEMENTS_H_

#include <cstdint>
#include <cstring>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "cc/lib/element.h"
#include "cc/lib/fault_range.h"
#include "tensorflow/core/framework/op_kernel.h"

namespace tpufi {

inline absl::Status CheckRange(absl::string_view op, FaultRange range, int64_t size) {
  if (IsValid(range, size)) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(op, ": start ", range.start, " with count ", range.count,
                   " is outside the tensor, whose flat indices are [0, ", size,
                   "); choose start >= 0, count >= 0 and start + count <= ", size,
                   " (count 0 is always allowed and changes nothing)"));
}

inline absl::Status CheckWord(absl::string_view op, absl::string_view name,
                              uint64_t word, ElementFormat format) {
  if ((word & ~format.mask()) == 0) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      op, ": ", name, " 0x", absl::Hex(word), " has bits beyond the ", format.bits,
      " bits of the element type; the largest is 0x", absl::Hex(format.mask())));
}

inline absl::Status CheckScalar(absl::string_view op, absl::string_view name,
                                const tensorflow::Tensor& tensor) {
  if (tensorflow::TensorShapeUtils::IsScalar(tensor.shape())) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(absl::StrCat(
      op, ": ", name, " must be a scalar, got shape ", tensor.shape().DebugString()));
}

// Makes output 0 a writable tensor with the contents of input 0: the input's own buffer
// if nobody else needs it, else a copy.
inline absl::Status WritableOutput(tensorflow::OpKernelContext* ctx,
                                   tensorflow::Tensor** y) {
  int forwarded_from = -1;
  const absl::Status status = ctx->forward_input_or_allocate_output(
      {0}, 0, ctx->input(0).shape(), y, &forwarded_from);
  if (status.ok() && forwarded_from != 0) {
    std::memcpy((*y)->data(), ctx->input(0).data(), (*y)->TotalBytes());
  }
  return status;
}

// Calls `f` with a pointer to the elements as unsigned integers of their width.
template <typename Function>
void WithWords(tensorflow::Tensor* tensor, ElementFormat format, Function f) {
  switch (format.bits) {
    case 8:
      return f(static_cast<uint8_t*>(tensor->data()));
    case 16:
      return f(static_cast<uint16_t*>(tensor->data()));
    case 32:
      return f(static_cast<uint32_t*>(tensor->data()));
    default:
      return f(static_cast<uint64_t*>(tensor->data()));
  }
}

}  // namespace tpufi

#endif  // TPUFI_CC_OPS_STRUCK_ELEMENTS_H_
