// SPDX-License-Identifier: Apache-2.0
// The element types that the ops accept, and their bit layouts.
#ifndef TPUFI_CC_OPS_ELEMENT_TYPE_H_
#define TPUFI_CC_OPS_ELEMENT_TYPE_H_

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "cc/lib/element.h"
#include "tensorflow/core/framework/shape_inference.h"
#include "tensorflow/core/framework/types.h"

// The T attribute of an op. Names of float8 types cannot stand in a list of types: the
// shape function asks for what kElementTypes has.
#define TPUFI_ELEMENT_TYPES "T: type"

// Meaning of the registered gradient; read in python/tpufi/gradients.py only.
#define TPUFI_GRADIENTS \
  "gradient: {'straight_through', 'zero_at_struck', 'true'} = 'straight_through'"

namespace tpufi {

inline constexpr tensorflow::DataType kElementTypes[] = {
    tensorflow::DT_FLOAT,  tensorflow::DT_BFLOAT16,    tensorflow::DT_HALF,
    tensorflow::DT_DOUBLE, tensorflow::DT_FLOAT8_E5M2, tensorflow::DT_FLOAT8_E4M3FN,
    tensorflow::DT_INT8,   tensorflow::DT_UINT8,       tensorflow::DT_INT16,
    tensorflow::DT_UINT16, tensorflow::DT_INT32,       tensorflow::DT_UINT32,
    tensorflow::DT_INT64,  tensorflow::DT_UINT64};

// Shape function of an op whose output is like its first input, and part of others.
inline absl::Status LikeInput(tensorflow::shape_inference::InferenceContext* ctx) {
  tensorflow::DataType type;
  TF_RETURN_IF_ERROR(ctx->GetAttr("T", &type));
  for (const tensorflow::DataType known : kElementTypes) {
    if (type != known) continue;
    ctx->set_output(0, ctx->input(0));
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "elements of type ", tensorflow::DataTypeString(type), " cannot carry faults"));
}

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
    case tensorflow::DT_FLOAT8_E5M2:
      return kFloat8E5M2;
    case tensorflow::DT_FLOAT8_E4M3FN:
      return kFloat8E4M3Fn;
    default:
      return {8 * tensorflow::DataTypeSize(type), 0, 0};
  }
}

}  // namespace tpufi

#endif  // TPUFI_CC_OPS_ELEMENT_TYPE_H_
