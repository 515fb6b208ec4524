// SPDX-License-Identifier: Apache-2.0
// The elements of a fault: blocks of consecutive flat indices at equal distances.
//
// One block is a run; blocks of one element at distance C are a channel of an NHWC
// tensor; blocks of C elements at distance W * C are a column of its pixels; any two
// elements are two blocks of one element.
#ifndef TPUFI_CC_LIB_FAULT_RUN_H_
#define TPUFI_CC_LIB_FAULT_RUN_H_

#include <cstdint>

#include "cc/lib/fault_range.h"

namespace tpufi {

struct FaultRun {
  int64_t start;
  int64_t count;
  int64_t block;   // 0: one block holds all elements.
  int64_t stride;  // Unused if block is 0.

  // Flat index of element i, 0 <= i < count.
  constexpr int64_t Position(int64_t i) const {
    return block == 0 ? start + i : start + i / block * stride + i % block;
  }
};

// The rule of IsValid(FaultRange) for runs of blocks: count 0 strikes nothing,
// wherever; else blocks must not overlap and all elements must lie in [0, size).
// Written without sums or products that could overflow.
constexpr bool IsValid(const FaultRun& run, int64_t size) {
  if (run.block == 0 || run.count == 0) {
    return IsValid(FaultRange{run.start, run.count}, size);
  }
  if (run.count < 0 || run.count > size) return false;
  if (run.block < 0 || run.stride < run.block) return false;
  if (run.start < 0 || run.start >= size) return false;
  const int64_t blocks = (run.count - 1) / run.block;
  if (blocks > 0 && run.stride > size / blocks) return false;
  return blocks * run.stride + (run.count - 1) % run.block < size - run.start;
}

}  // namespace tpufi

#endif  // TPUFI_CC_LIB_FAULT_RUN_H_
