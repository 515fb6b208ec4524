// SPDX-License-Identifier: Apache-2.0
// Known-answer vectors of the Random123 distribution for threefry2x32-20.
#include "cc/lib/threefry.h"

#include <cassert>

namespace tpufi {
namespace {

constexpr bool Gives(WordPair<uint32_t> key, WordPair<uint32_t> counter, uint32_t lo,
                     uint32_t hi) {
  const WordPair<uint32_t> words = Threefry2x32(key, counter);
  return words.lo == lo && words.hi == hi;
}

static_assert(Gives({0, 0}, {0, 0}, 0x6b200159, 0x99ba4efe));
static_assert(Gives({~0u, ~0u}, {~0u, ~0u}, 0x1cb996fc, 0xbb002be7));
static_assert(Gives({0x13198a2e, 0x03707344}, {0x243f6a88, 0x85a308d3}, 0xc4923a9c,
                    0x483df7a0));

}  // namespace
}  // namespace tpufi

int main() {
  // At run time as well: the optimiser must not change what the compiler folded.
  volatile uint32_t zero = 0;
  const tpufi::WordPair<uint32_t> words =
      tpufi::Threefry2x32<uint32_t>({zero, zero}, {zero, zero});
  assert(words.lo == 0x6b200159 && words.hi == 0x99ba4efe);
  return 0;
}
