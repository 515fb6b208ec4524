// SPDX-License-Identifier: Apache-2.0
// The only place that includes the headers for XLA kernels, and the XLA twins of what
// cc/lib asks of a word or number type.
//
// In the TensorFlow 2.19 wheel xla_op_kernel.h pulls in a CUDA header that needs LLVM
// headers the wheel does not ship (github.com/tensorflow/tensorflow/issues/90026). Its
// one class is only named, never used, so the header is replaced by a declaration.
// Delete the two marked lines when 2.19 is no longer supported (2.20 does not need
// them).
#ifndef TPUFI_CC_OPS_XLA_H_
#define TPUFI_CC_OPS_XLA_H_

#define XLA_STREAM_EXECUTOR_GPU_TMA_METADATA_H_  // 2.19 only.
namespace stream_executor::gpu {
class TmaDescriptor {};  // 2.19 only.
}  // namespace stream_executor::gpu

#include <cstdint>
#include <limits>

#include "cc/lib/element.h"
#include "tensorflow/compiler/tf2xla/xla_op_kernel.h"
#include "tensorflow/compiler/tf2xla/xla_op_registry.h"
#include "xla/hlo/builder/lib/arithmetic.h"
#include "xla/hlo/builder/lib/constants.h"
#include "xla/hlo/builder/xla_builder.h"

namespace xla {

// Found by argument-dependent lookup from the templates in cc/lib, as are And, Eq, Le,
// Lt, Max, Or and Select of XLA itself.
inline XlaOp Literal(XlaOp like, uint64_t value) { return ScalarLike(like, value); }
inline XlaOp AtMost(XlaOp a, XlaOp b) { return Le(a, b); }
inline XlaOp LessThan(XlaOp a, XlaOp b) { return ConvertElementType(Lt(a, b), U32); }

}  // namespace xla

namespace tpufi {

// The unsigned integer type of an element's width.
inline xla::PrimitiveType WordType(ElementFormat format) {
  switch (format.bits) {
    case 8:
      return xla::U8;
    case 16:
      return xla::U16;
    case 32:
      return xla::U32;
    default:
      return xla::U64;
  }
}

// Type that holds every flat index of a tensor of `size` elements.
inline xla::PrimitiveType IndexType(int64_t size) {
  return size <= std::numeric_limits<uint32_t>::max() ? xla::U32 : xla::U64;
}

// The halves of 64-bit numbers, as U32. A TPU emulates 64 bits with pairs of 32-bit
// operations.
inline WordPair<xla::XlaOp> Halves(xla::XlaOp numbers) {
  const xla::XlaOp bits = xla::BitcastConvertType(numbers, xla::U64);
  return {xla::ConvertElementType(bits & xla::ScalarLike(bits, 0xffffffff), xla::U32),
          xla::ConvertElementType(bits >> xla::ScalarLike(bits, 32), xla::U32)};
}

// The number again, as U64.
inline xla::XlaOp Whole(WordPair<xla::XlaOp> halves) {
  const xla::XlaOp hi = xla::ConvertElementType(halves.hi, xla::U64);
  return (hi << xla::ScalarLike(hi, 32)) | xla::ConvertElementType(halves.lo, xla::U64);
}

// The number as U32, its low half, or as U64.
inline xla::XlaOp As(xla::PrimitiveType type, WordPair<xla::XlaOp> halves) {
  return type == xla::U32 ? halves.lo : Whole(halves);
}

// The halves of numbers of type U32 or U64.
inline WordPair<xla::XlaOp> HalvesOf(xla::PrimitiveType type, xla::XlaOp numbers) {
  if (type == xla::U32) return {numbers, xla::ZerosLike(numbers)};
  return Halves(numbers);
}

}  // namespace tpufi

#endif  // TPUFI_CC_OPS_XLA_H_
