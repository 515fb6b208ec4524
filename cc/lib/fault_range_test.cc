// SPDX-License-Identifier: Apache-2.0
#include "cc/lib/fault_range.h"

#include <limits>

namespace tpufi {
namespace {

constexpr int64_t kMax = std::numeric_limits<int64_t>::max();
constexpr int64_t kMin = std::numeric_limits<int64_t>::min();

static_assert(IsValid({0, 1}, 1));
static_assert(IsValid({9, 1}, 10));
static_assert(IsValid({0, 10}, 10));
static_assert(!IsValid({10, 1}, 10));
static_assert(!IsValid({9, 2}, 10));
static_assert(!IsValid({-1, 1}, 10));
static_assert(!IsValid({0, -1}, 10));
static_assert(!IsValid({0, 1}, 0));
static_assert(IsValid({kMax, 0}, 0));
static_assert(IsValid({kMin, 0}, 10));
static_assert(!IsValid({kMax, kMax}, kMax));
static_assert(!IsValid({1, kMax}, kMax));
static_assert(!IsValid({kMin, kMax}, kMax));
static_assert(IsValid({0, kMax}, kMax));

}  // namespace
}  // namespace tpufi

int main() { return 0; }  // Everything above is checked by the compiler.
