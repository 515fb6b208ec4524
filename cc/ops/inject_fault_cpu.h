// SPDX-License-Identifier: Apache-2.0
// Strikes one row of a descriptor on the CPU; the XLA twin is inject_branch_xla.cc.
#ifndef TPUFI_CC_OPS_INJECT_FAULT_CPU_H_
#define TPUFI_CC_OPS_INJECT_FAULT_CPU_H_

#include <cstdint>
#include <vector>

#include "cc/lib/element.h"
#include "cc/lib/fault_run.h"
#include "cc/lib/value_rule.h"
#include "cc/lib/view.h"
#include "cc/ops/element_arithmetic.h"

namespace tpufi {

// One row for the elements of one tensor, both as unsigned integers.
template <typename Word>
struct RowStrike {
  ElementFormat format;
  FaultRun run;
  int64_t rule;
  Word keep;
  const uint64_t* words;
  const View& view;
  const Word* elements;
  uint64_t size;

  // New bits of the fault's elements first .. last - 1. Nothing is written yet, so a
  // copy reads what was there before the fault.
  void NewBits(int64_t first, int64_t last, Word* fresh) const {
    for (int64_t i = first; i < last; ++i) {
      const int64_t index = run.Position(i);
      fresh[i] = NewBitsOf(elements[view.TensorIndex(index)], i, index);
    }
  }

 private:
  Word NewBitsOf(Word x, int64_t i, uint64_t index) const {
    const WordPair<uint32_t> key = Halves(words[0]);
    switch (rule) {
      case kWords:
        return Strike<Word>(x, keep, static_cast<Word>(words[i]));
      case kRepeat:
        return Strike<Word>(x, keep, static_cast<Word>(words[0]));
      case kRandom:
        if (format.bits == 64) {
          return static_cast<Word>(Whole(FinitePattern64(format, key, Halves(index))));
        }
        return static_cast<Word>(FinitePattern32(format, key, Halves(index)));
      case kCopy:
        return elements[view.TensorIndex(words[i])];
      case kCopyRandom:
        return elements[view.TensorIndex(Whole(RandomWords(key, Halves(index), 0)) %
                                         size)];
      case kErrorRate:
        return x ^ (keep & Errors(key, Halves(index)));
      default:
        return Arithmetic<Word>(format, rule, x, static_cast<Word>(words[i]));
    }
  }

  Word Errors(WordPair<uint32_t> key, WordPair<uint32_t> index) const {
    uint64_t errors = 0;
    for (int pair = 0; pair < format.bits / 2; ++pair) {
      const WordPair<uint32_t> bits =
          ErrorBits<uint32_t>(key, index, pair, Halves(words[1]));
      errors |= uint64_t{bits.lo | (bits.hi << 1)} << (2 * pair);
    }
    return static_cast<Word>(errors);
  }

  static WordPair<uint32_t> Halves(uint64_t number) {
    return {static_cast<uint32_t>(number), static_cast<uint32_t>(number >> 32)};
  }
  static uint64_t Whole(WordPair<uint32_t> halves) {
    return (uint64_t{halves.hi} << 32) | halves.lo;
  }
};

}  // namespace tpufi

#endif  // TPUFI_CC_OPS_INJECT_FAULT_CPU_H_
