// SPDX-License-Identifier: Apache-2.0
// Tpufi>PrepareFaults: a descriptor as the sites of a compiled program take it.
//
// Before its sites a program does once what each of them would do: words are drawn for
// the site that a fault names, and what does not fit that site is void.
#include <algorithm>
#include <limits>
#include <vector>

#include "cc/ops/element_type.h"
#include "cc/ops/prepare_xla.h"
#include "tensorflow/core/framework/op.h"
#include "tensorflow/core/framework/shape_inference.h"

namespace tpufi {
namespace {

using tensorflow::DataType;
using tensorflow::OpKernelConstruction;
using tensorflow::XlaOpKernelContext;
using xla::XlaBuilder;
using xla::XlaOp;

// Elements whose planes are written at a time.
constexpr int64_t kChunk = 1024;

// Elements of a plane; a chunk may begin at the last one that a site has.
int64_t Room(int64_t largest) {
  return (largest + kChunk - 1) / kChunk * kChunk + kChunk;
}

bool IsWide(const std::vector<DataType>& types) {
  return std::any_of(types.begin(), types.end(),
                     [](DataType type) { return FormatOf(type).bits == 64; });
}

REGISTER_OP("Tpufi>PrepareFaults")
    .Attr("largest: int >= 1")
    .Attr("noted: int >= 1")
    .Attr("types: list(type) >= 1")
    .Input("faults: int64")
    .Input("words: uint64")
    .Input("sizes: int64")
    .Input("kinds: int64")
    .Output("prepared: uint32")
    .Output("notes: uint32")
    .Output("changes: bool")
    .Output("low: uint32")
    .Output("high: uint32")
    .Output("copies: bool")
    .SetShapeFn([](tensorflow::shape_inference::InferenceContext* ctx) {
      int64_t noted, largest;
      std::vector<DataType> types;
      TF_RETURN_IF_ERROR(ctx->GetAttr("noted", &noted));
      TF_RETURN_IF_ERROR(ctx->GetAttr("largest", &largest));
      TF_RETURN_IF_ERROR(ctx->GetAttr("types", &types));
      const auto rows = ctx->Dim(ctx->input(1), 0);
      ctx->set_output(0, ctx->MakeShape({rows, kPreparedFields}));
      ctx->set_output(1, ctx->MakeShape({rows, 4 * (1 + noted)}));
      tensorflow::shape_inference::DimensionHandle all;
      TF_RETURN_IF_ERROR(ctx->Multiply(rows, Room(largest), &all));
      ctx->set_output(2, ctx->MakeShape({all}));
      ctx->set_output(3, ctx->MakeShape({all}));
      ctx->set_output(4, ctx->MakeShape({IsWide(types) ? all : rows}));
      ctx->set_output(5, ctx->MakeShape({rows}));
      return absl::OkStatus();
    })
    .Doc(R"doc(
Prepares faults for Tpufi>InjectPrepared; in programs that XLA compiles.

Which elements change, and the word of each, drawn where the operation draws, become
planes by flat index. A row that does not fit the site it names names none any more.

faults: Descriptor, [rows, 21]; see Tpufi>InjectFault.
words: [rows, any number].
sizes: Elements of each site, by id.
kinds: Element type of each site, by id: its place in `types`.
prepared: What the sites ask of the rows; first the id of the site, and again, but not of
  a row that is confined to some results.
notes: What is noted of the rows, four parts of 1 + noted numbers: flat indices whose bits
  are noted, a mask of the bits, and low and high halves of what is added.
changes: Which elements change: for each row at least `largest`, one row after the other.
low: Low halves of the words, like `changes`.
high: High halves of the words; one for each row if no type has 64 bits.
copies: Which rows copy: their words are the flat indices that they copy from.
largest: Elements of the largest site, below 2^31. Faults of larger ones are void.
noted: Golden bits of a record.
types: Element types of sites.
)doc");

class PrepareFaultsXlaOp final : public tensorflow::XlaOpKernel {
 public:
  explicit PrepareFaultsXlaOp(OpKernelConstruction* ctx) : XlaOpKernel(ctx) {
    OP_REQUIRES_OK(ctx, ctx->GetAttr("largest", &largest_));
    OP_REQUIRES_OK(ctx, ctx->GetAttr("noted", &noted_));
    std::vector<DataType> types;
    OP_REQUIRES_OK(ctx, ctx->GetAttr("types", &types));
    for (const DataType type : types) formats_.push_back(FormatOf(type));
    wide_ = IsWide(types);
    OP_REQUIRES(ctx, largest_ < std::numeric_limits<int32_t>::max() - 2 * kChunk,
                absl::InvalidArgumentError(absl::StrCat(
                    type_string(), ": a site of ", largest_,
                    " elements is too large for a compiled program; arm others")));
  }

