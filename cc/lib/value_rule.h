// SPDX-License-Identifier: Apache-2.0
// The value rules of a fault row, and the random draws behind three of them.
//
// As in cc/lib/element.h the draws are templates over the word type, so that the CPU
// kernel and the XLA kernel run the same lines. Every draw is a pure function of a key
// (the row's first word) and the element's flat index in the site's view.
#ifndef TPUFI_CC_LIB_VALUE_RULE_H_
#define TPUFI_CC_LIB_VALUE_RULE_H_

#include <cstdint>

#include "cc/lib/element.h"

namespace tpufi {

// x is an element, i its number in the fault, w the row's words.
enum FaultRule : int {
  kWords = 0,       // (x & keep) ^ w[i].
  kRepeat = 1,      // (x & keep) ^ w[0].
  kRandom = 2,      // Random finite bits; key w[0].
  kCopy = 3,        // The element at flat index w[i] of the view.
  kCopyRandom = 4,  // The element at a random flat index; key w[0].
  kErrorRate = 5,   // Each bit of keep flips with probability w[1] / 2^32; key w[0].
  kAdd = 6,         // x + w[i], as numbers.
  kMultiply = 7,    // x * w[i], as numbers.
  kFaultRules = 8,
};

inline constexpr const char* kFaultRuleNames[kFaultRules] = {
    "words",       "repeat",     "random", "copy",
    "copy_random", "error_rate", "add",    "multiply"};

// Words a row needs for `count` elements; -1 if there is no such rule.
constexpr int64_t WordsNeeded(int64_t rule, int64_t count) {
  switch (rule) {
    case kWords:
    case kCopy:
    case kAdd:
    case kMultiply:
      return count;
    case kRepeat:
    case kRandom:
    case kCopyRandom:
      return 1;
    case kErrorRate:
      return 2;
    default:
      return -1;
  }
}

// Random finite bits of the element with flat index `index`, 32 bits wide at most.
template <typename Word>
constexpr Word FinitePattern32(ElementFormat format, WordPair<Word> key,
                               WordPair<Word> index) {
  return RandomPattern32(format, RandomWords(key, index, 0), Literal(key.lo, ~0u));
}

// The same for 64 bits.
template <typename Word>
constexpr WordPair<Word> FinitePattern64(ElementFormat format, WordPair<Word> key,
                                         WordPair<Word> index) {
  return RandomPattern64(format, RandomWords(key, index, 0), RandomWords(key, index, 1),
                         Literal(key.lo, ~0u));
}

// Whether bits 2 * pair and 2 * pair + 1 of an element flip (0 or 1 each), each with
// probability threshold / 2^32, threshold <= 2^32. 0 <= pair < 32.
template <typename Word>
constexpr WordPair<Word> ErrorBits(WordPair<Word> key, WordPair<Word> index, Word pair,
                                   WordPair<Word> threshold) {
  const WordPair<Word> draw = Threefry2x32(
      key, {(index.lo << Literal(pair, 5)) | pair,
            (index.hi << Literal(pair, 5)) | (index.lo >> Literal(pair, 27))});
  return {LessThan(draw.lo, threshold.lo) | threshold.hi,
          LessThan(draw.hi, threshold.lo) | threshold.hi};
}

// What an arithmetic rule writes for any NaN, so that all devices write the same bits:
// positive, quiet, without payload.
constexpr uint64_t CanonicalNaN(ElementFormat format) {
  return format.exponent_mask() | (uint64_t{1} << (format.mantissa_bits - 1));
}

}  // namespace tpufi

#endif  // TPUFI_CC_LIB_VALUE_RULE_H_
