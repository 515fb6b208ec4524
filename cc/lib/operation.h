// SPDX-License-Identifier: Apache-2.0
// What is done to an element, and the row of numbers that tells a program.
//
// As in cc/lib/element.h the rules are templates over the word type, so that the CPU
// kernel and the XLA kernel run the same lines. Every draw is a pure function of a key
// (the row's first word) and the element's flat index in the site's view.
#ifndef TPUFI_CC_LIB_OPERATION_H_
#define TPUFI_CC_LIB_OPERATION_H_

#include <cstdint>

#include "cc/lib/element.h"
#include "cc/lib/elements.h"

namespace tpufi {

// x is an element, w its word: words[i] of element i of the fault, or the only word.
enum Operation : int {
  kFlip = 0,        // x ^ w.
  kZero = 1,        // +0.
  kRandom = 2,      // Random finite bits; key words[0].
  kReplace = 3,     // w; with bits to keep: (x & keep) ^ w.
  kCopy = 4,        // The element at flat index w of the view.
  kAdd = 5,         // x + w, as numbers.
  kMultiply = 6,    // x * w, as numbers.
  kErrorRate = 7,   // Each bit of keep flips with probability words[1] / 2^32; key
                    // words[0].
  kRandomBits = 8,  // Any random bits, Inf and NaN too; key words[0].
  kCopyRandom = 9,  // The element at a random flat index; key words[0].
  kCarry = 10,      // x + w of the bits: Carried.
  kOperations = 11,
};

inline constexpr const char* kOperationNames[kOperations] = {
    "flip",     "zero",       "random",      "replace",     "copy", "add",
    "multiply", "error_rate", "random_bits", "copy_random", "carry"};

// How many words an operation takes: none, a key, a key and a rate; or one for each
// element or one for all.
constexpr int WordsTaken(int operation) {
  return operation == kZero ? 0 : operation == kErrorRate ? 2 : 1;
}
constexpr bool TakesOneForEach(int operation) {
  return operation == kFlip || operation == kReplace || operation == kCopy ||
         operation == kAdd || operation == kMultiply || operation == kCarry;
}

// What carries of an adder make of x: the sum of the bits as integers, w in two's
// complement. In a float the sum runs from the mantissa into the exponent. A sum that
// would leave exponent and mantissa, for there is too much or too little to carry or
// borrow, leaves x as it is. `sign`: the sign bit of floats, 0 for integers, which wrap
// around.
template <typename Word>
constexpr Word Carried(Word x, Word w, Word sign) {
  const Word sum = x + w;
  return Select(Eq(sum & sign, x & sign), sum, x);
}

// Operations but copies, carries and arithmetic make (x & kept) ^ word of x. The kept
// bits; `keep`: those of the row.
template <typename Number>
constexpr Number KeptBits(Number operation, Number keep) {
  const auto is = [&](Operation one) { return Eq(operation, Literal(operation, one)); };
  const Number every = Literal(keep, -1), none = Literal(keep, 0);
  return Select(Or(is(kFlip), is(kErrorRate)), every, Select(is(kReplace), keep, none));
}

// The word of an operation that takes none.
template <typename Number>
constexpr Number OwnWord(Number operation) {
  return Literal(operation, 0);
}

// What a function of an operation is for all of them: two bits for each.
template <typename Function>
constexpr int64_t TableOf(Function of) {
  int64_t table = 0;
  for (int i = 0; i < kOperations; ++i) table |= int64_t{of(i)} << 2 * i;
  return table;
}

// Whether there is such an operation, and `given` words are what it takes for `count`
// elements.
template <typename Number>
constexpr auto WordsFit(Number operation, Number count, Number given) {
  const Number zero = Literal(count, 0);
  const auto known =
      And(Le(zero, operation), Lt(operation, Literal(count, kOperations)));
  const Number shift = Select(known, operation + operation, zero);
  const auto entry = [&](int64_t table) {
    return (Literal(count, table) >> shift) & Literal(count, 3);
  };
  const auto alone = Eq(given, entry(TableOf(WordsTaken)));
  const auto each = And(Lt(zero, entry(TableOf(TakesOneForEach))), Eq(given, count));
  return And(known, Or(alone, each));
}

// Which elements a fault is injected into, by their bits: those that with `mask` lie in
// one of the ranges, ends included, as numbers without sign. All zeros: every element.
inline constexpr int kRanges = 4;
template <typename Word>
struct TriggerOf {
  Word mask;
  Word low[kRanges];
  Word high[kRanges];
};

// The XLA twin is in cc/ops/xla.h.
constexpr bool AtMost(uint64_t a, uint64_t b) { return a <= b; }

template <typename Word>
constexpr auto Triggers(const TriggerOf<Word>& trigger, Word x) {
  const Word seen = x & trigger.mask;
  const auto lies_in = [&](int i) {
    return And(AtMost(trigger.low[i], seen), AtMost(seen, trigger.high[i]));
  };
  auto found = lies_in(0);
  for (int i = 1; i < kRanges; ++i) found = Or(found, lies_in(i));
  return found;
}

// A fault is a row of int64 numbers. A program carries `faults` [rows, kFaultFields]
// and `words` [rows, capacity] as run-time operands. A row names its site; every other
// site ignores it.
enum FaultField : int {
  kSite = 0,       // Id of the site; -1: no fault.
  kReplica = 1,    // The replica; -1: every replica.
  kOperation = 2,  // One of Operation.
  kStart = 3,      // The elements: cc/lib/elements.h.
  kCount = 4,
  kBlock = 5,
  kStride = 6,
  kKeep = 7,   // Bits that are kept (replace) or may flip (error_rate); else 0.
  kGiven = 8,  // How many words the row has.
  // Which results of the operation the error of a faulty operand reaches: the layer's
  // concern (python/tpufi/layers/reach.py), not the op's.
  kReachStart = 9,    // Flat index of the first result.
  kReachCount = 10,   // Number of results; 0: all of them.
  kReachStride = 11,  // Distance of the results.
  kTriggerMask = 12,  // TriggerOf: the mask, then both ends of each range.
  kTriggerRanges = 13,
  kFaultFields = kTriggerRanges + 2 * kRanges,
};

inline constexpr const char* kFaultFieldNames[kFaultFields] = {
    "site",        "replica",      "operation",    "start",  "count",
    "block",       "stride",       "keep",         "words",  "reach_start",
    "reach_count", "reach_stride", "trigger_mask", "low_0",  "high_0",
    "low_1",       "high_1",       "low_2",        "high_2", "low_3",
    "high_3"};

// The trigger of a fault. `word`: makes a word of the number of its field.
template <typename Function>
constexpr auto TriggerOfFields(Function word) {
  TriggerOf<decltype(word(0))> trigger = {word(kTriggerMask), {}, {}};
  for (int i = 0; i < kRanges; ++i) {
    trigger.low[i] = word(kTriggerRanges + 2 * i);
    trigger.high[i] = word(kTriggerRanges + 2 * i + 1);
  }
  return trigger;
}

// A record is additive: sites without a fault contribute zeros, so the sum over all
// sites is the record of the faulty one. Where it flows through a gradient it is of
// float32: 64-bit numbers travel as four of them, each holding 16 bits exactly.
inline constexpr int kQuarters = 4;

constexpr float Quarter(uint64_t value, int quarter) {
  return static_cast<float>((value >> (16 * quarter)) & 0xffffu);
}

// Counter of the draw for bits 2 * pair and 2 * pair + 1 of an element, 0 <= pair < 32.
template <typename Word>
constexpr WordPair<Word> ErrorCounter(WordPair<Word> index, Word pair) {
  return {(index.lo << Literal(pair, 5)) | pair,
          (index.hi << Literal(pair, 5)) | (index.lo >> Literal(pair, 27))};
}

// Whether the two bits of a draw flip (0 or 1 each), each with probability threshold /
// 2^32, threshold <= 2^32.
template <typename Word>
constexpr WordPair<Word> ErrorBits(WordPair<Word> draw, WordPair<Word> threshold) {
  return {LessThan(draw.lo, threshold.lo) | threshold.hi,
          LessThan(draw.hi, threshold.lo) | threshold.hi};
}

// What arithmetic writes for any NaN, so that all devices write the same bits:
// positive, quiet, without payload.
constexpr uint64_t CanonicalNaN(ElementFormat format) {
  if (!format.has_infinity) return format.mask() >> 1;
  return format.exponent_mask() | (uint64_t{1} << (format.mantissa_bits - 1));
}

}  // namespace tpufi

#endif  // TPUFI_CC_LIB_OPERATION_H_
