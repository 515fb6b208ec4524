// SPDX-License-Identifier: Apache-2.0
// A transposed view of a tensor: flat indices of the view name elements of the tensor.
//
// A site's positions may refer to another axis order than the one the tensor is
// stored in (the weight gradient is stored as (k, k, in, out) but addressed as (in, k,
// k, out)). Translating the few struck indices is cheaper than transposing the tensor.
#ifndef TPUFI_CC_LIB_VIEW_H_
#define TPUFI_CC_LIB_VIEW_H_

#include <cstddef>
#include <cstdint>
#include <vector>

namespace tpufi {

class View {
 public:
  // `dims`: shape of the tensor. `perm`: view axis j is tensor axis perm[j]; empty
  // means the tensor's own order. `perm` must be a permutation (see IsPermutation).
  View(const std::vector<int64_t>& dims, const std::vector<int64_t>& perm)
      : perm_(perm) {
    const int rank = static_cast<int>(dims.size());
    if (perm_.empty()) {
      for (int i = 0; i < rank; ++i) perm_.push_back(i);
    }
    std::vector<int64_t> tensor_strides(rank, 1);
    for (int i = rank - 2; i >= 0; --i) {
      tensor_strides[i] = tensor_strides[i + 1] * dims[i + 1];
    }
    for (int64_t axis : perm_) {
      view_dims_.push_back(dims[axis]);
      strides_.push_back(tensor_strides[axis]);
    }
  }

  const std::vector<int64_t>& dims() const { return view_dims_; }
  const std::vector<int64_t>& perm() const { return perm_; }

  // Whether all flat indices are those of the tensor.
  bool IsTensor() const {
    for (size_t j = 0; j < perm_.size(); ++j) {
      if (perm_[j] != static_cast<int64_t>(j)) return false;
    }
    return true;
  }

  // Flat index in the tensor of the element with flat index `index` in the view.
  int64_t TensorIndex(int64_t index) const {
    int64_t result = 0;
    for (int j = static_cast<int>(view_dims_.size()) - 1; j >= 0; --j) {
      result += (index % view_dims_[j]) * strides_[j];
      index /= view_dims_[j];
    }
    return result;
  }

 private:
  std::vector<int64_t> perm_;
  std::vector<int64_t> view_dims_;
  std::vector<int64_t> strides_;  // In the tensor, for each axis of the view.
};

// True if `perm` is empty or holds each of 0 .. rank-1 once.
inline bool IsPermutation(const std::vector<int64_t>& perm, int rank) {
  if (perm.empty()) return true;
  if (static_cast<int>(perm.size()) != rank) return false;
  std::vector<bool> seen(rank, false);
  for (int64_t axis : perm) {
    if (axis < 0 || axis >= rank || seen[axis]) return false;
    seen[axis] = true;
  }
  return true;
}

}  // namespace tpufi

#endif  // TPUFI_CC_LIB_VIEW_H_
