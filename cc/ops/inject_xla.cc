// SPDX-License-Identifier: Apache-2.0
#include "cc/ops/inject_xla.h"

#include <string>

#include "xla/hlo/builder/lib/arithmetic.h"

namespace tpufi {
namespace {

using xla::PrimitiveType;
using xla::XlaBuilder;
using xla::XlaOp;

XlaOp Scalar(XlaOp vector, int64_t i) {
  return xla::Reshape(xla::SliceInDim(vector, i, i + 1, 1, 0), {});
}

// x + w or x * w as numbers of the element type, rounded once. Twin of
// element_arithmetic.h.
XlaOp Arithmetic(PrimitiveType type, ElementFormat format, XlaOp adds, XlaOp x,
                 XlaOp w) {
  const auto result = [&](XlaOp a, XlaOp b) { return xla::Select(adds, a + b, a * b); };
  if (!format.is_float()) return result(x, w);
  const PrimitiveType wide = format.bits < 32 ? xla::F32 : type;
  const auto number = [&](XlaOp bits) {
    return xla::ConvertElementType(xla::BitcastConvertType(bits, type), wide);
  };
  const XlaOp bits = xla::BitcastConvertType(
      xla::ConvertElementType(result(number(x), number(w)), type), WordType(format));
  // Rounding to a type without infinity makes NaN as well.
  return xla::Select(xla::Ne(number(bits), number(bits)),
                     xla::ScalarLike(x, CanonicalNaN(format)), bits);
}

// The words of all elements: those of the planes, or what they say is to be copied.
// Only a fault that copies gathers.
XlaOp Words(const XlaSite& site, XlaOp flat, XlaOp low, XlaOp high, XlaOp copies) {
  XlaBuilder* builder = flat.builder();
  const PrimitiveType word = WordType(site.format);
  std::vector<XlaOp> fields = {flat, low};
  if (site.format.bits == 64) fields.push_back(high);
  const XlaOp given = xla::Tuple(builder, fields);
  const xla::Shape shape = builder->GetShape(given).value();
  const auto branch = [&](const std::string& name, bool copied) {
    const auto b = builder->CreateSubBuilder(name);
    const XlaOp all = xla::Parameter(b.get(), 0, shape, "operands");
    const XlaOp x = xla::GetTupleElement(all, 0), lo = xla::GetTupleElement(all, 1);
    const XlaOp own =
        site.format.bits == 64 ? Whole({lo, xla::GetTupleElement(all, 2)}) : lo;
    copied ? Gathered(x, own) : xla::ConvertElementType(own, word);
    return b->Build().value();
  };
  // Without the barrier a compiler gives each user of the words a result of its own.
  return xla::OptimizationBarrier(xla::Conditional(
      copies, given, branch("copied", true), given, branch("given", false)));
}

// A conditional that leaves the first `results` of its fields as they are, or returns
// what takes their place.
template <typename Function>
std::vector<XlaOp> If(XlaOp happens, const std::vector<XlaOp>& fields, int64_t results,
                      Function faulty) {
  XlaBuilder* builder = happens.builder();
  const XlaOp given = xla::Tuple(builder, fields);
  const xla::Shape shape = builder->GetShape(given).value();
  const auto branch = [&](const std::string& name, auto result) {
    const auto b = builder->CreateSubBuilder(name);
    const XlaOp all = xla::Parameter(b.get(), 0, shape, "operands");
    std::vector<XlaOp> own;
    for (size_t i = 0; i < fields.size(); ++i) {
      own.push_back(xla::GetTupleElement(all, i));
    }
    std::vector<XlaOp> outputs = result(own, b.get());
    outputs.resize(results);
    xla::Tuple(b.get(), outputs);
    return b->Build().value();
  };
  const auto golden = [](const std::vector<XlaOp>& same, XlaBuilder*) { return same; };
  const XlaOp result = xla::Conditional(happens, given, branch("faulty", faulty), given,
                                        branch("golden", golden));
  std::vector<XlaOp> outputs;
  for (int64_t i = 0; i < results; ++i) {
    outputs.push_back(xla::GetTupleElement(result, i));
  }
  return outputs;
}

// How many are true, as a number of some type.
XlaOp Count(PrimitiveType type, XlaOp tests) {
  XlaBuilder* builder = tests.builder();
  return xla::ReduceAll(xla::ConvertElementType(tests, type), xla::Zero(builder, type),
                        xla::CreateScalarAddComputation(type, builder));
}

// A vector with another first number.
XlaOp WithFirst(XlaOp vector, XlaOp number) {
  return xla::DynamicUpdateSlice(vector, xla::Reshape(number, {1}),
                                 {xla::Zero(vector.builder(), xla::S32)});
}

XlaInjected NothingYet(XlaOp x, XlaBuilder* builder, int64_t n) {
  const XlaOp nothing = xla::Broadcast(xla::Zero(builder, xla::U32), {n});
  return {x, nothing, nothing};
}

// The tensor as words, in the order of flat indices.
XlaOp Flattened(const XlaSite& site, XlaOp x) {
  // As words: a compiler may change the payload of a NaN that it moves. Without the
  // barrier it lays the tensor out anew for words and for numbers.
  return xla::OptimizationBarrier(xla::Reshape(
      xla::Transpose(xla::BitcastConvertType(x, WordType(site.format)), site.perm),
      {site.size}));
}

// The tensor in its own layout, of the words of `Flattened`.
XlaOp Unflattened(const XlaSite& site, XlaOp bits) {
  std::vector<int64_t> view, back(site.perm.size());
  for (const int64_t axis : site.perm) view.push_back(site.dims[axis]);
  for (size_t i = 0; i < back.size(); ++i) back[site.perm[i]] = i;
  return xla::BitcastConvertType(xla::Transpose(xla::Reshape(bits, view), back),
                                 site.type);
}

// The words that `planes` give.
XlaOp GivenWords(ElementFormat format, const XlaPlanes& planes) {
  return format.bits == 64 ? Whole({planes.low, planes.high})
                           : xla::ConvertElementType(planes.low, WordType(format));
}

// Which of some words the trigger of a prepared row lets change.
XlaOp Triggered(ElementFormat format, XlaOp prepared, XlaOp bits) {
  return Triggers(TriggerOfPrepared(prepared, WordType(format)), bits);
}

// `bits` with `words` applied where `changes` says.
XlaOp Changed(PrimitiveType type, ElementFormat format, OperationSet operations,
              XlaOp prepared, XlaOp bits, XlaOp words, XlaOp changes) {
  const auto field = [&](PreparedField one) { return Scalar(prepared, one); };
  const auto test = [&](PreparedField one) {
    return xla::Ne(field(one), xla::ScalarLike(field(one), 0));
  };
  const XlaOp kept =
      As(format.bits == 64 ? xla::U64 : xla::U32, {field(kKeptLow), field(kKeptHigh)});
  XlaOp fresh = Change(bits, xla::ConvertElementType(kept, WordType(format)), words);
  if (operations & kCalculating) {
    fresh = xla::Select(test(kCalculatesNow),
                        Arithmetic(type, format, test(kAddsNow), bits, words), fresh);
  }
  if (operations & SetOf({kCarry})) {
    const XlaOp sign = xla::ScalarLike(bits, format.sign_mask());
    fresh = xla::Select(test(kCarriesNow), Carried(bits, words, sign), fresh);
  }
  return xla::Select(xla::And(changes, Triggered(format, prepared, bits)), fresh, bits);
}

WordPair<XlaOp> WordHalves(ElementFormat format, XlaOp bits) {
  const PrimitiveType type = format.bits == 64 ? xla::U64 : xla::U32;
  return HalvesOf(type, xla::ConvertElementType(bits, type));
}

}  // namespace

XlaSite::XlaSite(PrimitiveType type, ElementFormat format,
                 const std::vector<int64_t>& dims, const std::vector<int64_t>& perm)
    : type(type), format(format), dims(dims), perm(perm), size(1) {
  for (const int64_t dim : dims) size *= dim;
  if (perm.empty()) {
    for (size_t i = 0; i < dims.size(); ++i) this->perm.push_back(i);
  }
}

XlaSeen InjectXla(PrimitiveType type, ElementFormat format, XlaOp prepared,
                  const XlaPlanes& planes, XlaOp x) {
  // As words: a compiler may change the payload of a NaN that it moves.
  const XlaOp bits = xla::BitcastConvertType(x, WordType(format));
  const XlaOp fresh = Changed(type, format, kAllOperations & ~kCopying, prepared, bits,
                              GivenWords(format, planes), planes.changes);
  return {xla::BitcastConvertType(fresh, type), WordHalves(format, bits)};
}

XlaInjected InjectRawXlaIf(const XlaSite& site, OperationSet operations, XlaOp x,
                           XlaOp row, XlaOp words, int64_t noted, XlaOp happens) {
  const auto faulty = [&](const std::vector<XlaOp>& f,
                          XlaBuilder* b) -> std::vector<XlaOp> {
    const XlaFault fault(f[3], f[4]);
    const XlaOp size = xla::ConstantR0<int64_t>(b, site.size);
    const XlaPlanes planes =
        fault.Planes(xla::Iota(b, site.index(), site.size), size, {site.format},
                     xla::Zero(b, xla::S64), operations);
    const XlaOp bits = Flattened(site, f[0]);
    const XlaOp own = operations & kCopying
                          ? Words(site, bits, planes.low, planes.high, fault.Copies())
                          : GivenWords(site.format, planes);
    const XlaOp valid = fault.IsValid(size);
    const XlaOp prepared = fault.Prepared(xla::ConstantR0<bool>(b, true));
    const XlaOp fresh = Changed(site.type, site.format, operations, prepared, bits, own,
                                xla::And(planes.changes, valid));
    XlaNotes notes = fault.Notes(noted, site.index());
    const WordPair<XlaOp> hit = HalvesOf(
        site.index(),
        Count(site.index(),
              xla::And(planes.changes, Triggered(site.format, prepared, bits))));
    notes.low = WithFirst(notes.low, hit.lo);
    notes.high = WithFirst(notes.high, hit.hi);
    const WordPair<XlaOp> found = WordHalves(site.format, Gathered(bits, notes.places));
    const auto note = [&](XlaOp before, XlaOp half, XlaOp number) {
      const XlaOp sum = (half & notes.mask) + number;
      return before + xla::Select(valid, sum, xla::ZerosLike(sum));
    };
    const bool has_high = site.format.bits == 64 || site.index() == xla::U64;
    return {Unflattened(site, fresh), note(f[1], found.lo, notes.low),
            has_high ? note(f[2], found.hi, notes.high) : f[2]};
  };
  const XlaInjected before = NothingYet(x, happens.builder(), 1 + noted);
  const std::vector<XlaOp> now =
      If(happens, {x, before.low, before.high, row, words}, 3, faulty);
  return {now[0], now[1], now[2]};
}

XlaOp XlaQuarters(WordPair<XlaOp> halves) {
  XlaBuilder* builder = halves.lo.builder();
  const int64_t n = builder->GetShape(halves.lo)->dimensions(0);
  std::vector<XlaOp> quarters;
  for (const XlaOp half : {halves.lo, halves.hi}) {
    quarters.push_back(half & xla::ScalarLike(half, 0xffff));
    quarters.push_back(half >> xla::ScalarLike(half, 16));
  }
  for (XlaOp& one : quarters) {
    one = xla::Reshape(xla::ConvertElementType(one, xla::F32), {1, n});
  }
  return xla::ConcatInDim(builder, quarters, 0);
}

}  // namespace tpufi
