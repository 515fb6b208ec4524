// SPDX-License-Identifier: Apache-2.0
// Adds and multiplies elements given as bits: the arithmetic value rules on the CPU.
#ifndef TPUFI_CC_OPS_ELEMENT_ARITHMETIC_H_
#define TPUFI_CC_OPS_ELEMENT_ARITHMETIC_H_

#include <cstdint>

#include "cc/lib/element.h"
#include "cc/lib/value_rule.h"
#include "tensorflow/core/framework/types.h"

namespace tpufi {

// x + w or x * w in the element type `Number`, computed as `Wide` and rounded once.
template <typename Number, typename Wide, typename Word>
Word Arithmetic(ElementFormat format, int64_t rule, Word x, Word w) {
  static_assert(sizeof(Number) == sizeof(Word));
  const Number a = Eigen::numext::bit_cast<Number>(x);
  const Number b = Eigen::numext::bit_cast<Number>(w);
  const Wide wide = rule == kAdd ? static_cast<Wide>(a) + static_cast<Wide>(b)
                                 : static_cast<Wide>(a) * static_cast<Wide>(b);
  if (wide != wide) return static_cast<Word>(CanonicalNaN(format));
  return Eigen::numext::bit_cast<Word>(static_cast<Number>(wide));
}

// The same for the number format of a word; integers wrap around.
template <typename Word>
Word Arithmetic(ElementFormat format, int64_t rule, Word x, Word w) {
  if (!format.is_float()) {
    const uint64_t a = x, b = w;
    return static_cast<Word>(rule == kAdd ? a + b : a * b);
  }
  if constexpr (sizeof(Word) == 2) {
    return format.exponent_bits == kHalf.exponent_bits
               ? Arithmetic<Eigen::half, float>(format, rule, x, w)
               : Arithmetic<Eigen::bfloat16, float>(format, rule, x, w);
  } else if constexpr (sizeof(Word) == 4) {
    return Arithmetic<float, float>(format, rule, x, w);
  } else if constexpr (sizeof(Word) == 8) {
    return Arithmetic<double, double>(format, rule, x, w);
  } else {
    return x;  // There is no number of 8 bits with an exponent.
  }
}

}  // namespace tpufi

#endif  // TPUFI_CC_OPS_ELEMENT_ARITHMETIC_H_
