// SPDX-License-Identifier: Apache-2.0
// The bit layout of the element types and the value rules of faults.
//
// Every rule works on the element's bits as an unsigned integer and is a template
// over the word type, so that the host, the CPU kernel and the XLA kernel run the
// same lines. See cc/lib/threefry.h for what a word type must offer.
#ifndef TPUFI_CC_LIB_ELEMENT_H_
#define TPUFI_CC_LIB_ELEMENT_H_

#include <cstdint>

#include "cc/lib/threefry.h"

namespace tpufi {

// Width of an element and of its fields. Integers have `exponent_bits` 0. Without
// infinity (float8_e4m3fn) all ones are NaN, and the rest of the largest exponent are
// numbers.
struct ElementFormat {
  int bits;
  int exponent_bits;
  int mantissa_bits;
  bool has_infinity = true;

  constexpr bool is_float() const { return exponent_bits > 0; }
  constexpr uint64_t mask() const {
    return bits == 64 ? ~uint64_t{0} : (uint64_t{1} << bits) - 1;
  }
  constexpr uint64_t exponent_mask() const {
    return ((uint64_t{1} << exponent_bits) - 1) << mantissa_bits;
  }
  // The sign bit of a float; integers have none apart from their number.
  constexpr uint64_t sign_mask() const {
    return is_float() ? uint64_t{1} << (bits - 1) : 0;
  }
};

inline constexpr ElementFormat kFloat32{32, 8, 23};
inline constexpr ElementFormat kFloat64{64, 11, 52};
inline constexpr ElementFormat kHalf{16, 5, 10};
inline constexpr ElementFormat kBfloat16{16, 8, 7};
inline constexpr ElementFormat kFloat8E5M2{8, 5, 2};
inline constexpr ElementFormat kFloat8E4M3Fn{8, 4, 3, false};

// Keeps some bits of `x` and xors `word` into the result. Flip: keep all. Replace: keep
// none. Stuck-at-0 and stuck-at-1: keep all but the bits.
template <typename Word>
constexpr Word Change(Word x, Word keep, Word word) {
  return (x & keep) ^ word;
}

constexpr uint32_t LessThan(uint32_t a, uint32_t b) { return a < b ? 1 : 0; }

// Maps 32 random bits to a uniform exponent field that is not all ones.
//
// floor(r * (2^E - 1) / 2^32), the high half of a product, without a wide multiply:
// r * 2^E - r borrows from the high half exactly if the low half is below r. There is
// no loop and no branch. No fixed number of random bits can be exactly uniform over
// 2^E - 1 values; here each value's probability is off by less than 2^-32.
template <typename Word>
constexpr Word FiniteExponent(Word r, int exponent_bits) {
  const Word high = r >> Literal(r, 32 - exponent_bits);
  const Word low = r << Literal(r, exponent_bits);
  return high - LessThan(low, r);
}

// Counter of the random words of element `index` (64 bits as a pair). `block` 1 is a
// second, independent draw: counters are below 2^63, so the top bit is free.
template <typename Word>
constexpr WordPair<Word> RandomCounter(WordPair<Word> index, int block) {
  return {index.lo, index.hi | Literal(index.hi, block == 0 ? 0u : 0x80000000u)};
}

// Random words of element `index` under `key`.
template <typename Word>
constexpr WordPair<Word> RandomWords(WordPair<Word> key, WordPair<Word> index,
                                     int block) {
  return Threefry2x32(key, RandomCounter(index, block));
}

// Random bit pattern of an element of at most 32 bits: sign and mantissa are fair
// bits of the first word; the exponent field is drawn from the second word.
// `finite_mask`, all ones or zero, selects between that and the first word as it is.
template <typename Word>
constexpr Word RandomPattern32(ElementFormat format, WordPair<Word> words,
                               Word finite_mask) {
  const Word raw = words.lo & Literal(words.lo, static_cast<uint32_t>(format.mask()));
  if (!format.is_float()) return raw;
  const uint32_t field = static_cast<uint32_t>(format.exponent_mask());
  if (!format.has_infinity) {  // Only NaN is not finite: take the number below it.
    const uint32_t magnitude = static_cast<uint32_t>(format.mask() >> 1);
    const Word is_nan =
        LessThan(Literal(raw, magnitude - 1), raw & Literal(raw, magnitude));
    return raw ^ (is_nan & finite_mask);
  }
  const Word exponent = FiniteExponent(words.hi, format.exponent_bits)
                        << Literal(raw, format.mantissa_bits);
  const Word replaced = (raw & Literal(raw, ~field)) | exponent;
  return raw ^ ((raw ^ replaced) & finite_mask);
}

// High and low half of a random 64-bit element; the exponent comes from `second`.
template <typename Word>
constexpr WordPair<Word> RandomPattern64(ElementFormat format, WordPair<Word> words,
                                         WordPair<Word> second, Word finite_mask) {
  if (!format.is_float()) return words;
  const Word raw = words.hi;
  const uint32_t field = static_cast<uint32_t>(format.exponent_mask() >> 32);
  const Word exponent = FiniteExponent(second.lo, format.exponent_bits)
                        << Literal(raw, format.mantissa_bits - 32);
  const Word replaced = (raw & Literal(raw, ~field)) | exponent;
  return {words.lo, raw ^ ((raw ^ replaced) & finite_mask)};
}

}  // namespace tpufi

#endif  // TPUFI_CC_LIB_ELEMENT_H_
