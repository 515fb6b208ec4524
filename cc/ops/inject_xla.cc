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
XlaOp Arithmetic(const XlaSite& site, XlaOp adds, XlaOp x, XlaOp w) {
  const auto result = [&](XlaOp a, XlaOp b) { return xla::Select(adds, a + b, a * b); };
  if (!site.format.is_float()) return result(x, w);
  const PrimitiveType wide = site.format.bits < 32 ? xla::F32 : site.type;
  const auto number = [&](XlaOp bits) {
    return xla::ConvertElementType(xla::BitcastConvertType(bits, site.type), wide);
  };
  const XlaOp bits = xla::BitcastConvertType(
      xla::ConvertElementType(result(number(x), number(w)), site.type),
      WordType(site.format));
  // Rounding to a type without infinity makes NaN as well.
  return xla::Select(xla::Ne(number(bits), number(bits)),
                     xla::ScalarLike(x, CanonicalNaN(site.format)), bits);
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

XlaInjected NothingYet(XlaOp x, XlaBuilder* builder, int64_t n) {
  const XlaOp nothing = xla::Broadcast(xla::Zero(builder, xla::U32), {n});
  return {x, nothing, nothing};
}

XlaInjected Selected(const XlaSite& site, OperationSet operations,
                     const XlaOperands& operands, const XlaInjected& so_far,
                     XlaOp happens) {
  const XlaPlanes& planes = operands.planes;
  const XlaNotes& notes = operands.notes;
  const auto field = [&](PreparedField one) { return Scalar(operands.prepared, one); };
  const auto test = [&](PreparedField one) {
    return xla::Ne(field(one), xla::ScalarLike(field(one), 0));
  };
  const PrimitiveType word = WordType(site.format);
  std::vector<int64_t> view, back(site.perm.size());
  for (const int64_t axis : site.perm) view.push_back(site.dims[axis]);
  for (size_t i = 0; i < back.size(); ++i) back[site.perm[i]] = i;
  // As words: a compiler may change the payload of a NaN that it moves. Without the
  // barrier it lays the tensor out anew for words and for numbers.
  const XlaOp bits = xla::OptimizationBarrier(xla::Reshape(
      xla::Transpose(xla::BitcastConvertType(so_far.y, word), site.perm), {site.size}));

  const auto mine = [&](XlaOp plane) {
    return xla::SliceInDim(plane, 0, site.size, 1, 0);
  };
  const XlaOp low = mine(planes.low);
  const XlaOp high = site.format.bits == 64 ? mine(planes.high) : XlaOp();
  XlaOp words;
  if (operations & kCopying) {
    words = Words(site, bits, low, high, test(kCopiesNow));
  } else {
    words = site.format.bits == 64 ? Whole({low, high})
                                   : xla::ConvertElementType(low, word);
  }
  const XlaOp kept = As(site.format.bits == 64 ? xla::U64 : xla::U32,
                        {field(kKeptLow), field(kKeptHigh)});
  XlaOp fresh = Change(bits, xla::ConvertElementType(kept, word), words);
  if (operations & kCalculating) {
    fresh = xla::Select(test(kCalculatesNow),
                        Arithmetic(site, test(kAddsNow), bits, words), fresh);
  }
  const XlaOp changes = xla::And(mine(planes.changes), happens);
  fresh = xla::Select(changes, fresh, bits);

  const WordPair<XlaOp> found =
      HalvesOf(site.format.bits == 64 ? xla::U64 : xla::U32,
               xla::ConvertElementType(Gathered(bits, notes.places),
                                       site.format.bits == 64 ? xla::U64 : xla::U32));
  const auto noted = [&](XlaOp before, XlaOp half, XlaOp number) {
    const XlaOp own = (half & notes.mask) + number;
    return before + xla::Select(happens, own, xla::ZerosLike(own));
  };
  const bool has_high = site.format.bits == 64 || site.index() == xla::U64;
  return {xla::BitcastConvertType(xla::Transpose(xla::Reshape(fresh, view), back),
                                  site.type),
          noted(so_far.low, found.lo, notes.low),
          has_high ? noted(so_far.high, found.hi, notes.high) : so_far.high};
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

XlaInjected InjectXla(const XlaSite& site, const XlaOperands& operands,
                      const XlaInjected& so_far, XlaOp happens) {
  return Selected(site, kAllOperations, operands, so_far, happens);
}

XlaRecorded InjectXlaIf(const XlaSite& site, const XlaOperands& operands, XlaOp x,
                        XlaOp record, XlaOp happens) {
  const XlaPlanes& planes = operands.planes;
  const XlaNotes& notes = operands.notes;
  std::vector<XlaOp> fields = {x,          record,    operands.prepared, notes.places,
                               notes.mask, notes.low, planes.changes,    planes.low};
  const bool wide = site.format.bits == 64;
  if (wide) fields.insert(fields.end(), {notes.high, planes.high});
  const int64_t n = x.builder()->GetShape(record)->dimensions(1);
  const auto faulty = [&](const std::vector<XlaOp>& f,
                          XlaBuilder* b) -> std::vector<XlaOp> {
    const XlaOperands inner = {f[2],
                               {f[3], f[4], f[5], wide ? f[8] : XlaOp()},
                               {f[6], f[7], wide ? f[9] : XlaOp()}};
    const XlaInjected now =
        InjectXla(site, inner, NothingYet(f[0], b, n), xla::ConstantR0<bool>(b, true));
    return {now.y, f[1] + XlaQuarters({now.low, now.high})};
  };
  const std::vector<XlaOp> now = If(happens, fields, 2, faulty);
  return {now[0], now[1]};
}

XlaInjected InjectRawXlaIf(const XlaSite& site, OperationSet operations, XlaOp x,
                           XlaOp row, XlaOp words, int64_t noted, XlaOp happens) {
  const auto faulty = [&](const std::vector<XlaOp>& f,
                          XlaBuilder* b) -> std::vector<XlaOp> {
    const XlaFault fault(f[3], f[4]);
    const XlaOp size = xla::ConstantR0<int64_t>(b, site.size);
    const XlaOperands operands = {
        fault.Prepared(xla::ConstantR0<bool>(b, true)),
        fault.Notes(noted, site.index()),
        fault.Planes(xla::Iota(b, site.index(), site.size), size, {site.format},
                     xla::Zero(b, xla::S64), operations)};
    const XlaInjected now =
        Selected(site, operations, operands, {f[0], f[1], f[2]}, fault.IsValid(size));
    return {now.y, now.low, now.high};
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
