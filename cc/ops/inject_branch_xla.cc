// SPDX-License-Identifier: Apache-2.0
// The XLA twin of inject_fault_cpu.h. It computes what every element would become and
// selects the struck ones: slow, but only the struck site of an armed program pays.
#include "cc/ops/inject_branch_xla.h"

#include "cc/lib/fault_row.h"
#include "cc/lib/value_rule.h"
#include "cc/ops/xla_descriptor.h"
#include "cc/ops/xla_words.h"

namespace tpufi {
namespace {

using xla::PrimitiveType;
using xla::XlaOp;

XlaOp Scalar(XlaOp vector, int64_t i) {
  return xla::Reshape(xla::SliceInDim(vector, i, i + 1, 1, 0), {});
}

XlaOp AtLeastOne(XlaOp x) { return xla::Max(x, xla::ScalarLike(x, 1)); }

XlaOp All(std::initializer_list<XlaOp> conditions) {
  XlaOp all = *conditions.begin();
  for (const XlaOp condition : conditions) all = xla::And(all, condition);
  return all;
}

// vector[indices], elementwise; indices of rank `rank` are inside.
XlaOp Lookup(XlaOp vector, XlaOp indices, int64_t rank) {
  xla::GatherDimensionNumbers numbers;
  numbers.add_collapsed_slice_dims(0);
  numbers.add_start_index_map(0);
  numbers.set_index_vector_dim(rank);
  return xla::Gather(vector, indices, numbers, {1});
}

// The fields of a row as S64 scalars, and which elements they name: cc/lib/fault_run.h.
struct XlaRun {
  explicit XlaRun(XlaOp fault)
      : start(Scalar(fault, kStart)),
        count(Scalar(fault, kCount)),
        block(Scalar(fault, kBlock)),
        stride(Scalar(fault, kStride)) {
    last_block = xla::Div(count - xla::ScalarLike(count, 1), AtLeastOne(block));
    // One block, given as such or not.
    single = xla::Or(xla::Eq(block, xla::ScalarLike(block, 0)),
                     xla::Le(last_block, xla::ScalarLike(block, 0)));
  }

  // Twin of IsValid(FaultRun).
  XlaOp Valid(int64_t size) const {
    const XlaOp zero = xla::ScalarLike(count, 0);
    const XlaOp bound = xla::ScalarLike(count, size);
    const XlaOp one = xla::ScalarLike(count, 1);
    const XlaOp plain = xla::Or(xla::Eq(block, zero), xla::Eq(count, zero));
    const XlaOp blocks =
        All({xla::Gt(count, zero), xla::Le(count, bound), xla::Gt(block, zero),
             xla::Ge(stride, block), xla::Ge(start, zero), xla::Lt(start, bound),
             xla::Or(xla::Le(last_block, zero),
                     xla::Le(stride, xla::Div(bound, AtLeastOne(last_block)))),
             xla::Lt(last_block * stride + xla::Rem(count - one, AtLeastOne(block)),
                     bound - start)});
    return xla::Select(plain, IsValid(start, count, size), blocks);
  }

  // Distance and length of blocks in the type of indices. A single block has the
  // length `count`, which fits; a given one might not.
  XlaOp Stride(PrimitiveType type) const {
    return xla::ConvertElementType(AtLeastOne(xla::Select(single, count, stride)),
                                   type);
  }
  XlaOp Block(PrimitiveType type) const {
    return xla::ConvertElementType(AtLeastOne(xla::Select(single, count, block)), type);
  }

