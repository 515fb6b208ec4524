// SPDX-License-Identifier: Apache-2.0
#include "cc/lib/elements.h"

#include <cassert>
#include <limits>
#include <set>

namespace tpufi {
namespace {

constexpr int64_t kMax = std::numeric_limits<int64_t>::max();
constexpr int64_t kHuge = kNowhere / 4;  // As many elements as a tensor might have.
constexpr int64_t kMin = std::numeric_limits<int64_t>::min();

constexpr bool Valid(Elements elements, int64_t size) {
  return IsValid(elements, size);
}

static_assert(Valid({0, 1, 0, 0}, 1));
static_assert(Valid({9, 1, 0, 0}, 10));
static_assert(Valid({0, 10, 0, 0}, 10));
static_assert(!Valid({10, 1, 0, 0}, 10));
static_assert(!Valid({9, 2, 0, 0}, 10));
static_assert(!Valid({-1, 1, 0, 0}, 10));
static_assert(!Valid({0, -1, 0, 0}, 10));
static_assert(!Valid({0, 1, 0, 0}, 0));
static_assert(Valid({kMax, 0, 0, 0}, 0));
static_assert(Valid({kMin, 0, 0, 0}, 10));
static_assert(!Valid({kMax, kMax, 0, 0}, kMax));
static_assert(!Valid({1, kMax, 0, 0}, kMax));
static_assert(!Valid({kMin, kMax, 0, 0}, kMax));
static_assert(Valid({0, kHuge, 0, 0}, kHuge));
static_assert(!Valid({1, kHuge, 0, 0}, kHuge));
static_assert(!Valid({0, 3, 1, kMax}, 10));
static_assert(Valid({9, 1, 1, kMax}, 10));
static_assert(Valid({0, 0, -1, -1}, 0));
static_assert(!Valid({0, kMax, 1, kMax}, kMax));
static_assert(Valid({0, kHuge, 1, 1}, kHuge));
static_assert(!Valid({0, kHuge, 1, kHuge}, kHuge));
static_assert(Valid({0, 3, 1, kHuge / 2}, kMax));
static_assert(!Valid({kMin, 2, 1, 1}, 10));
static_assert(!Valid({0, 2, kMin, kMin}, 10));
static_assert(!Valid({0, kMin, 1, 1}, 10));

// Valid is what visits distinct places inside the tensor, found by visiting them.
void ValidElementsStayInsideWithoutOverlap() {
  constexpr int64_t kSize = 9;
  for (int64_t start = -1; start <= kSize; ++start) {
    for (int64_t count = 1; count <= kSize + 1; ++count) {
      for (int64_t block = 1; block <= kSize; ++block) {
        for (int64_t stride = 0; stride <= kSize + 1; ++stride) {
          const Elements elements = {start, count, block, stride};
          std::set<int64_t> seen;
          bool inside = true;
          for (int64_t i = 0; i < count; ++i) {
            const int64_t position = Position(elements, i);
            inside &= position >= 0 && position < kSize;
            seen.insert(position);
          }
          const bool apart = stride >= block;
          assert(!apart || static_cast<int64_t>(seen.size()) == count);
          assert(Valid(elements, kSize) == (inside && apart));
        }
      }
    }
  }
}

void ABlockOfZeroIsOneBlock() {
  const Elements run = WithBlock(Elements{3, 4, 0, 0});
  for (int64_t i = 0; i < 4; ++i) assert(Position(run, i) == 3 + i);
  assert(WithBlock(Elements{3, 0, 0, 0}).block == 1);
  assert(WithBlock(Elements{3, 1, kMax, kMax}).block == 1);
}

void TheViewNamesTheElementsOfTheTransposedTensor() {
  const View view({2, 3, 5, 7}, {2, 0, 1, 3});
  assert((view.dims() == std::vector<int64_t>{5, 2, 3, 7}));
  int64_t index = 0;
  for (int64_t c = 0; c < 5; ++c)
    for (int64_t a = 0; a < 2; ++a)
      for (int64_t b = 0; b < 3; ++b)
        for (int64_t d = 0; d < 7; ++d, ++index) {
          assert(view.TensorIndex(index) == ((a * 3 + b) * 5 + c) * 7 + d);
          assert((view.Coordinates(index) == std::vector<int64_t>{a, b, c, d}));
        }
}

void AnEmptyPermutationIsTheTensorItself() {
  const View view({4, 6}, {});
  for (int64_t i = 0; i < 24; ++i) assert(view.TensorIndex(i) == i);
  assert(View({}, {}).TensorIndex(0) == 0);
  assert(view.IsTensor() && View({}, {}).IsTensor());
  assert(View({4, 6}, {0, 1}).IsTensor() && !View({4, 6}, {1, 0}).IsTensor());
}

void OnlyPermutationsAreAccepted() {
  assert(IsPermutation({}, 3) && IsPermutation({2, 0, 1}, 3));
  assert(!IsPermutation({0, 1}, 3) && !IsPermutation({0, 0, 1}, 3));
  assert(!IsPermutation({0, 1, 3}, 3) && !IsPermutation({-1, 0, 1}, 3));
}

}  // namespace
}  // namespace tpufi

int main() {
  tpufi::ValidElementsStayInsideWithoutOverlap();
  tpufi::ABlockOfZeroIsOneBlock();
  tpufi::TheViewNamesTheElementsOfTheTransposedTensor();
  tpufi::AnEmptyPermutationIsTheTensorItself();
  tpufi::OnlyPermutationsAreAccepted();
  return 0;
}
