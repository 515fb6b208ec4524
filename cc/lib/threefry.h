// SPDX-License-Identifier: Apache-2.0
// Threefry-2x32 with 20 rounds: the one random generator of the project.
//
// A counter-based generator is a pure function of (key, counter), so any element of
// any stream can be computed alone, on any device, in any order. It is written for
// a generic 32-bit word: `uint32_t` on the host and in CPU kernels, `xla::XlaOp` (of
// type U32) in XLA kernels. A word type needs +, ^, | , <<, >> and `Literal`.
//
// Source: Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC'11.
#ifndef TPUFI_CC_LIB_THREEFRY_H_
#define TPUFI_CC_LIB_THREEFRY_H_

#include <cstdint>

namespace tpufi {

// A constant of the same word type as `like`. The XLA twin is in cc/ops/xla.h.
constexpr uint32_t Literal(uint32_t /*like*/, uint32_t value) { return value; }

template <typename Word>
struct WordPair {
  Word lo;
  Word hi;
};

inline constexpr int kRounds = 20;
inline constexpr int kRotations[8] = {13, 15, 26, 6, 17, 29, 16, 24};

// What one round needs: round r rotates by kRotations[r % 8], and adds `key` behind
// each fourth round, zeros behind the others.
template <typename Word>
constexpr WordPair<Word> Round(WordPair<Word> words, Word left, Word right,
                               WordPair<Word> key) {
  const Word lo = words.lo + words.hi;
  const Word hi = ((words.hi << left) | (words.hi >> right)) ^ lo;
  return {lo + key.lo, hi + key.hi};
}

// What is added behind group 0 to 5 of four rounds; 0 is before the first round.
template <typename Word>
constexpr WordPair<Word> KeyOfGroup(WordPair<Word> key, int group) {
  const Word parity = key.lo ^ key.hi ^ Literal(key.lo, 0x1BD11BDA);
  const Word keys[3] = {key.lo, key.hi, parity};
  return {keys[group % 3], keys[(group + 1) % 3] + Literal(key.hi, group)};
}

// Returns the 64 random bits of `counter` under `key`.
template <typename Word>
constexpr WordPair<Word> Threefry2x32(WordPair<Word> key, WordPair<Word> counter) {
  const Word zero = Literal(key.lo, 0);
  const WordPair<Word> first = KeyOfGroup(key, 0);
  WordPair<Word> words = {counter.lo + first.lo, counter.hi + first.hi};
  for (int round = 0; round < kRounds; ++round) {
    const int rotation = kRotations[round % 8];
    const bool last = round % 4 == 3;
    words = Round(words, Literal(zero, rotation), Literal(zero, 32 - rotation),
                  last ? KeyOfGroup(key, round / 4 + 1) : WordPair<Word>{zero, zero});
  }
  return words;
}

}  // namespace tpufi

#endif  // TPUFI_CC_LIB_THREEFRY_H_