  XlaOp start, count, block, stride, last_block, single;
};

// Whether the rule exists and the row has the words it needs. Twin of WordsNeeded.
XlaOp RuleIsValid(XlaOp rule, XlaOp count, XlaOp words, int64_t capacity,
                  int64_t size) {
  const auto is = [&](int64_t value) {
    return xla::Eq(rule, xla::ScalarLike(rule, value));
  };
  const XlaOp each =
      xla::Or(xla::Or(is(kWords), is(kCopy)), xla::Or(is(kAdd), is(kMultiply)));
  const XlaOp one = xla::ScalarLike(count, 1);
  const XlaOp needed = xla::Select(
      each, count, xla::Select(is(kErrorRate), xla::ScalarLike(count, 2), one));
  const XlaOp known =
      xla::And(xla::Ge(rule, xla::ScalarLike(rule, 0)),
               xla::Lt(rule, xla::ScalarLike(rule, int64_t{kFaultRules})));
  const XlaOp number =
      xla::ConvertElementType(xla::Iota(rule.builder(), xla::S32, capacity), xla::S64);
  const XlaOp outside = xla::And(xla::Lt(number, xla::Broadcast(count, {capacity})),
                                 xla::Ge(words, xla::ScalarLike(words, size)));
  const XlaOp sources = xla::Not(
      xla::ReduceAll(outside, xla::ConstantR0<bool>(rule.builder(), false),
                     xla::CreateScalarOrComputation(xla::PRED, rule.builder())));
  return All({known, xla::Le(needed, xla::ScalarLike(count, capacity)),
              xla::Or(xla::Not(is(kCopy)), sources)});
}

// Bits that flip at an error rate, of the type `wide`; `pairs` is how many pairs of
// bits to draw, 0 if the rule is another one.
XlaOp Errors(WordPair<XlaOp> key, WordPair<XlaOp> index, WordPair<XlaOp> threshold,
             XlaOp pairs, PrimitiveType wide, const std::vector<int64_t>& dims) {
  xla::XlaBuilder* builder = pairs.builder();
  const xla::Shape word = xla::ShapeUtil::MakeShape(xla::U32, {});
  const xla::Shape tensor = xla::ShapeUtil::MakeShape(xla::U32, dims);
  const xla::Shape errors = xla::ShapeUtil::MakeShape(wide, dims);
  const xla::Shape state = xla::ShapeUtil::MakeTupleShape(
      {word, word, errors, word, word, tensor, tensor, word, word});
  const auto at = [](XlaOp tuple, int64_t i) { return xla::GetTupleElement(tuple, i); };

  auto test = builder->CreateSubBuilder("more_pairs");
  XlaOp now = xla::Parameter(test.get(), 0, state, "state");
  xla::Lt(at(now, 0), at(now, 1));

  auto body = builder->CreateSubBuilder("error_bits");
  now = xla::Parameter(body.get(), 0, state, "state");
  const XlaOp pair = at(now, 0);
  const WordPair<XlaOp> bits =
      ErrorBits<XlaOp>({at(now, 3), at(now, 4)}, {at(now, 5), at(now, 6)}, pair,
                       {at(now, 7), at(now, 8)});
  const XlaOp both =
      xla::ConvertElementType(bits.lo | (bits.hi << xla::ScalarLike(bits.hi, 1)), wide);
  const XlaOp shift = xla::ConvertElementType(pair << xla::ScalarLike(pair, 1), wide);
  xla::Tuple(body.get(),
             {pair + xla::ScalarLike(pair, 1), at(now, 1), at(now, 2) | (both << shift),
              at(now, 3), at(now, 4), at(now, 5), at(now, 6), at(now, 7), at(now, 8)});

  const XlaOp nothing = xla::Broadcast(xla::Zero(builder, wide), dims);
  const XlaOp first =
      xla::Tuple(builder, {xla::Zero(builder, xla::U32), pairs, nothing, key.lo, key.hi,
                           index.lo, index.hi, threshold.lo, threshold.hi});
  return at(xla::While(test->Build().value(), body->Build().value(), first), 2);
}

// x + w and x * w as numbers of `type`. Twin of cc/ops/element_arithmetic.h.
XlaOp Arithmetic(ElementFormat format, PrimitiveType type, XlaOp rule, XlaOp x,
                 XlaOp w) {
  const XlaOp adds = xla::Eq(rule, xla::ScalarLike(rule, int64_t{kAdd}));
  if (!format.is_float()) return xla::Select(adds, x + w, x * w);
  const XlaOp a = xla::BitcastConvertType(x, type);
  const XlaOp b = xla::BitcastConvertType(w, type);
  const XlaOp result = xla::Select(adds, a + b, a * b);
  return xla::Select(xla::Ne(result, result), xla::ScalarLike(x, CanonicalNaN(format)),
                     xla::BitcastConvertType(result, WordType(format)));
}

}  // namespace

StrikeBranch::StrikeBranch(xla::XlaBuilder* builder, ElementFormat format,
                           PrimitiveType type, const View& view,
                           const std::vector<int64_t>& dims, int64_t capacity,
                           bool confines) {
  const int64_t rank = dims.size();
  const int64_t size =
      xla::ShapeUtil::ElementsIn(xla::ShapeUtil::MakeShape(type, dims));
  const PrimitiveType word_type = WordType(format);
  const PrimitiveType wide = format.bits <= 32 ? xla::U32 : xla::U64;
  const PrimitiveType index_type = IndexType(size);
  const xla::Shape operands = xla::ShapeUtil::MakeTupleShape(
      {xla::ShapeUtil::MakeShape(word_type, dims),
       xla::ShapeUtil::MakeShape(xla::S64, {kFaultFields}),
       xla::ShapeUtil::MakeShape(xla::U64, {capacity})});

  auto spared = builder->CreateSubBuilder("spared");
  xla::Tuple(spared.get(),
             {xla::GetTupleElement(xla::Parameter(spared.get(), 0, operands, "row"), 0),
              xla::Broadcast(xla::Zero(spared.get(), xla::F32),
                             {1, capacity + 1, kQuarters})});
  spared_ = spared->Build().value();

  auto struck = builder->CreateSubBuilder("struck");
  xla::XlaBuilder* b = struck.get();
  const XlaOp row = xla::Parameter(b, 0, operands, "row");
  const XlaOp bits = xla::GetTupleElement(row, 0);
  const XlaOp fault = xla::GetTupleElement(row, 1);
  const XlaOp words = xla::GetTupleElement(row, 2);
  const XlaRun run(fault);
  const XlaOp rule = Scalar(fault, kRule);
  const auto is = [&](int64_t value) {
    return xla::Eq(rule, xla::ScalarLike(rule, value));
  };
  const XlaOp reach = Scalar(fault, kReachCount);
  const XlaOp heeded =
      xla::Or(xla::Eq(reach, xla::ScalarLike(reach, 0)), xla::ConstantR0(b, confines));
  const XlaOp valid = All(
      {run.Valid(size), RuleIsValid(rule, run.count, words, capacity, size), heeded});

  // Which elements are struck, and the number of each in the fault.
  const XlaOp indices = FlatIndices(b, index_type, dims, view);
  const XlaOp start = xla::ConvertElementType(run.start, index_type);
  const XlaOp count = xla::ConvertElementType(
      xla::Select(valid, run.count, xla::ScalarLike(run.count, 0)), index_type);
  const XlaOp block = run.Block(index_type);
  const XlaOp offset = indices - start;
  const XlaOp blocks = xla::Div(offset, run.Stride(index_type));
  const XlaOp within = offset - blocks * run.Stride(index_type);
  const XlaOp number = blocks * block + within;
  const XlaOp hit =
      All({xla::Ge(indices, start), xla::Lt(within, block), xla::Lt(number, count)});

  const XlaOp column = xla::Select(hit, number, xla::ZerosLike(number));
  const XlaOp given =
      Lookup(words, xla::Min(column, xla::ScalarLike(column, capacity - 1)), rank);
  const XlaOp first = Scalar(words, 0);
  const XlaOp second = capacity > 1 ? Scalar(words, 1) : xla::ZerosLike(first);
  const WordPair<XlaOp> key = UnsignedHalves(first, xla::U64);
  const WordPair<XlaOp> index = UnsignedHalves(indices, index_type);
  const auto narrow = [&](XlaOp x) { return xla::ConvertElementType(x, word_type); };

  const XlaOp keep = narrow(Scalar(fault, kKeep));
  const XlaOp word =
      narrow(xla::Select(is(kRepeat), xla::Broadcast(first, dims), given));
  XlaOp fresh = Strike(bits, keep, word);

  const XlaOp random = format.bits == 64 ? Whole(FinitePattern64(format, key, index))
                                         : FinitePattern32(format, key, index);
  fresh = xla::Select(is(kRandom), narrow(random), fresh);

  const XlaOp flat = xla::Reshape(xla::Transpose(bits, view.perm()), {size});
  const XlaOp anywhere = Whole(RandomWords(key, index, 0));
  const XlaOp source = xla::Select(is(kCopy), given,
                                   xla::Rem(anywhere, xla::ScalarLike(anywhere, size)));
  const XlaOp inside = xla::Min(source, xla::ScalarLike(source, size - 1));
  fresh = xla::Select(xla::Or(is(kCopy), is(kCopyRandom)), Lookup(flat, inside, rank),
                      fresh);

  const XlaOp all_pairs = xla::ConstantR0<uint32_t>(b, format.bits / 2);
  const XlaOp pairs = xla::Select(is(kErrorRate), all_pairs, xla::ZerosLike(all_pairs));
  const XlaOp errors =
      Errors(key, index, UnsignedHalves(second, xla::U64), pairs, wide, dims);
  fresh = xla::Select(is(kErrorRate), bits ^ (keep & narrow(errors)), fresh);

  fresh = xla::Select(xla::Or(is(kAdd), is(kMultiply)),
                      Arithmetic(format, type, rule, bits, narrow(given)), fresh);

  // The golden bits of the first elements.
  const XlaOp place =
      xla::ConvertElementType(xla::Iota(b, xla::U32, capacity), index_type);
  const XlaOp position =
      start + xla::Div(place, block) * run.Stride(index_type) + xla::Rem(place, block);
  const XlaOp bounded = xla::Min(position, xla::ScalarLike(position, size - 1));
  const XlaOp golden = xla::ConvertElementType(Lookup(flat, bounded, 1), wide);
  const XlaOp noted = xla::Select(xla::Lt(place, count), golden,
                                  xla::Broadcast(xla::Zero(b, wide), {capacity}));
  xla::Tuple(b, {xla::Select(hit, fresh, bits),
                 Record(count, index_type, noted, wide, capacity)});
  struck_ = struck->Build().value();
}

XlaOp StrikeBranch::Apply(XlaOp strikes, XlaOp bits, XlaOp fault, XlaOp words) const {
  const XlaOp operands = xla::Tuple(bits.builder(), {bits, fault, words});
  return xla::Conditional(strikes, operands, struck_, operands, spared_);
}

}  // namespace tpufi
