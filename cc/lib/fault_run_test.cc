// SPDX-License-Identifier: Apache-2.0
#include "cc/lib/fault_run.h"

#include <cassert>
#include <limits>
#include <set>

namespace tpufi {
namespace {

constexpr int64_t kMax = std::numeric_limits<int64_t>::max();
constexpr int64_t kMin = std::numeric_limits<int64_t>::min();

static_assert(IsValid(FaultRun{0, 10, 0, 0}, 10));
static_assert(!IsValid(FaultRun{1, 10, 0, 0}, 10));
static_assert(!IsValid(FaultRun{0, 3, 1, kMax}, 10));
static_assert(IsValid(FaultRun{9, 1, 1, kMax}, 10));
static_assert(IsValid(FaultRun{0, 0, -1, -1}, 0));
static_assert(!IsValid(FaultRun{0, kMax, 1, kMax}, kMax));
static_assert(IsValid(FaultRun{0, kMax, 1, 1}, kMax));
static_assert(!IsValid(FaultRun{kMin, 2, 1, 1}, 10));
static_assert(!IsValid(FaultRun{0, 2, kMin, kMin}, 10));
static_assert(!IsValid(FaultRun{0, kMin, 1, 1}, 10));

// Valid is what visits distinct places inside the tensor, found by visiting them.
void ValidRunsAreThoseThatStayInsideWithoutOverlap() {
  constexpr int64_t kSize = 9;
  for (int64_t start = -1; start <= kSize; ++start) {
    for (int64_t count = 1; count <= kSize + 1; ++count) {
      for (int64_t block = 1; block <= kSize; ++block) {
        for (int64_t stride = 0; stride <= kSize + 1; ++stride) {
          const FaultRun run = {start, count, block, stride};
          std::set<int64_t> seen;
          bool inside = true;
          for (int64_t i = 0; i < count; ++i) {
            inside &= run.Position(i) >= 0 && run.Position(i) < kSize;
            seen.insert(run.Position(i));
          }
          const bool apart = stride >= block;
          assert(!apart || static_cast<int64_t>(seen.size()) == count);
          assert(IsValid(run, kSize) == (inside && apart));
        }
      }
    }
  }
}

}  // namespace
}  // namespace tpufi

int main() {
  tpufi::ValidRunsAreThoseThatStayInsideWithoutOverlap();
  return 0;
}
