// SPDX-License-Identifier: Apache-2.0
#include "cc/ops/inject_xla.h"

#include <algorithm>
#include <initializer_list>
#include <limits>
#include <utility>

namespace tpufi {
namespace {

using xla::PrimitiveType;
using xla::XlaBuilder;
using xla::XlaOp;

// What a branch is given: its tensor, then what XlaFault computes for all sites. Of
// numbers of 64 bits the low halves, then the high ones.
enum Operand : int {
  kBits,  // The tensor.
  kOperationOf,
  kOneWord,  // Whether all elements have the first word.
  kLastLow,  // The last flat index that the fault needs; kNowhere if it is not valid.
  kStartLow,
  kCountLow,
  kBlockLow,  // At least 1, as is the stride.
  kStrideLow,
  kKeepLow,   // All ones for a flip, 0 for zero.
  kWordsLow,  // [capacity].
  kLastHigh,
  kStartHigh,
  kCountHigh,
  kBlockHigh,
  kStrideHigh,
  kKeepHigh,
  kWordsHigh,
  kOperands,
};
constexpr int kHighOf = kLastHigh - kLastLow;

XlaOp Scalar(XlaOp vector, int64_t i) {
  return xla::Reshape(xla::SliceInDim(vector, i, i + 1, 1, 0), {});
}

// What the tensor of a site is, for all that is built for it.
struct Tensor {
  ElementFormat format;
  PrimitiveType type;
  View view;
  std::vector<int64_t> dims;
  int64_t size;
  int64_t capacity;
  int64_t noted;  // Golden bits of a record.
  bool whole_record;
  OperationSet operations;

  PrimitiveType word_type() const { return WordType(format); }
  PrimitiveType index_type() const { return IndexType(size); }
  // The type in which bits are drawn and recorded.
  PrimitiveType wide_type() const { return format.bits <= 32 ? xla::U32 : xla::U64; }
  bool May(std::initializer_list<Operation> some) const {
    return std::any_of(some.begin(), some.end(),
                       [&](Operation o) { return operations >> o & 1; });
  }
  bool Draws() const { return May({kRandom, kRandomBits, kCopyRandom, kErrorRate}); }
  bool Copies() const { return May({kCopy, kCopyRandom}); }
};

// The element at a place of the tensor; a scalar.
XlaOp Element(XlaOp bits, const std::vector<XlaOp>& place) {
  return xla::Reshape(
      xla::DynamicSlice(bits, place, std::vector<int64_t>(place.size(), 1)), {});
}

std::vector<XlaOp> Place(const Tensor& tensor, XlaOp index) {
  std::vector<XlaOp> place = tensor.view.Coordinates(index);
  const bool narrow = tensor.size <= std::numeric_limits<int32_t>::max();
  for (XlaOp& one : place) {
    one = xla::ConvertElementType(one, narrow ? xla::S32 : xla::S64);
  }
  return place;
}

// What a branch has of its fault.
class Given {
 public:
  // `operand(i)` returns an Operand.
  template <typename Function>
  Given(const Tensor& tensor, Function operand) : index_(tensor.index_type()) {
    for (int i = 0; i < kOperands; ++i) operands_.push_back(operand(i));
  }

  XlaOp operator[](int i) const { return operands_[i]; }
  // Whether the operation is one of some.
  XlaOp Is(std::initializer_list<Operation> some) const {
    const XlaOp number = operands_[kOperationOf];
    XlaOp test;
    for (const Operation one : some) {
      const XlaOp is = xla::Eq(number, xla::ScalarLike(number, int64_t{one}));
      test = test.valid() ? xla::Or(test, is) : is;
    }
    return test;
  }
  WordPair<XlaOp> Pair(int low) const {
    return {operands_[low], operands_[low + kHighOf]};
  }
  XlaOp Index(int low) const { return As(index_, Pair(low)); }
  // Word i of the fault, 0 <= i.
  WordPair<XlaOp> Word(XlaOp i) const {
    const XlaOp place = xla::Select(operands_[kOneWord], xla::ZerosLike(i), i);
    const auto of = [&](XlaOp words) {
      return xla::Reshape(xla::DynamicSlice(words, {place}, {1}), {});
    };
    return {of(operands_[kWordsLow]), of(operands_[kWordsHigh])};
  }
  // The first word, the key of draws, or the second one.
  WordPair<XlaOp> First(int64_t i) const {
    return {Scalar(operands_[kWordsLow], i), Scalar(operands_[kWordsHigh], i)};
  }
  ElementsOf<XlaOp> elements() const {
    return {Index(kStartLow), Index(kCountLow), Index(kBlockLow), Index(kStrideLow)};
  }

