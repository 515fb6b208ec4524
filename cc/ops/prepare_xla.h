// SPDX-License-Identifier: Apache-2.0
// What the sites of a compiled program ask of a fault, computed once for all of them.
//
// A program has a thousand sites. Whatever one of them computes is compiled a thousand
// times, so a site only compares its id and selects: which elements change, and the
// word of each, lie in planes, by flat index.
#ifndef TPUFI_CC_OPS_PREPARE_XLA_H_
#define TPUFI_CC_OPS_PREPARE_XLA_H_

#include <cstdint>
#include <initializer_list>
#include <vector>

#include "cc/lib/element.h"
#include "cc/lib/operation.h"
#include "cc/ops/xla.h"

namespace tpufi {

// A set of operations, a bit for each.
using OperationSet = uint32_t;
inline constexpr OperationSet kAllOperations = (1u << kOperations) - 1;

constexpr OperationSet SetOf(std::initializer_list<Operation> some) {
  OperationSet set = 0;
  for (const Operation one : some) set |= 1u << one;
  return set;
}
inline constexpr OperationSet kDrawing =
    SetOf({kRandom, kRandomBits, kErrorRate, kCopyRandom});
inline constexpr OperationSet kCopying = SetOf({kCopy, kCopyRandom});
inline constexpr OperationSet kCalculating = SetOf({kAdd, kMultiply});

// The elements of a vector at `places`, U32 or U64 [n].
xla::XlaOp Gathered(xla::XlaOp vector, xla::XlaOp places);

// The row of a prepared fault, uint32.
enum PreparedField : int {
  kNamedSite,       // kNoSite: there is no fault, or it is void.
  kUnconfinedSite,  // The same, but kNoSite if the fault is confined to some results.
  kCalculatesNow,   // Whether it adds or multiplies,
  kAddsNow,         // and which.
  kCarriesNow,
  kKeptLow,  // x becomes (x & kept) ^ word.
  kKeptHigh,
  kTriggerHalves,  // Low and high half of the mask and of both ends of each range.
  kPreparedFields = kTriggerHalves + 2 * (1 + 2 * kRanges),
};
inline constexpr uint32_t kNoSite = 0xffffffff;

// Which elements change, PRED, and the halves of their words, U32, by flat index.
struct XlaPlanes {
  xla::XlaOp changes, low, high;
};

// The trigger of a prepared row, U32 [kPreparedFields], in words of some type.
TriggerOf<xla::XlaOp> TriggerOfPrepared(xla::XlaOp prepared, xla::PrimitiveType word);

// What a site notes of a fault, [1 + noted] each: what it finds at flat indices,
// `places`, U32 or U64, where `mask`, U32, has ones, added to the halves of a number:
// that of the elements comes first.
struct XlaNotes {
  xla::XlaOp places, mask, low, high;
};

// A fault by the fields of its row, each an S64 scalar, and its words, U64 [n].
struct XlaFault {
  XlaFault(xla::XlaOp row, xla::XlaOp words);  // `row`: S64 [kFaultFields].
  // The same, carried through a loop.
  explicit XlaFault(const std::vector<xla::XlaOp>& carried);
  std::vector<xla::XlaOp> Carried() const;

  ElementsOf<xla::XlaOp> elements() const {
    return {field[kStart], field[kCount], field[kBlock], field[kStride]};
  }
  xla::XlaOp Is(Operation one) const;
  // Whether its words are flat indices to copy from.
  xla::XlaOp Copies() const { return xla::Or(Is(kCopy), Is(kCopyRandom)); }
  xla::XlaOp IsConfined() const;
  // Whether it changes a tensor of `size` elements, S64.
  xla::XlaOp IsValid(xla::XlaOp size) const;
  // Notes of the number of elements and the golden bits of the first. `type`: that of
  // indices.
  XlaNotes Notes(int64_t noted, xla::PrimitiveType type) const;
  // The planes of the elements whose flat indices are `index`, U32 or U64 [n], if the
  // fault is valid. `formats`: the element types there may be; `kind`: S64 scalar,
  // which one it is; `operations`: those that the fault may have.
  XlaPlanes Planes(xla::XlaOp index, xla::XlaOp size,
                   const std::vector<ElementFormat>& formats, xla::XlaOp kind,
                   OperationSet operations) const;
  // The row of the prepared fault; `valid`: PRED scalar.
  xla::XlaOp Prepared(xla::XlaOp valid) const;

  std::vector<xla::XlaOp> field;
  xla::XlaOp words;

 private:
  xla::XlaOp DrawnWords(xla::XlaOp index, xla::XlaOp size,
                        const std::vector<ElementFormat>& formats, xla::XlaOp kind,
                        OperationSet operations) const;
};

}  // namespace tpufi

#endif  // TPUFI_CC_OPS_PREPARE_XLA_H_
