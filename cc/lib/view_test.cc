// SPDX-License-Identifier: Apache-2.0
#include "cc/lib/view.h"

#include <cassert>

namespace tpufi {
namespace {

void TheViewNamesTheElementsOfTheTransposedTensor() {
  const View view({2, 3, 5, 7}, {2, 0, 1, 3});
  assert((view.dims() == std::vector<int64_t>{5, 2, 3, 7}));
  int64_t index = 0;
  for (int64_t c = 0; c < 5; ++c)
    for (int64_t a = 0; a < 2; ++a)
      for (int64_t b = 0; b < 3; ++b)
        for (int64_t d = 0; d < 7; ++d, ++index)
          assert(view.TensorIndex(index) == ((a * 3 + b) * 5 + c) * 7 + d);
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
  tpufi::TheViewNamesTheElementsOfTheTransposedTensor();
  tpufi::AnEmptyPermutationIsTheTensorItself();
  tpufi::OnlyPermutationsAreAccepted();
  return 0;
}
