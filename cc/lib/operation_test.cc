// SPDX-License-Identifier: Apache-2.0
#include "cc/lib/operation.h"

#include <cassert>
#include <cmath>
#include <initializer_list>

namespace tpufi {
namespace {

constexpr bool Fit(int64_t operation, int64_t count, int64_t given) {
  return WordsFit<int64_t>(operation, count, given);
}
static_assert(Fit(kFlip, 7, 7) && Fit(kFlip, 7, 1) && !Fit(kFlip, 7, 2));
static_assert(Fit(kZero, 7, 0) && !Fit(kZero, 7, 1));
static_assert(Fit(kRandom, 7, 1) && !Fit(kRandom, 7, 7));
static_assert(Fit(kCarry, 7, 7) && Fit(kCarry, 7, 1) && !Fit(kCarry, 7, 0));
static_assert(Fit(kErrorRate, 7, 2) && !Fit(kErrorRate, 1, 1));
static_assert(!Fit(kOperations, 7, 1) && !Fit(-1, 7, 1));
static_assert(KeptBits<int64_t>(kFlip, 5) == -1 && KeptBits<int64_t>(kReplace, 5) == 5);
static_assert(KeptBits<int64_t>(kRandom, 5) == 0 && OwnWord<int64_t>(kZero) == 0);
static_assert(CanonicalNaN(kFloat32) == 0x7fc00000u);
static_assert(CanonicalNaN(kBfloat16) == 0x7fc0u);
static_assert(CanonicalNaN(kHalf) == 0x7e00u);
static_assert(CanonicalNaN(kFloat64) == 0x7ff8000000000000u);
static_assert(CanonicalNaN(kFloat8E5M2) == 0x7eu);
static_assert(CanonicalNaN(kFloat8E4M3Fn) == 0x7fu);

// Carries run through the mantissa into the exponent, and stop at its ends.
constexpr uint32_t Carry32(uint32_t x, uint32_t w) {
  return Carried<uint32_t>(x, w, static_cast<uint32_t>(kFloat32.sign_mask()));
}
static_assert(Carry32(0x3fffffffu, 1) == 0x40000000u);
static_assert(Carry32(0xbfffffffu, 1) == 0xc0000000u);
static_assert(Carry32(0xc0000000u, -4u) == 0xbffffffcu);
static_assert(Carry32(0, -1u) == 0 && Carry32(0x80000003u, -4u) == 0x80000003u);
static_assert(Carry32(0x7fffffffu, 1) == 0x7fffffffu);
static_assert(Carry32(0xffffffffu, 1) == 0xffffffffu);
static_assert(Carried<uint8_t>(0xff, 1, 0) == 0 && Carried<uint8_t>(0, 0xff, 0) == 255);
static_assert(Carried<uint64_t>(3, ~uint64_t{0}, kFloat64.sign_mask()) == 2);

// Ranges are of bits without sign, and zeros are every element.
template <typename Word>
constexpr bool Triggered(Word x, Word mask, Word low, Word high) {
  return Triggers<Word>({mask, {low, low, low, 7}, {high, high, high, 7}}, x);
}
static_assert(Triggered<uint32_t>(5, 0xff, 5, 5) && !Triggered<uint32_t>(6, 255, 5, 5));
static_assert(Triggered<uint64_t>(~uint64_t{0}, ~uint64_t{0}, uint64_t{1} << 63, -1));
static_assert(!Triggered<uint64_t>(1, ~uint64_t{0}, uint64_t{1} << 63, -1));
static_assert(Triggered<uint8_t>(0x87, 0x7f, 1, 2) && Triggered<uint8_t>(7, 255, 1, 2));
static_assert(!Triggered<uint8_t>(0x87, 0xff, 1, 2));
static_assert(Triggers<uint16_t>({0, {}, {}}, 0xffff));

constexpr WordPair<uint32_t> kKey = {3, 5};

// Bits that flip among 32 pairs of 2000 elements.
int Flips(uint64_t threshold) {
  int flips = 0;
  const WordPair<uint32_t> limit = {static_cast<uint32_t>(threshold),
                                    static_cast<uint32_t>(threshold >> 32)};
  for (uint32_t element = 0; element < 2000; ++element) {
    for (uint32_t pair = 0; pair < 32; ++pair) {
      const WordPair<uint32_t> bits = ErrorBits(
          Threefry2x32(kKey, ErrorCounter<uint32_t>({element, 0}, pair)), limit);
      assert(bits.lo <= 1 && bits.hi <= 1);
      flips += bits.lo + bits.hi;
    }
  }
  return flips;
}

void BitsFlipAtTheGivenRate() {
  constexpr int kBits = 2000 * 64;
  assert(Flips(0) == 0);
  assert(Flips(uint64_t{1} << 32) == kBits);
  for (double rate : {0.5, 0.01, 0.9}) {
    const double expected = rate * kBits;
    const double deviation = std::sqrt(expected * (1 - rate));
    const int flips = Flips(static_cast<uint64_t>(std::ldexp(rate, 32)));
    assert(std::abs(flips - expected) < 5 * deviation);
  }
}

void NeighboursDrawFromDifferentCounters() {
  // Element 1 pair 0 would meet element 0 pair 32; element 2^27 carries into the upper
  // word.
  const WordPair<uint32_t> half = {1u << 31, 0};
  int equal = 0;
  for (uint32_t pair = 0; pair < 32; ++pair) {
    const auto a = ErrorBits(
        Threefry2x32(kKey, ErrorCounter<uint32_t>({1u << 27, 0}, pair)), half);
    const auto b =
        ErrorBits(Threefry2x32(kKey, ErrorCounter<uint32_t>({0, 0}, pair)), half);
    equal += a.lo == b.lo;
    equal += a.hi == b.hi;
  }
  assert(equal > 16 && equal < 48);
}

}  // namespace
}  // namespace tpufi

int main() {
  tpufi::BitsFlipAtTheGivenRate();
  tpufi::NeighboursDrawFromDifferentCounters();
  return 0;
}
