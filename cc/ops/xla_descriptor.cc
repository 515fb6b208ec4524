// SPDX-License-Identifier: Apache-2.0
#include "cc/ops/xla_descriptor.h"

#include <vector>

#include "cc/lib/value_rule.h"

namespace tpufi {

using xla::PrimitiveType;
using xla::XlaOp;

WordPair<XlaOp> Halves(XlaOp numbers) {
  const XlaOp bits = xla::BitcastConvertType(numbers, xla::U64);
  const XlaOp low = bits & xla::ScalarLike(bits, 0xffffffff);
  return {xla::ConvertElementType(low, xla::U32),
          xla::ConvertElementType(bits >> xla::ScalarLike(bits, 32), xla::U32)};
}

XlaOp Whole(WordPair<XlaOp> halves) {
  const XlaOp hi = xla::ConvertElementType(halves.hi, xla::U64);
  return (hi << xla::ScalarLike(hi, 32)) | xla::ConvertElementType(halves.lo, xla::U64);
}

WordPair<XlaOp> XlaDescriptor::Field(int64_t row, FaultField field) const {
  const auto pick = [&](XlaOp x) {
    return xla::Reshape(xla::Slice(x, {row, field}, {row + 1, field + 1}, {1, 1}), {});
  };
  return {pick(faults_.lo), pick(faults_.hi)};
}

XlaOp XlaDescriptor::FieldAs(int64_t row, FaultField field, PrimitiveType type) const {
  const WordPair<XlaOp> halves = Field(row, field);
  return type == xla::U32 ? halves.lo : Whole(halves);
}

XlaOp XlaDescriptor::WordsAs(int64_t row, PrimitiveType type) const {
  const auto pick = [&](XlaOp x) {
    return xla::Reshape(xla::SliceInDim(x, row, row + 1, 1, 0), {capacity_});
  };
  if (type == xla::U32) return pick(words_.lo);
  return Whole({pick(words_.lo), pick(words_.hi)});
}

XlaOp XlaDescriptor::Names(int64_t row, int64_t site, WordPair<XlaOp> replica) const {
  const auto equal = [](WordPair<XlaOp> a, WordPair<XlaOp> b) {
    return xla::And(xla::Eq(a.lo, b.lo), xla::Eq(a.hi, b.hi));
  };
  const auto number = [](XlaOp like, int64_t value) -> WordPair<XlaOp> {
    const uint64_t bits = static_cast<uint64_t>(value);
    return {xla::ScalarLike(like, bits & 0xffffffff),
            xla::ScalarLike(like, bits >> 32)};
  };
  const WordPair<XlaOp> target = Field(row, kReplica);
  const WordPair<XlaOp> named = Field(row, kSite);
  return xla::And(
      equal(named, number(named.lo, site)),
      xla::Or(equal(target, number(target.lo, -1)), equal(target, replica)));
}

XlaOp XlaDescriptor::IsValid(int64_t row, int64_t size,
                             PrimitiveType index_type) const {
  const WordPair<XlaOp> start_halves = Field(row, kStart);
  const WordPair<XlaOp> count_halves = Field(row, kCount);
  const XlaOp start = FieldAs(row, kStart, index_type);
  const XlaOp count = FieldAs(row, kCount, index_type);
  const XlaOp bound = xla::ScalarLike(count, size);
  // Unsigned, so a negative number is a huge one; start + count cannot overflow.
  XlaOp valid = xla::And(xla::Le(count, bound), xla::Le(start, bound - count));
  if (index_type == xla::U32) {
    const XlaOp upper = start_halves.hi | count_halves.hi;
    valid = xla::And(valid, xla::Eq(upper, xla::ScalarLike(upper, 0)));
  }
  const XlaOp fits = xla::Le(count, xla::ScalarLike(count, capacity_));
  valid = xla::And(valid, xla::Or(Repeats(row), fits));
  // All but unconfined given bits for consecutive elements needs the other lowering.
  const WordPair<XlaOp> rule = Field(row, kRule);
  const WordPair<XlaOp> block = Field(row, kBlock);
  const WordPair<XlaOp> reach = Field(row, kReachCount);
  const XlaOp zero = block.lo | block.hi | rule.hi | reach.lo | reach.hi;
  return xla::And(valid,
                  xla::And(xla::Le(rule.lo, xla::ScalarLike(rule.lo, int64_t{kRepeat})),
                           xla::Eq(zero, xla::ScalarLike(zero, 0))));
}

XlaOp XlaDescriptor::Repeats(int64_t row) const {
  const WordPair<XlaOp> rule = Field(row, kRule);
  return xla::Eq(rule.lo, xla::ScalarLike(rule.lo, int64_t{kRepeat}));
}

XlaOp XlaDescriptor::FaultRow(int64_t row) const {
  return xla::Reshape(xla::SliceInDim(whole_faults_, row, row + 1, 1, 0),
                      {kFaultFields});
}

XlaOp XlaDescriptor::WordRow(int64_t row) const {
  return xla::Reshape(xla::SliceInDim(whole_words_, row, row + 1, 1, 0), {capacity_});
}

namespace {

// Halves of n 64-bit numbers as [n, 4] float32 quarters.
XlaOp Quarters(WordPair<XlaOp> halves, int64_t n) {
  std::vector<XlaOp> quarters;
  for (const XlaOp half : {halves.lo, halves.hi}) {
    for (const XlaOp quarter :
         {half & xla::ScalarLike(half, 0xffff), half >> xla::ScalarLike(half, 16)}) {
      quarters.push_back(
          xla::Reshape(xla::ConvertElementType(quarter, xla::F32), {n, 1}));
    }
  }
  return xla::ConcatInDim(halves.lo.builder(), quarters, 1);
}

}  // namespace

XlaOp Record(XlaOp count, PrimitiveType count_type, XlaOp golden,
             PrimitiveType golden_type, int64_t capacity) {
  const XlaOp number = xla::Reshape(count, {1});
  const XlaOp record =
      xla::ConcatInDim(count.builder(),
                       {Quarters(UnsignedHalves(number, count_type), 1),
                        Quarters(UnsignedHalves(golden, golden_type), capacity)},
                       0);
  return xla::Reshape(record, {1, capacity + 1, kQuarters});
}

}  // namespace tpufi
