// SPDX-License-Identifier: Apache-2.0
// The fault descriptor: one row of int64 numbers per fault, the same for all sites.
//
// A program carries `faults` [rows, kFaultFields] and `words` [rows, capacity] as
// run-time operands. A row names the site it strikes; every other site ignores it.
// Which elements: cc/lib/fault_run.h. What they become: cc/lib/value_rule.h.
#ifndef TPUFI_CC_LIB_FAULT_ROW_H_
#define TPUFI_CC_LIB_FAULT_ROW_H_

#include <cstdint>

namespace tpufi {

enum FaultField : int {
  kSite = 0,     // Id of the struck site; -1: no fault.
  kReplica = 1,  // Replica that is struck; -1: every replica.
  kStart = 2,    // Flat index of the first struck element, in the site's view.
  kCount = 3,    // Number of struck elements.
  kKeep = 4,     // Bits of the element that are kept, or (error rate) may flip.
  kRule = 5,     // Value rule, one of FaultRule.
  kBlock = 6,    // Consecutive elements of a block; 0: all are consecutive.
  kStride = 7,   // Distance of the starts of blocks.
  // Which results of the operation keep the error of a struck operand: the layer's
  // concern (python/tpufi/layers/hooks.py), not the op's.
  kReachStart = 8,    // Flat index of the first result.
  kReachCount = 9,    // Number of results; 0: all of them.
  kReachStride = 10,  // Distance of the results.
  kFaultFields = 11,
};

inline constexpr const char* kFaultFieldNames[kFaultFields] = {
    "site",  "replica", "start",       "count",       "keep",        "rule",
    "block", "stride",  "reach_start", "reach_count", "reach_stride"};

// A record is additive: sites that are not struck contribute zeros, so the sum over all
// sites is the record of the struck one. 64-bit numbers travel as four float32, each
// holding 16 bits exactly, because only floats flow through a gradient.
inline constexpr int kQuarters = 4;

constexpr float Quarter(uint64_t value, int quarter) {
  return static_cast<float>((value >> (16 * quarter)) & 0xffffu);
}

}  // namespace tpufi

#endif  // TPUFI_CC_LIB_FAULT_ROW_H_
