// SPDX-License-Identifier: Apache-2.0
#include "cc/ops/prepare_xla.h"

#include "xla/hlo/builder/lib/arithmetic.h"

namespace tpufi {
namespace {

using xla::XlaBuilder;
using xla::XlaOp;

XlaOp Number(XlaOp like, int64_t value) { return xla::ScalarLike(like, value); }

// Bits of 64 that flip at an error rate, U64 [n]; those beyond the width of an element
// are not kept. Twin of ErrorPattern.
XlaOp Errors(WordPair<XlaOp> key, WordPair<XlaOp> index, WordPair<XlaOp> rate,
             int64_t n) {
  XlaBuilder* builder = key.lo.builder();
  const std::vector<int64_t> dims = {32, n};
  const XlaOp pair = xla::Iota(builder, xla::ShapeUtil::MakeShape(xla::U32, dims), 0);
  const auto spread = [&](XlaOp x) { return xla::BroadcastInDim(x, dims, {1}); };
  const WordPair<XlaOp> bits = ErrorBits(
      Threefry2x32(key,
                   ErrorCounter<XlaOp>({spread(index.lo), spread(index.hi)}, pair)),
      rate);
  const XlaOp both = xla::ConvertElementType(
      bits.lo | (bits.hi << xla::ScalarLike(bits.hi, 1)), xla::U64);
  const XlaOp shift =
      xla::ConvertElementType(pair << xla::ScalarLike(pair, 1), xla::U64);
  return xla::Reduce(both << shift, xla::Zero(builder, xla::U64),
                     xla::CreateScalarAddComputation(xla::U64, builder), {0});
}

// The largest of the first `given` words, U64 [n], as S64; kNowhere if it has more than
// 63 bits.
XlaOp LargestWord(XlaOp words, XlaOp given) {
  XlaBuilder* builder = words.builder();
  const int64_t n = builder->GetShape(words)->dimensions(0);
  const XlaOp number =
      xla::ConvertElementType(xla::Iota(builder, xla::S32, n), xla::S64);
  const XlaOp used =
      xla::Select(xla::Lt(number, given), words, xla::ScalarLike(words, 0));
  const XlaOp bounded = xla::Min(used, xla::ScalarLike(used, kNowhere));
  return xla::ConvertElementType(
      xla::ReduceAll(bounded, xla::Zero(builder, xla::U64),
                     xla::CreateScalarMaxComputation(xla::U64, builder)),
      xla::S64);
}

XlaOp Word(XlaOp words, int64_t i) {
  const int64_t n = words.builder()->GetShape(words)->dimensions(0);
  return i < n ? xla::Reshape(xla::SliceInDim(words, i, i + 1, 1, 0), {})
               : xla::Zero(words.builder(), xla::U64);
}

}  // namespace

XlaOp Gathered(XlaOp vector, XlaOp places) {
  XlaBuilder* builder = vector.builder();
  const xla::Shape shape = builder->GetShape(places).value();
  xla::GatherDimensionNumbers dims;
  dims.add_collapsed_slice_dims(0);
  dims.add_start_index_map(0);
  dims.set_index_vector_dim(1);
  const xla::PrimitiveType index =
      shape.element_type() == xla::U32 ? xla::S32 : xla::S64;
  const XlaOp numbers = xla::ConvertElementType(places, index);
  return xla::Gather(vector, xla::Reshape(numbers, {shape.dimensions(0), 1}), dims,
                     {1});
}

TriggerOf<XlaOp> TriggerOfPrepared(XlaOp prepared, xla::PrimitiveType word) {
  const auto half = [&](int field) {
    return xla::Reshape(xla::SliceInDim(prepared, field, field + 1, 1, 0), {});
  };
  return TriggerOfFields([&](int field) {
    const int first = kTriggerHalves + 2 * (field - kTriggerMask);
    const WordPair<XlaOp> halves = {half(first), half(first + 1)};
    return xla::ConvertElementType(word == xla::U64 ? Whole(halves) : halves.lo, word);
  });
}

XlaFault::XlaFault(XlaOp row, XlaOp words) : words(words) {
  for (int i = 0; i < kFaultFields; ++i) {
    field.push_back(xla::Reshape(xla::SliceInDim(row, i, i + 1, 1, 0), {}));
  }
}

XlaFault::XlaFault(const std::vector<XlaOp>& carried)
    : field(carried.begin(), carried.begin() + kFaultFields),
      words(carried[kFaultFields]) {}

std::vector<XlaOp> XlaFault::Carried() const {
  std::vector<XlaOp> carried = field;
  carried.push_back(words);
  return carried;
}

XlaOp XlaFault::Is(Operation one) const {
  return xla::Eq(field[kOperation], Number(field[kOperation], one));
}

XlaOp XlaFault::IsConfined() const {
  return xla::Ne(field[kReachCount], Number(field[kReachCount], 0));
}

XlaOp XlaFault::IsValid(XlaOp size) const {
  const int64_t most = words.builder()->GetShape(words)->dimensions(0);
  const XlaOp given = field[kGiven];
  const XlaOp source =
      xla::Select(Is(kCopy), LargestWord(words, given), Number(given, 0));
  const XlaOp fit = xla::And(WordsFit(field[kOperation], field[kCount], given),
                             xla::Le(given, Number(given, most)));
  return xla::And(fit, xla::Lt(xla::Max(LastIndex(elements()), source), size));
}

XlaNotes XlaFault::Notes(int64_t noted, xla::PrimitiveType type) const {
  XlaBuilder* builder = words.builder();
  const XlaOp slot = xla::Iota(builder, type, 1 + noted);
  const XlaOp number =
      xla::Max(slot, xla::ScalarLike(slot, 1)) - xla::ScalarLike(slot, 1);
  const auto as_index = [&](XlaOp x) { return xla::ConvertElementType(x, type); };
  const ElementsOf<XlaOp> e = WithBlock(elements());
  const ElementsOf<XlaOp> narrow = {as_index(e.start), as_index(e.count),
                                    as_index(e.block), as_index(e.stride)};
  const XlaOp first = xla::Eq(slot, xla::ZerosLike(slot));
  const XlaOp golden = xla::And(xla::Not(first), xla::Lt(number, narrow.count));
  const XlaOp zero = xla::ConvertElementType(xla::ZerosLike(slot), xla::U32);
  const XlaOp ones = ~zero;
  const WordPair<XlaOp> count = Halves(field[kCount]);
  return {Position(narrow, number), xla::Select(golden, ones, zero),
          xla::Select(first, xla::Broadcast(count.lo, {1 + noted}), zero),
          xla::Select(first, xla::Broadcast(count.hi, {1 + noted}), zero)};
}

XlaPlanes XlaFault::Planes(XlaOp index, XlaOp size,
                           const std::vector<ElementFormat>& formats, XlaOp kind,
                           OperationSet operations) const {
  XlaBuilder* builder = index.builder();
  const xla::PrimitiveType type = builder->GetShape(index)->element_type();
  const auto as_index = [&](XlaOp x) { return xla::ConvertElementType(x, type); };
  const ElementsOf<XlaOp> e = WithBlock(elements());
  const XlaOp start = as_index(e.start), stride = as_index(e.stride),
              block = as_index(e.block), count = as_index(e.count);
  const XlaOp ahead = index - start, number_of_block = ahead / stride;
  const XlaOp within = ahead - number_of_block * stride;
  const XlaOp number = number_of_block * block + within;
  const XlaOp changes = xla::And(
      xla::Ge(index, start), xla::And(xla::Lt(within, block), xla::Lt(number, count)));

  const int64_t given = builder->GetShape(words)->dimensions(0);
  XlaOp word = xla::Broadcast(Word(words, 0), builder->GetShape(index)->dimensions());
  if (given > 1) {
    const XlaOp last = xla::Max(field[kGiven], Number(size, 1)) - Number(size, 1);
    const XlaOp bounded = xla::Min(number, as_index(last));
    word = Gathered(words, bounded);
  }
  const XlaOp own = xla::BitcastConvertType(OwnWord(field[kOperation]), xla::U64);
  word = xla::Select(Lt(field[kGiven], Number(field[kGiven], 1)),
                     xla::Broadcast(own, builder->GetShape(index)->dimensions()), word);
  if (operations & kDrawing) {
    const XlaOp draws = xla::Or(xla::Or(Is(kRandom), Is(kRandomBits)),
                                xla::Or(Is(kErrorRate), Is(kCopyRandom)));
    word = xla::Select(draws, DrawnWords(index, size, formats, kind, operations), word);
  }
  const WordPair<XlaOp> halves = Halves(word);
  return {changes, halves.lo, halves.hi};
}

// What the operation draws for elements, U64 [n].
XlaOp XlaFault::DrawnWords(XlaOp index, XlaOp size,
                           const std::vector<ElementFormat>& formats, XlaOp kind,
                           OperationSet operations) const {
  const xla::Shape shape = index.builder()->GetShape(index).value();
  const WordPair<XlaOp> halves = HalvesOf(shape.element_type(), index);
  const WordPair<XlaOp> key = Halves(Word(words, 0));
  const WordPair<XlaOp> random = RandomWords(key, halves, 0);
  const XlaOp bit = xla::ConvertElementType(Is(kRandom), xla::U32);
  const XlaOp finite = xla::ZerosLike(bit) - bit;
  XlaOp drawn;
  for (size_t i = 0; i < formats.size(); ++i) {
    const XlaOp pattern =
        formats[i].bits == 64
            ? Whole(RandomPattern64(formats[i], random, RandomWords(key, halves, 1),
                                    finite))
            : xla::ConvertElementType(RandomPattern32(formats[i], random, finite),
                                      xla::U64);
    drawn =
        i == 0 ? pattern : xla::Select(xla::Eq(kind, Number(kind, i)), pattern, drawn);
  }
  if (operations & kCopying) {
    const XlaOp most =
        xla::BitcastConvertType(xla::Max(size, Number(size, 1)), xla::U64);
    drawn = xla::Select(Is(kCopyRandom), xla::Rem(Whole(random), most), drawn);
  }
  if (operations & SetOf({kErrorRate})) {
    const XlaOp keep = xla::BitcastConvertType(field[kKeep], xla::U64);
    const XlaOp errors =
        Errors(key, halves, Halves(Word(words, 1)), shape.dimensions(0));
    drawn = xla::Select(Is(kErrorRate), errors & keep, drawn);
  }
  return drawn;
}

XlaOp XlaFault::Prepared(XlaOp valid) const {
  const XlaOp none = Number(field[kSite], kNoSite);
  const XlaOp site = xla::Select(valid, field[kSite], none);
  const auto flag = [](XlaOp test) { return xla::ConvertElementType(test, xla::S64); };
  const WordPair<XlaOp> kept = Halves(KeptBits(field[kOperation], field[kKeep]));
  const auto low = [](XlaOp number) { return Halves(number).lo; };

  std::vector<XlaOp> row(kPreparedFields);
  row[kNamedSite] = low(site);
  row[kUnconfinedSite] = low(xla::Select(IsConfined(), none, site));
  row[kCalculatesNow] = low(flag(xla::Or(Is(kAdd), Is(kMultiply))));
  row[kAddsNow] = low(flag(Is(kAdd)));
  row[kCarriesNow] = low(flag(Is(kCarry)));
  row[kKeptLow] = kept.lo;
  row[kKeptHigh] = kept.hi;
  for (int i = 0; i < 1 + 2 * kRanges; ++i) {
    const WordPair<XlaOp> halves = Halves(field[kTriggerMask + i]);
    row[kTriggerHalves + 2 * i] = halves.lo;
    row[kTriggerHalves + 2 * i + 1] = halves.hi;
  }
  for (XlaOp& number : row) number = xla::Reshape(number, {1});
  return xla::ConcatInDim(valid.builder(), row, 0);
}

}  // namespace tpufi