  void Compile(XlaOpKernelContext* ctx) override {
    const absl::StatusOr<xla::Shape> shape = ctx->InputXlaShape("words");
    OP_REQUIRES_OK(ctx, shape.status());
    const int64_t rows = shape->dimensions(0), given = shape->dimensions(1);
    const absl::StatusOr<xla::Shape> sites = ctx->InputXlaShape("sizes");
    OP_REQUIRES_OK(ctx, sites.status());
    XlaBuilder* builder = ctx->builder();
    std::vector<std::vector<XlaOp>> outputs(6);
    const auto put = [&](int i, XlaOp x) {
      const int64_t n = builder->GetShape(x)->dimensions(0);
      outputs[i].push_back(i < 2 ? xla::Reshape(x, {1, n}) : x);
    };
    for (int64_t row = 0; row < rows; ++row) {
      const auto of = [&](absl::string_view name, int64_t n) {
        return xla::Reshape(xla::SliceInDim(ctx->Input(name), row, row + 1, 1, 0), {n});
      };
      const XlaFault fault(of("faults", kFaultFields), of("words", given));
      const XlaOp site = fault.field[kSite];
      const XlaOp known =
          xla::And(xla::Ge(site, xla::ZerosLike(site)),
                   xla::Lt(site, xla::ScalarLike(site, sites->dimensions(0))));
      const XlaOp place = xla::Select(known, site, xla::ZerosLike(site));
      const auto about = [&](absl::string_view name) {
        return xla::Reshape(xla::DynamicSlice(ctx->Input(name), {place}, {1}), {});
      };
      const XlaOp size = about("sizes");
      const XlaOp fits = xla::Le(size, xla::ScalarLike(size, largest_));
      const XlaOp valid = xla::And(xla::And(known, fits), fault.IsValid(size));
      const XlaPlanes planes = Planes(fault, size, about("kinds"), valid);
      put(0, fault.Prepared(valid));
      const XlaNotes notes = fault.Notes(noted_, xla::U32);
      put(1, xla::ConcatInDim(builder,
                              {notes.places, notes.mask, notes.low, notes.high}, 0));
      put(2, planes.changes);
      put(3, planes.low);
      put(4, wide_ ? planes.high : xla::Broadcast(xla::Zero(builder, xla::U32), {1}));
      put(5, xla::Reshape(fault.Copies(), {1}));
    }
    for (int i = 0; i < 6; ++i) {
      OP_REQUIRES(ctx, rows > 0,
                  absl::InvalidArgumentError(
                      absl::StrCat(type_string(), ": there are no rows")));
      ctx->SetOutput(i, xla::ConcatInDim(builder, outputs[i], 0));
    }
  }

 private:
  enum Carried : int { kNext, kEnd, kChanges, kLow, kHigh, kSize, kKind, kOfFault };

  // The planes of a fault, [room]: a loop over chunks from its first element to its
  // last, which does nothing if it is void.
  XlaPlanes Planes(const XlaFault& fault, XlaOp size, XlaOp kind, XlaOp valid) const {
    XlaBuilder* builder = size.builder();
    const XlaOp nothing = xla::Zero(builder, xla::S32);
    const auto narrow = [&](XlaOp x) {
      return xla::Select(valid, xla::ConvertElementType(x, xla::S32), nothing);
    };
    const int64_t room = Room(largest_);
    const XlaOp none = xla::Broadcast(xla::Zero(builder, xla::U32), {room});
    const XlaOp end = LastIndex(fault.elements()) + xla::ScalarLike(size, 1);
    std::vector<XlaOp> state = {narrow(fault.field[kStart]),
                                narrow(end),
                                xla::Broadcast(xla::Zero(builder, xla::PRED), {room}),
                                none,
                                wide_ ? none : nothing,
                                size,
                                kind};
    for (const XlaOp one : fault.Carried()) state.push_back(one);
    const XlaOp begin = xla::Tuple(builder, state);
    const xla::Shape shape = builder->GetShape(begin).value();

    const auto more = builder->CreateSubBuilder("more_elements");
    XlaOp now = xla::Parameter(more.get(), 0, shape, "state");
    xla::Lt(xla::GetTupleElement(now, kNext), xla::GetTupleElement(now, kEnd));

    const auto chunk = builder->CreateSubBuilder("elements");
    XlaBuilder* b = chunk.get();
    now = xla::Parameter(b, 0, shape, "state");
    std::vector<XlaOp> next(state.size());
    for (size_t i = 0; i < next.size(); ++i) next[i] = xla::GetTupleElement(now, i);
    const XlaFault here(std::vector<XlaOp>(next.begin() + kOfFault, next.end()));
    const XlaOp first = next[kNext];
    const XlaOp index =
        xla::Iota(b, xla::U32, kChunk) + xla::ConvertElementType(first, xla::U32);
    const XlaPlanes planes =
        here.Planes(index, next[kSize], formats_, next[kKind], kAllOperations);
    next[kNext] = first + xla::ScalarLike(first, kChunk);
    next[kChanges] = xla::DynamicUpdateSlice(next[kChanges], planes.changes, {first});
    next[kLow] = xla::DynamicUpdateSlice(next[kLow], planes.low, {first});
    if (wide_) next[kHigh] = xla::DynamicUpdateSlice(next[kHigh], planes.high, {first});
    xla::Tuple(b, next);
    const XlaOp last = xla::While(more->Build().value(), chunk->Build().value(), begin);
    return {xla::GetTupleElement(last, kChanges), xla::GetTupleElement(last, kLow),
            xla::GetTupleElement(last, kHigh)};
  }

  int64_t largest_ = 0;
  int64_t noted_ = 0;
  bool wide_ = false;
  std::vector<ElementFormat> formats_;
};

REGISTER_XLA_OP(Name("Tpufi>PrepareFaults"), PrepareFaultsXlaOp);

}  // namespace
}  // namespace tpufi
