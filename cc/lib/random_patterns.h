// SPDX-License-Identifier: Apache-2.0
// Random bit patterns of a run of elements, for CPU kernels and the host.
//
// Eight elements at a time: `Lanes` is one more word type for the templates of
// cc/lib/element.h, made of the compiler's vectors, which become SIMD instructions.
#ifndef TPUFI_CC_LIB_RANDOM_PATTERNS_H_
#define TPUFI_CC_LIB_RANDOM_PATTERNS_H_

#include <algorithm>
#include <cstdint>

#include "cc/lib/element.h"
#include "cc/lib/operation.h"

namespace tpufi {

// Two SSE registers: the second one fills the pauses of the first.
typedef uint32_t Register __attribute__((vector_size(16)));
inline constexpr int kLanes = 8;

struct Lanes {
  Register a;
  Register b;

  uint32_t operator[](int lane) const { return lane < 4 ? a[lane] : b[lane - 4]; }
};

inline Lanes Literal(const Lanes& /*like*/, uint32_t value) {
  return {Register{} + value, Register{} + value};
}
inline Lanes operator+(Lanes x, Lanes y) { return {x.a + y.a, x.b + y.b}; }
inline Lanes operator-(Lanes x, Lanes y) { return {x.a - y.a, x.b - y.b}; }
inline Lanes operator^(Lanes x, Lanes y) { return {x.a ^ y.a, x.b ^ y.b}; }
inline Lanes operator&(Lanes x, Lanes y) { return {x.a & y.a, x.b & y.b}; }
inline Lanes operator|(Lanes x, Lanes y) { return {x.a | y.a, x.b | y.b}; }
inline Lanes operator<<(Lanes x, Lanes y) { return {x.a << y.a, x.b << y.b}; }
inline Lanes operator>>(Lanes x, Lanes y) { return {x.a >> y.a, x.b >> y.b}; }
inline Lanes LessThan(Lanes x, Lanes y) {
  return {(Register)(x.a < y.a) & 1, (Register)(x.b < y.b) & 1};
}

// Writes the patterns of elements start .. start + count - 1. Each depends on the key
// and its own flat index only.
template <typename Word>
void RandomPatterns(ElementFormat format, WordPair<uint32_t> key, uint64_t start,
                    int64_t count, bool finite, Word* patterns) {
  const auto all = [](uint32_t value) { return Literal(Lanes{}, value); };
  const WordPair<Lanes> keys = {all(key.lo), all(key.hi)};
  const Lanes finite_mask = all(finite ? ~0u : 0u);
  const Lanes lanes = {{0, 1, 2, 3}, {4, 5, 6, 7}};
  for (int64_t i = 0; i < count; i += kLanes) {
    const Lanes first = all(static_cast<uint32_t>(start + i));
    const Lanes low = first + lanes;
    const WordPair<Lanes> index = {
        low, all(static_cast<uint32_t>((start + i) >> 32)) + LessThan(low, first)};
    WordPair<Lanes> words = RandomWords(keys, index, 0);
    if (format.bits == 64) {
      words = RandomPattern64(format, words, RandomWords(keys, index, 1), finite_mask);
    } else {
      words = {RandomPattern32(format, words, finite_mask), Lanes{}};
    }
    const int n = static_cast<int>(std::min<int64_t>(kLanes, count - i));
    for (int lane = 0; lane < n; ++lane) {
      patterns[i + lane] =
          static_cast<Word>((uint64_t{words.hi[lane]} << 32) | words.lo[lane]);
    }
  }
}

// The same for one element.
inline uint64_t RandomPattern(ElementFormat format, WordPair<uint32_t> key,
                              uint64_t index, bool finite) {
  uint64_t pattern = 0;
  RandomPatterns(format, key, index, 1, finite, &pattern);
  return pattern;
}

// The bits of an element that flip at an error rate of threshold / 2^32.
inline uint64_t ErrorPattern(ElementFormat format, WordPair<uint32_t> key,
                             uint64_t index, uint64_t threshold) {
  const WordPair<uint32_t> at = {static_cast<uint32_t>(index),
                                 static_cast<uint32_t>(index >> 32)};
  const WordPair<uint32_t> rate = {static_cast<uint32_t>(threshold),
                                   static_cast<uint32_t>(threshold >> 32)};
  uint64_t errors = 0;
  for (int pair = 0; pair < format.bits / 2; ++pair) {
    const WordPair<uint32_t> bits =
        ErrorBits(Threefry2x32(key, ErrorCounter<uint32_t>(at, pair)), rate);
    errors |= uint64_t{bits.lo | (bits.hi << 1)} << (2 * pair);
  }
  return errors;
}

// A random flat index below `size`, for the element with flat index `index`.
inline uint64_t RandomIndex(WordPair<uint32_t> key, uint64_t index, uint64_t size) {
  const WordPair<uint32_t> words = RandomWords<uint32_t>(
      key, {static_cast<uint32_t>(index), static_cast<uint32_t>(index >> 32)}, 0);
  return ((uint64_t{words.hi} << 32) | words.lo) % size;
}

}  // namespace tpufi

#endif  // TPUFI_CC_LIB_RANDOM_PATTERNS_H_
