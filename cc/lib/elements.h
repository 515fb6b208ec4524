// SPDX-License-Identifier: Apache-2.0
// Which elements of a tensor a fault names, and where they are.
//
// The numbers are int64_t on the host and in CPU kernels and `xla::XlaOp` in XLA
// kernels, as in cc/lib/threefry.h: the rule for what lies inside a tensor is one.
#ifndef TPUFI_CC_LIB_ELEMENTS_H_
#define TPUFI_CC_LIB_ELEMENTS_H_

#include <cstddef>
#include <cstdint>
#include <vector>

namespace tpufi {

// What the templates ask of a number; argument-dependent lookup finds the XLA twins.
constexpr int64_t Literal(int64_t /*like*/, int64_t value) { return value; }
constexpr bool Eq(int64_t a, int64_t b) { return a == b; }
constexpr bool Lt(int64_t a, int64_t b) { return a < b; }
constexpr bool Le(int64_t a, int64_t b) { return a <= b; }
constexpr bool And(bool a, bool b) { return a && b; }
constexpr bool Or(bool a, bool b) { return a || b; }
constexpr int64_t Select(bool test, int64_t a, int64_t b) { return test ? a : b; }
constexpr int64_t Max(int64_t a, int64_t b) { return a < b ? b : a; }

// Blocks of consecutive flat (row-major) indices at equal distances. One block is a
// run; blocks of one element at distance C are a channel of an NHWC tensor; blocks of C
// elements at distance W * C are a column of its pixels; any two elements are two
// blocks of one element.
template <typename Number>
struct ElementsOf {
  Number start;
  Number count;
  Number block;   // 0: one block holds all elements.
  Number stride;  // Distance of the starts of blocks; unused if block is 0.
};
using Elements = ElementsOf<int64_t>;

// The same elements with a block of at least 1, also where there are none. A block is
// never larger than the elements are many.
template <typename Number>
constexpr ElementsOf<Number> WithBlock(const ElementsOf<Number>& e) {
  const auto single = Or(Eq(e.block, Literal(e.block, 0)), Le(e.count, e.block));
  const Number all = Max(e.count, Literal(e.count, 1));
  return {e.start, e.count, Select(single, all, e.block),
          Select(single, all, e.stride)};
}

// Flat index of element i, 0 <= i < count, of elements that have a block.
template <typename Number>
constexpr Number Position(const ElementsOf<Number>& e, Number i) {
  const Number block = i / e.block;
  return e.start + block * e.stride + (i - block * e.block);
}

// More than any flat index: no tensor has so many elements.
inline constexpr int64_t kNowhere = (uint64_t{1} << 63) - 1;

// The last flat index of elements; kNowhere if there are none, one is negative, or
// blocks overlap. No sum or product overflows, whatever the numbers.
template <typename Number>
constexpr Number LastIndex(const ElementsOf<Number>& e) {
  const Number zero = Literal(e.count, 0), one = Literal(e.count, 1);
  const Number limit = Literal(e.count, kNowhere / 4),
               nowhere = Literal(e.count, kNowhere);
  const auto single = Eq(e.block, zero);
  const auto blocks_are_sane = And(Lt(zero, e.block), Le(e.block, e.stride));
  const auto sane = And(And(And(Lt(zero, e.count), Le(e.count, limit)),
                            And(Le(zero, e.start), Le(e.start, limit))),
                        Or(single, blocks_are_sane));
  const Number last = Select(sane, e.count, one) - one;
  const Number block = Select(And(sane, Lt(zero, e.block)), e.block, last + one);
  const Number blocks = last / block;
  const auto near = Or(Eq(blocks, zero), Le(e.stride, limit / Max(blocks, one)));
  const Number stride = Select(And(And(sane, near), Lt(zero, blocks)), e.stride, zero);
  const Number span = blocks * stride + (last - blocks * block);
  return Select(And(sane, near), Select(sane, e.start, zero) + span, nowhere);
}

// The rule for all ops and modes: no elements (count 0) are allowed anywhere; else
// blocks must not overlap and all elements must lie in [0, size). Elements for which
// this is false change nothing at all.
constexpr bool IsValid(const Elements& e, int64_t size) {
  return e.count == 0 || LastIndex(e) < size;
}

// A transposed view of a tensor: flat indices of the view name elements of the tensor.
//
// A site's positions may refer to another axis order than the one the tensor is
// stored in (the weight gradient is stored as (k, k, in, out) but addressed as (in, k,
// k, out)). Translating the few named indices is cheaper than transposing the tensor.
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
      dims_.push_back(dims[axis]);
      strides_.push_back(tensor_strides[axis]);
    }
  }

  const std::vector<int64_t>& dims() const { return dims_; }
  const std::vector<int64_t>& perm() const { return perm_; }

  // Whether all flat indices are those of the tensor.
  bool IsTensor() const {
    for (size_t j = 0; j < perm_.size(); ++j) {
      if (perm_[j] != static_cast<int64_t>(j)) return false;
    }
    return true;
  }

  // Coordinates in the tensor, by its axes, of the element with flat index `index` in
  // the view.
  template <typename Number>
  std::vector<Number> Coordinates(Number index) const {
    std::vector<Number> coordinates(dims_.size(), index);
    for (int j = static_cast<int>(dims_.size()) - 1; j >= 0; --j) {
      if (j == 0) {  // What is left; the index is inside.
        coordinates[perm_[0]] = index;
        break;
      }
      const Number rest = index / Literal(index, dims_[j]);
      coordinates[perm_[j]] = index - rest * Literal(index, dims_[j]);
      index = rest;
    }
    return coordinates;
  }

  // Flat index in the tensor of the same element.
  int64_t TensorIndex(int64_t index) const {
    int64_t result = 0;
    for (int j = static_cast<int>(dims_.size()) - 1; j >= 0; --j) {
      result += (index % dims_[j]) * strides_[j];
      index /= dims_[j];
    }
    return result;
  }

 private:
  std::vector<int64_t> perm_;
  std::vector<int64_t> dims_;
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

#endif  // TPUFI_CC_LIB_ELEMENTS_H_
