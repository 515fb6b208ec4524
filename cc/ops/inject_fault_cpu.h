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
  Word* elements;
  uint64_t size;

  // Calls put(i, index in the tensor, new bits) for the fault's elements first ..
  // last - 1, each before the next is read.
  template <typename Put>
  void NewBits(int64_t first, int64_t last, Put put) const {
    const WordPair<uint32_t> key = Halves(words[0]);
    const Word kept = keep;  // Locals, for a byte that is written may be any member.
    const Word repeated = static_cast<Word>(words[0]);
    const uint64_t* const given = words;
    switch (rule) {
      case kWords:
        return Each(first, last, put, [=](Word x, int64_t i, uint64_t) {
          return Strike<Word>(x, kept, static_cast<Word>(given[i]));
        });
      case kRepeat:
        return Each(first, last, put, [=](Word x, int64_t, uint64_t) {
          return Strike<Word>(x, kept, repeated);
        });
      case kRandom:
        return Each(first, last, put, [this, key](Word, int64_t, uint64_t index) {
          return Random(key, Halves(index));
        });
      case kCopy:
        return Each(first, last, put, [this, given](Word, int64_t i, uint64_t) {
          return elements[view.TensorIndex(given[i])];
        });
      case kCopyRandom:
        return Each(first, last, put, [this, key](Word, int64_t, uint64_t index) {
          const uint64_t from = Whole(RandomWords(key, Halves(index), 0)) % size;
          return elements[view.TensorIndex(from)];
        });
      case kErrorRate:
        return Each(first, last, put,
                    [this, key, kept](Word x, int64_t, uint64_t index) {
                      return static_cast<Word>(x ^ (kept & Errors(key, Halves(index))));
                    });
      default:
        return Each(first, last, put, [this, given](Word x, int64_t i, uint64_t) {
          return Arithmetic<Word>(format, rule, x, static_cast<Word>(given[i]));
        });
    }
  }

  // Whether new bits are those of other elements, which must not be new ones.
  bool Copies() const { return rule == kCopy || rule == kCopyRandom; }

 private:
  template <typename Put, typename Rule>
  void Each(int64_t first, int64_t last, Put put, Rule new_bits) const {
    Word* const data = elements;
    if (run.block == 0 && view.IsTensor()) {  // A loop that can be vectorised.
      const int64_t start = run.start;
      for (int64_t i = first; i < last; ++i) {
        put(i, start + i, new_bits(data[start + i], i, start + i));
      }
      return;
    }
    for (int64_t i = first; i < last; ++i) {
      const int64_t index = run.Position(i);
      const int64_t at = view.TensorIndex(index);
      put(i, at, new_bits(data[at], i, index));
    }
  }

  Word Random(WordPair<uint32_t> key, WordPair<uint32_t> index) const {
    if (format.bits == 64) {
      return static_cast<Word>(Whole(FinitePattern64(format, key, index)));
    }
    return static_cast<Word>(FinitePattern32(format, key, index));
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
