// SPDX-License-Identifier: Apache-2.0
// Adds and multiplies elements given as bits, on the CPU.
#ifndef TPUFI_CC_OPS_ELEMENT_ARITHMETIC_H_
#define TPUFI_CC_OPS_ELEMENT_ARITHMETIC_H_

#include <cstdint>

#include "cc/lib/element.h"
#include "cc/lib/operation.h"
#include "tensorflow/core/framework/types.h"

namespace tpufi {

// x + w or x * w in the element type `Number`, computed as `Wide` and rounded once.
template <typename Number, typename Wide, typename Word>
Word Arithmetic(ElementFormat format, bool adds, Word x, Word w) {
  static_assert(sizeof(Number) == sizeof(Word));
  const Wide a = static_cast<Wide>(Eigen::numext::bit_cast<Number>(x));
  const Wide b = static_cast<Wide>(Eigen::numext::bit_cast<Number>(w));
  const Number result = static_cast<Number>(adds ? a + b : a * b);
  // Rounding to a type without infinity makes NaN as well.
  const Wide rounded = static_cast<Wide>(result);
  if (rounded != rounded) return static_cast<Word>(CanonicalNaN(format));
  return Eigen::numext::bit_cast<Word>(result);
}

// The same for the number format of a word; integers wrap around.
template <typename Word>
Word Arithmetic(ElementFormat format, bool adds, Word x, Word w) {
  if (!format.is_float()) {
    const uint64_t a = x, b = w;
    return static_cast<Word>(adds ? a + b : a * b);
  }
  if constexpr (sizeof(Word) == 1) {
    return format.has_infinity
               ? Arithmetic<tensorflow::float8_e5m2, float>(format, adds, x, w)
               : Arithmetic<tensorflow::float8_e4m3fn, float>(format, adds, x, w);
  } else if constexpr (sizeof(Word) == 2) {
    return format.exponent_bits == kHalf.exponent_bits
               ? Arithmetic<Eigen::half, float>(format, adds, x, w)
               : Arithmetic<Eigen::bfloat16, float>(format, adds, x, w);
  } else if constexpr (sizeof(Word) == 4) {
    return Arithmetic<float, float>(format, adds, x, w);
  } else {
    return Arithmetic<double, double>(format, adds, x, w);
  }
}

}  // namespace tpufi

#endif  // TPUFI_CC_OPS_ELEMENT_ARITHMETIC_H_
