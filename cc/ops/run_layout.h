// SPDX-License-Identifier: Apache-2.0
// Where the elements of a tensor stand in the layout that positions refer to.
#ifndef TPUFI_CC_OPS_RUN_LAYOUT_H_
#define TPUFI_CC_OPS_RUN_LAYOUT_H_

#include <cstdint>
#include <limits>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "cc/lib/element.h"
#include "tensorflow/core/framework/tensor_shape.h"

namespace tpufi {

// Where the elements of a tensor stand in the layout of a site.
struct Layout {
  std::vector<int64_t> dims;
  std::vector<int64_t> strides;
  int64_t offset;

  // The axes that tell apart places in the period.
  std::vector<int64_t> AxesOfPeriod(int64_t period) const {
    std::vector<int64_t> axes;
    for (size_t a = 0; a < dims.size(); ++a) {
      if (dims[a] > 1 && strides[a] % period != 0) axes.push_back(a);
    }
    return axes;
  }
};

// What is wrong with the operands, or OK.
inline absl::Status Check(absl::string_view op, const Layout& layout,
                          const std::vector<int64_t>& banks, int word_bits,
                          ElementFormat format, const tensorflow::TensorShape& starts,
                          const tensorflow::TensorShape& counts,
                          const tensorflow::TensorShape& tables) {
  int64_t lowest = layout.offset, highest = layout.offset;
  if (layout.dims.size() != layout.strides.size()) {
    return absl::InvalidArgumentError(absl::StrCat(
        op, ": ", layout.strides.size(), " strides for ", layout.dims.size(), " axes"));
  }
  for (size_t a = 0; a < layout.dims.size(); ++a) {
    const int64_t far = (layout.dims[a] - 1) * layout.strides[a];
    (far < 0 ? lowest : highest) += far;
  }
  if (lowest < 0 || highest > std::numeric_limits<uint32_t>::max()) {
    return absl::InvalidArgumentError(absl::StrCat(
        op, ": indices ", lowest, " to ", highest, " are not inside [0, 2^32)"));
  }
  if (word_bits != format.bits) {
    return absl::InvalidArgumentError(absl::StrCat(
        op, ": tables of ", word_bits, " bits for elements of ", format.bits));
  }
  const bool shaped = starts.dims() == 1 && counts.dims() == 2 && tables.dims() == 2 &&
                      counts.dim_size(0) == starts.dim_size(0) &&
                      tables.dim_size(0) == starts.dim_size(0) &&
                      tables.dim_size(1) > 0;
  if (!shaped) {
    return absl::InvalidArgumentError(absl::StrCat(
        op, ": starts must be [rows], counts [rows, banks] and tables [rows,",
        " period], got ", starts.DebugString(), ", ", counts.DebugString(), " and ",
        tables.DebugString()));
  }
  for (const int64_t bank : banks) {
    if (bank >= 0 && bank < counts.dim_size(1)) continue;
    return absl::InvalidArgumentError(
        absl::StrCat(op, ": bank ", bank, " is not in [0, ", counts.dim_size(1), ")"));
  }
  return absl::OkStatus();
}

inline std::vector<int64_t> Sizes(const tensorflow::TensorShape& shape) {
  const auto sizes = shape.dim_sizes();
  return {sizes.begin(), sizes.end()};
}

}  // namespace tpufi

#endif  // TPUFI_CC_OPS_RUN_LAYOUT_H_