 private:
  PrimitiveType index_;
  std::vector<XlaOp> operands_;
};

// x + w and x * w as numbers of `type`, rounded once. Twin of element_arithmetic.h.
XlaOp Arithmetic(const Tensor& tensor, XlaOp adds, XlaOp x, XlaOp w) {
  const auto result = [&](XlaOp a, XlaOp b) { return xla::Select(adds, a + b, a * b); };
  if (!tensor.format.is_float()) return result(x, w);
  const PrimitiveType wide = tensor.format.bits < 32 ? xla::F32 : tensor.type;
  const auto number = [&](XlaOp bits) {
    return xla::ConvertElementType(xla::BitcastConvertType(bits, tensor.type), wide);
  };
  const XlaOp bits = xla::BitcastConvertType(
      xla::ConvertElementType(result(number(x), number(w)), tensor.type),
      tensor.word_type());
  // Rounding to a type without infinity makes NaN as well.
  return xla::Select(xla::Ne(number(bits), number(bits)),
                     xla::ScalarLike(x, CanonicalNaN(tensor.format)), bits);
}

// The bits of an element that flip at an error rate. Twin of ErrorPattern.
XlaOp Errors(const Tensor& tensor, const Given& given, WordPair<XlaOp> index) {
  XlaBuilder* builder = index.lo.builder();
  const PrimitiveType type = tensor.wide_type();
  const XlaOp pair = xla::Iota(builder, xla::U32, tensor.format.bits / 2);
  const WordPair<XlaOp> rate =
      tensor.capacity > 1
          ? given.First(1)
          : WordPair<XlaOp>{xla::ZerosLike(index.lo), xla::ZerosLike(index.lo)};
  const WordPair<XlaOp> bits =
      ErrorBits(Threefry2x32(given.First(0), ErrorCounter<XlaOp>(index, pair)), rate);
  const XlaOp both =
      xla::ConvertElementType(bits.lo | (bits.hi << xla::ScalarLike(bits.hi, 1)), type);
  const XlaOp shift = xla::ConvertElementType(pair << xla::ScalarLike(pair, 1), type);
  return xla::ReduceAll(both << shift, xla::Zero(builder, type),
                        xla::CreateScalarAddComputation(type, builder));
}

// The loop over elements: how many are done, the changed tensor, the golden bits of the
// first ones, then the operands, the golden tensor among them.
enum LoopField : int { kDone, kChanged, kNoted, kOfFault };

xla::XlaComputation MoreElements(XlaBuilder* parent, const xla::Shape& state,
                                 const Tensor& tensor) {
  const auto builder = parent->CreateSubBuilder("more");
  const XlaOp now = xla::Parameter(builder.get(), 0, state, "state");
  const Given given(tensor,
                    [&](int i) { return xla::GetTupleElement(now, kOfFault + i); });
  xla::Lt(xla::GetTupleElement(now, kDone), given.Index(kCountLow));
  return builder->Build().value();
}

xla::XlaComputation OneElement(XlaBuilder* parent, const xla::Shape& state,
                               const Tensor& tensor) {
  const auto builder = parent->CreateSubBuilder("element");
  XlaBuilder* b = builder.get();
  const XlaOp now = xla::Parameter(b, 0, state, "state");
  const Given given(tensor,
                    [&](int i) { return xla::GetTupleElement(now, kOfFault + i); });
  const PrimitiveType index_type = tensor.index_type(), wide = tensor.wide_type();
  const auto narrow = [&](XlaOp x) {
    return xla::ConvertElementType(x, tensor.word_type());
  };

  const XlaOp done = xla::GetTupleElement(now, kDone);
  const XlaOp index = Position(given.elements(), done);
  const WordPair<XlaOp> halves = HalvesOf(index_type, index);
  const std::vector<XlaOp> place = Place(tensor, index);
  const XlaOp x = Element(given[kBits], place);
  const WordPair<XlaOp> own = given.Word(done);
  const XlaOp word = narrow(As(wide, own)),
              keep = narrow(As(wide, given.Pair(kKeepLow)));

  XlaOp fresh = Change(x, keep, word);
  WordPair<XlaOp> drawn;
  if (tensor.Draws()) drawn = RandomWords(given.First(0), halves, 0);
  if (tensor.May({kRandom, kRandomBits})) {
    const XlaOp bit = xla::ConvertElementType(given.Is({kRandom}), xla::U32);
    const XlaOp finite = xla::ZerosLike(bit) - bit;
    const XlaOp random =
        tensor.format.bits == 64
            ? Whole(RandomPattern64(tensor.format, drawn,
                                    RandomWords(given.First(0), halves, 1), finite))
            : RandomPattern32(tensor.format, drawn, finite);
    fresh = xla::Select(given.Is({kRandom, kRandomBits}), narrow(random), fresh);
  }
  if (tensor.Copies()) {
    XlaOp source = As(index_type, own);
    if (tensor.May({kCopyRandom})) {
      const XlaOp anywhere = Whole(drawn);
      const XlaOp random = xla::ConvertElementType(
          xla::Rem(anywhere, xla::ScalarLike(anywhere, tensor.size)), index_type);
      source = xla::Select(given.Is({kCopyRandom}), random, source);
    }
    // Of other operations the word is no place, and what is found there not used.
    fresh = xla::Select(given.Is({kCopy, kCopyRandom}),
                        Element(given[kBits], Place(tensor, source)), fresh);
  }
  if (tensor.May({kErrorRate})) {
    const XlaOp errors = narrow(Errors(tensor, given, halves));
    fresh = xla::Select(given.Is({kErrorRate}), x ^ (keep & errors), fresh);
  }
  if (tensor.May({kAdd, kMultiply})) {
    fresh = xla::Select(given.Is({kAdd, kMultiply}),
                        Arithmetic(tensor, given.Is({kAdd}), x, word), fresh);
  }

  const std::vector<int64_t> one(tensor.dims.size(), 1);
  const XlaOp before = xla::GetTupleElement(now, kNoted);
  const XlaOp bits = xla::Reshape(xla::ConvertElementType(x, wide), {1});
  const XlaOp noted =
      xla::Select(xla::Lt(done, xla::ScalarLike(done, tensor.noted)),
                  xla::DynamicUpdateSlice(before, bits, {done}), before);
  std::vector<XlaOp> next = {
      done + xla::ScalarLike(done, 1),
      xla::DynamicUpdateSlice(xla::GetTupleElement(now, kChanged),
                              xla::Reshape(fresh, one), place),
      noted};
  for (int i = 0; i < kOperands; ++i) next.push_back(given[i]);
  xla::Tuple(b, next);
  return builder->Build().value();
}

// The record of a fault; see XlaInjection::Apply. `noted`: golden bits.
XlaOp Record(const Tensor& tensor, XlaOp count, XlaOp noted) {
  XlaBuilder* builder = count.builder();
  const int64_t numbers = tensor.noted + 1;
  if (tensor.whole_record) {
    const auto whole = [](XlaOp x) { return xla::ConvertElementType(x, xla::S64); };
    const XlaOp all =
        xla::ConcatInDim(builder, {whole(xla::Reshape(count, {1})), whole(noted)}, 0);
    return xla::Reshape(all, {1, numbers});
  }
  const WordPair<XlaOp> counts =
      HalvesOf(tensor.index_type(), xla::Reshape(count, {1}));
  const WordPair<XlaOp> words = HalvesOf(tensor.wide_type(), noted);
  std::vector<XlaOp> quarters;
  for (const XlaOp half : {xla::ConcatInDim(builder, {counts.lo, words.lo}, 0),
                           xla::ConcatInDim(builder, {counts.hi, words.hi}, 0)}) {
    for (const XlaOp quarter :
         {half & xla::ScalarLike(half, 0xffff), half >> xla::ScalarLike(half, 16)}) {
      quarters.push_back(
          xla::Reshape(xla::ConvertElementType(quarter, xla::F32), {1, numbers, 1}));
    }
  }
  return xla::ConcatInDim(builder, quarters, 2);
}

XlaOp NoRecord(XlaBuilder* builder, const Tensor& tensor) {
  const int64_t numbers = tensor.noted + 1;
  if (tensor.whole_record) {
    return xla::Broadcast(xla::Zero(builder, xla::S64), {1, numbers});
  }
  return xla::Broadcast(xla::Zero(builder, xla::F32), {1, numbers, kQuarters});
}

// The largest of the first `given` words, U64 [capacity], as S64; kNowhere if it has
// more than 63 bits.
XlaOp LargestWord(XlaOp words, XlaOp given, int64_t capacity) {
  XlaBuilder* builder = words.builder();
  const XlaOp number =
      xla::ConvertElementType(xla::Iota(builder, xla::S32, capacity), xla::S64);
  const XlaOp used =
      xla::Select(xla::Lt(number, given), words, xla::ScalarLike(words, 0));
  const XlaOp bounded = xla::Min(used, xla::ScalarLike(used, kNowhere));
  return xla::ConvertElementType(
      xla::ReduceAll(bounded, xla::Zero(builder, xla::U64),
                     xla::CreateScalarMaxComputation(xla::U64, builder)),
      xla::S64);
}

}  // namespace

XlaFault::XlaFault(XlaOp row, XlaOp words, int64_t capacity)
    : fields_(Halves(row)), operands_(kOperands) {
  const auto field = [&](FaultField one) { return Scalar(row, one); };
  const XlaOp operation = field(kOperation), given = field(kGiven);
  const ElementsOf<XlaOp> elements = {field(kStart), field(kCount), field(kBlock),
                                      field(kStride)};
  const auto is = [&](Operation one) {
    return xla::Eq(operation, xla::ScalarLike(operation, int64_t{one}));
  };

  // The last index that the fault needs, be it a source; nowhere if words do not fit.
  const XlaOp nowhere = xla::ScalarLike(operation, kNowhere);
  const XlaOp source = xla::Select(is(kCopy), LargestWord(words, given, capacity),
                                   xla::ScalarLike(operation, 0));
  const XlaOp fit = xla::And(WordsFit(operation, elements.count, given),
                             xla::Le(given, xla::ScalarLike(given, capacity)));
  const XlaOp last = xla::Select(fit, xla::Max(LastIndex(elements), source), nowhere);

  const ElementsOf<XlaOp> e = WithBlock(elements);
  const auto number = [](XlaOp like, uint64_t value) {
    return xla::ScalarLike(like, value);
  };
  const XlaOp bits = xla::BitcastConvertType(field(kKeep), xla::U64);
  const XlaOp keep = xla::Select(is(kFlip), number(bits, ~uint64_t{0}),
                                 xla::Select(is(kZero), number(bits, 0), bits));
  const XlaOp own = xla::Select(is(kZero), xla::ZerosLike(words), words);

  const auto put = [&](int low, int high, XlaOp numbers) {
    const WordPair<XlaOp> halves = Halves(numbers);
    operands_[low] = halves.lo;
    operands_[high] = halves.hi;
  };
  operands_[kOperationOf] = xla::ConvertElementType(operation, xla::U32);
  // Zero has no word, and the first is 0 then.
  operands_[kOneWord] = xla::Le(given, xla::ScalarLike(given, 1));
  const std::vector<XlaOp> pairs = {last,     e.start, e.count, e.block,
                                    e.stride, keep,    own};
  for (int i = 0; i < kHighOf; ++i) put(kLastLow + i, kLastHigh + i, pairs[i]);
}

WordPair<XlaOp> XlaFault::Field(FaultField field) const {
  return {Scalar(fields_.lo, field), Scalar(fields_.hi, field)};
}

XlaOp XlaFault::Names(int64_t site, WordPair<XlaOp> replica) const {
  const auto equal = [](WordPair<XlaOp> a, WordPair<XlaOp> b) {
    return xla::And(xla::Eq(a.lo, b.lo), xla::Eq(a.hi, b.hi));
  };
  const auto number = [](XlaOp like, int64_t value) -> WordPair<XlaOp> {
    const uint64_t bits = static_cast<uint64_t>(value);
    return {xla::ScalarLike(like, bits & 0xffffffff),
            xla::ScalarLike(like, bits >> 32)};
  };
  const WordPair<XlaOp> named = Field(kSite), target = Field(kReplica);
  return xla::And(
      equal(named, number(named.lo, site)),
      xla::Or(equal(target, number(target.lo, -1)), equal(target, replica)));
}

XlaOp XlaFault::IsConfined() const {
  const WordPair<XlaOp> reach = Field(kReachCount);
  const XlaOp any = reach.lo | reach.hi;
  return xla::Ne(any, xla::ScalarLike(any, 0));
}

XlaInjection::XlaInjection(XlaBuilder* builder, ElementFormat format,
                           PrimitiveType type, const View& given_view,
                           const std::vector<int64_t>& given_dims, int64_t capacity,
                           int64_t noted, bool whole_record, OperationSet operations) {
  const int64_t size =
      xla::ShapeUtil::ElementsIn(xla::ShapeUtil::MakeShape(type, given_dims));
  // A scalar is a vector of one element.
  const bool scalar = given_dims.empty();
  const std::vector<int64_t> dims = scalar ? std::vector<int64_t>{1} : given_dims;
  const View view = scalar ? View(dims, {}) : given_view;
  const Tensor tensor = {format,   type,  view,         dims,      size,
                         capacity, noted, whole_record, operations};
  const auto shape = [](PrimitiveType of, const std::vector<int64_t>& sizes) {
    return xla::ShapeUtil::MakeShape(of, sizes);
  };
  std::vector<xla::Shape> shapes(kOperands, shape(xla::U32, {}));
  shapes[kBits] = shape(tensor.word_type(), given_dims);
  shapes[kOneWord] = shape(xla::PRED, {});
  shapes[kWordsLow] = shapes[kWordsHigh] = shape(xla::U32, {capacity});
  const xla::Shape operands = xla::ShapeUtil::MakeTupleShape(shapes);

  const auto golden = builder->CreateSubBuilder("golden");
  XlaOp parameter = xla::Parameter(golden.get(), 0, operands, "operands");
  xla::Tuple(golden.get(),
             {xla::GetTupleElement(parameter, kBits), NoRecord(golden.get(), tensor)});
  golden_ = golden->Build().value();

  const auto faulty = builder->CreateSubBuilder("faulty");
  XlaBuilder* b = faulty.get();
  parameter = xla::Parameter(b, 0, operands, "operands");
  std::vector<XlaOp> begin = {
      xla::Zero(b, tensor.index_type()),
      {},
      xla::Broadcast(xla::Zero(b, tensor.wide_type()), {noted})};
  for (int i = 0; i < kOperands; ++i) {
    begin.push_back(xla::GetTupleElement(parameter, i));
  }
  if (scalar) begin[kOfFault + kBits] = xla::Reshape(begin[kOfFault + kBits], dims);
  begin[kChanged] = begin[kOfFault + kBits];

  // Without elements the loop does nothing.
  const XlaOp low = begin[kOfFault + kLastLow], high = begin[kOfFault + kLastHigh];
  XlaOp valid = xla::Lt(
      As(tensor.index_type(), {low, high}),
      xla::ConvertElementType(xla::ConstantR0<uint64_t>(b, size), tensor.index_type()));
  if (tensor.index_type() == xla::U32) {
    valid = xla::And(valid, xla::Eq(high, xla::ScalarLike(high, 0)));
  }
  const XlaOp operation = begin[kOfFault + kOperationOf];
  if (operations != kAllOperations) {
    const XlaOp set = xla::ScalarLike(operation, uint64_t{operations});
    const XlaOp bit = (set >> operation) & xla::ScalarLike(operation, 1);
    valid = xla::And(valid, xla::Ne(bit, xla::ScalarLike(bit, 0)));
  }
  for (const int half : {kCountLow, kCountHigh}) {
    XlaOp& count = begin[kOfFault + half];
    count = xla::Select(valid, count, xla::ScalarLike(count, 0));
  }
  const XlaOp first = xla::Tuple(b, begin);
  const xla::Shape state = b->GetShape(first).value();
  const XlaOp last =
      xla::While(MoreElements(b, state, tensor), OneElement(b, state, tensor), first);
  const Given given(tensor, [&](int i) { return begin[kOfFault + i]; });
  const XlaOp changed = xla::GetTupleElement(last, kChanged);
  xla::Tuple(
      b, {scalar ? xla::Reshape(changed, {}) : changed,
          Record(tensor, given.Index(kCountLow), xla::GetTupleElement(last, kNoted))});
  faulty_ = faulty->Build().value();
}

XlaOp XlaInjection::Apply(XlaOp happens, const XlaFault& fault, XlaOp* bits) const {
  std::vector<XlaOp> given = fault.operands();
  given[kBits] = *bits;
  const XlaOp operands = xla::Tuple(bits->builder(), given);
  const XlaOp result = xla::Conditional(happens, operands, faulty_, operands, golden_);
  *bits = xla::GetTupleElement(result, 0);
  return xla::GetTupleElement(result, 1);
}

}  // namespace tpufi
