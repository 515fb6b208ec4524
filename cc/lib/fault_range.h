// SPDX-License-Identifier: Apache-2.0
// Which elements a fault strikes: a run of consecutive flat (row-major) indices.
#ifndef TPUFI_CC_LIB_FAULT_RANGE_H_
#define TPUFI_CC_LIB_FAULT_RANGE_H_

#include <cstdint>

namespace tpufi {

struct FaultRange {
  int64_t start;
  int64_t count;
};

// The rule for all ops and modes: a range of count 0 is allowed anywhere and strikes
// nothing; any other range must lie in [0, size) as a whole. A range that does not is
// void: it strikes no element at all. Written without sums that could overflow.
constexpr bool IsValid(FaultRange range, int64_t size) {
  if (range.count == 0) return true;
  return range.count > 0 && range.count <= size && range.start >= 0 &&
         range.start <= size - range.count;
}

}  // namespace tpufi

#endif  // TPUFI_CC_LIB_FAULT_RANGE_H_
