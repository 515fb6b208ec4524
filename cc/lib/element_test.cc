// SPDX-License-Identifier: Apache-2.0
#include <cassert>
#include <initializer_list>
#include <set>

#include "cc/lib/random_patterns.h"

namespace tpufi {
namespace {

constexpr ElementFormat kFormats[] = {kFloat32,   kFloat64,    kHalf,
                                      kBfloat16,  kFloat8E5M2, {8, 0, 0},
                                      {16, 0, 0}, {32, 0, 0},  {64, 0, 0}};

static_assert(kFloat32.exponent_mask() == 0x7f800000u);
static_assert(kBfloat16.exponent_mask() == 0x7f80u);
static_assert(kHalf.exponent_mask() == 0x7c00u);
static_assert(kFloat64.exponent_mask() == 0x7ff0000000000000u);
static_assert(Change(0b1100u, ~0u, 0b0101u) == 0b1001u);
static_assert(Change(0xffffu, 0u, 0x1234u) == 0x1234u);

void FiniteExponentIsTheHighHalfOfTheProduct() {
  for (int exponent_bits : {5, 8, 11}) {
    const uint64_t values = (1u << exponent_bits) - 1;
    for (uint64_t i = 0; i < 1000000; ++i) {
      const uint32_t r = static_cast<uint32_t>(i * 2654435761u);
      assert(FiniteExponent(r, exponent_bits) == (r * values) >> 32);
    }
    assert(FiniteExponent(0u, exponent_bits) == 0);
    assert(FiniteExponent(~0u, exponent_bits) == values - 1);
  }
}

void RandomPatternsFitAndAreFiniteWhereAsked() {
  for (const ElementFormat& format : kFormats) {
    bool non_finite_seen = false;
    for (uint64_t i = 0; i < 20000; ++i) {
      const uint64_t finite = RandomPattern(format, {7, 11}, i, true);
      const uint64_t any = RandomPattern(format, {7, 11}, i, false);
      assert((finite & ~format.mask()) == 0 && (any & ~format.mask()) == 0);
      if (!format.is_float()) {
        assert(finite == any);
        continue;
      }
      const uint64_t field = format.exponent_mask();
      assert((finite & field) != field);
      assert((finite & ~field) == (any & ~field));
      non_finite_seen |= (any & field) == field;
    }
    assert(non_finite_seen == format.is_float());
  }
}

void WithoutInfinityAllButNaNIsFinite() {
  std::set<uint64_t> seen;
  for (uint64_t i = 0; i < 20000; ++i) {
    seen.insert(RandomPattern(kFloat8E4M3Fn, {7, 11}, i, true));
  }
  assert(seen.size() == 254 && !seen.count(0x7f) && !seen.count(0xff));
}

void TheUpperHalfOfTheIndexCounts() {
  const uint64_t low = RandomPattern(kFloat32, {1, 2}, 5, true);
  const uint64_t high = RandomPattern(kFloat32, {1, 2}, 5 + (uint64_t{1} << 32), true);
  assert(low != high);
}

}  // namespace
}  // namespace tpufi

int main() {
  tpufi::FiniteExponentIsTheHighHalfOfTheProduct();
  tpufi::RandomPatternsFitAndAreFiniteWhereAsked();
  tpufi::WithoutInfinityAllButNaNIsFinite();
  tpufi::TheUpperHalfOfTheIndexCounts();
  return 0;
}
