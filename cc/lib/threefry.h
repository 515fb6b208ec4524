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

// A constant of the same word type as `like`. The XLA twin is in cc/ops/xla_words.h.
constexpr uint32_t Literal(uint32_t /*like*/, uint32_t value) { return value; }

template <typename Word>
struct WordPair {
  Word lo;
  Word hi;
};

template <typename Word>
constexpr Word RotateLeft(Word x, int distance) {
  return (x << Literal(x, distance)) | (x >> Literal(x, 32 - distance));
}

// Returns the 64 random bits of `counter` under `key`.
template <typename Word>
constexpr WordPair<Word> Threefry2x32(WordPair<Word> key, WordPair<Word> counter) {
  constexpr int kRotations[2][4] = {{13, 15, 26, 6}, {17, 29, 16, 24}};
  const Word parity = key.lo ^ key.hi ^ Literal(key.lo, 0x1BD11BDA);
  const Word keys[3] = {key.lo, key.hi, parity};
  Word lo = counter.lo + keys[0];
  Word hi = counter.hi + keys[1];
  for (int group = 1; group <= 5; ++group) {  // Five groups of four rounds.
    for (int round = 0; round < 4; ++round) {
      lo = lo + hi;
      hi = RotateLeft(hi, kRotations[(group + 1) % 2][round]) ^ lo;
    }
    lo = lo + keys[group % 3];
    hi = hi + keys[(group + 1) % 3] + Literal(hi, group);
  }
  return {lo, hi};
}

}  // namespace tpufi

#endif  // TPUFI_CC_LIB_THREEFRY_H_
