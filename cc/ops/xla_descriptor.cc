// SPDX-License-Identifier: Apache-2.0
#include "cc/ops/xla_descriptor.h"

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
  return xla::And(valid, xla::Or(Repeats(row), fits));
}

XlaOp XlaDescriptor::Repeats(int64_t row) const {
  const WordPair<XlaOp> repeat = Field(row, kRepeat);
  return xla::Ne(repeat.lo | repeat.hi, xla::ScalarLike(repeat.lo, 0));
}

}  // namespace tpufi
