// SPDX-License-Identifier: Apache-2.0
// The element types that the ops accept, and their bit layouts.
#ifndef TPUFI_CC_OPS_ELEMENT_TYPE_H_
#define TPUFI_CC_OPS_ELEMENT_TYPE_H_

#include "cc/lib/element.h"
#include "tensorflow/core/framework/types.h"

// For the T attribute of an op; kElementTypes is the same list for XLA kernels.
#define TPUFI_ELEMENT_TYPES                                                   \
  "T: {float32, bfloat16, half, float64, int8, uint8, int16, uint16, int32, " \
  "uint32, int64, uint64}"

// Meaning of the registered gradient; read in python/tpufi/gradients.py only.
#define TPUFI_GRADIENTS \
  "gradient: {'straight_through', 'zero_at_struck', 'true'} = 'straight_through'"

namespace tpufi {

inline constexpr tensorflow::DataType kElementTypes[] = {
    tensorflow::DT_FLOAT,  tensorflow::DT_BFLOAT16, tensorflow::DT_HALF,
    tensorflow::DT_DOUBLE, tensorflow::DT_INT8,     tensorflow::DT_UINT8,
    tensorflow::DT_INT16,  tensorflow::DT_UINT16,   tensorflow::DT_INT32,
    tensorflow::DT_UINT32, tensorflow::DT_INT64,    tensorflow::DT_UINT64};

inline ElementFormat FormatOf(tensorflow::DataType type) {
  switch (type) {
    case tensorflow::DT_FLOAT:
      return kFloat32;
    case tensorflow::DT_DOUBLE:
      return kFloat64;
    case tensorflow::DT_HALF:
      return kHalf;
    case tensorflow::DT_BFLOAT16:
      return kBfloat16;
    default:
      return {8 * tensorflow::DataTypeSize(type), 0, 0};
  }
}

}  // namespace tpufi

#endif  // TPUFI_CC_OPS_ELEMENT_TYPE_H_
