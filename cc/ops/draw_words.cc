// SPDX-License-Identifier: Apache-2.0
// Tpufi>DrawWords: the words of faults whose operation draws them.
//
// A compiled program has a thousand sites, and what each would draw is most of its
// code. So the program draws once, before its sites, what the one that a fault names
// needs: random bits become words to replace by, errors words to flip, random places
// words to copy from. The bits are those that the site itself would have drawn.
#include <algorithm>
#include <vector>

#include "cc/lib/random_patterns.h"
#include "cc/ops/element_type.h"
#include "cc/ops/xla.h"
#include "tensorflow/core/framework/op.h"
#include "tensorflow/core/framework/op_kernel.h"
#include "tensorflow/core/framework/shape_inference.h"

namespace tpufi {
namespace {

using tensorflow::DataType;
using tensorflow::OpKernelConstruction;
using tensorflow::OpKernelContext;
using tensorflow::Tensor;
using tensorflow::XlaOpKernelContext;
using xla::PrimitiveType;
using xla::XlaBuilder;
using xla::XlaOp;

// Elements for which an XLA program draws at a time, and a multiple of which it holds.
constexpr int64_t kDrawn = 1024;

REGISTER_OP("Tpufi>DrawWords")
    .Attr("capacity: int >= 1")
    .Attr("types: list(type) >= 1")
    .Input("faults: int64")
    .Input("words: uint64")
    .Input("sizes: int64")
    .Input("kinds: int64")
    .Output("drawn_faults: int64")
    .Output("drawn_words: uint64")
    .SetShapeFn([](tensorflow::shape_inference::InferenceContext* ctx) {
      int64_t capacity;
      TF_RETURN_IF_ERROR(ctx->GetAttr("capacity", &capacity));
      ctx->set_output(0, ctx->input(0));
      ctx->set_output(1, ctx->MakeShape({ctx->Dim(ctx->input(1), 0), capacity}));
      return absl::OkStatus();
    })
    .Doc(R"doc(
Draws the words of faults, for sites that draw none.

A row of `faults` that names a site and draws gets the words that the site would draw:
random and random_bits become replace, error_rate becomes flip, copy_random becomes copy,
each with a word for each element. Other rows stay, and so do rows that do not fit their
site or have more elements than `capacity`: a site finds them void.

faults: Descriptor, [rows, 12]; see Tpufi>InjectFault.
words: [rows, any number up to capacity].
sizes: Elements of each site, by id.
kinds: Element type of each site, by id: its place in `types`.
capacity: Words of each row of the result.
types: Element types of sites.
)doc");

// Whether an operation draws its words, and what it becomes then.
constexpr bool Draws(int64_t operation) {
  return operation == kRandom || operation == kRandomBits || operation == kErrorRate ||
         operation == kCopyRandom;
}
constexpr Operation Becomes(int64_t operation) {
  return operation == kErrorRate ? kFlip : operation == kCopyRandom ? kCopy : kReplace;
}

struct Attributes {
  explicit Attributes(OpKernelConstruction* ctx) {
    OP_REQUIRES_OK(ctx, ctx->GetAttr("capacity", &capacity));
    OP_REQUIRES_OK(ctx, ctx->GetAttr("types", &types));
  }
  int64_t capacity = 0;
  std::vector<DataType> types;
};

class DrawWordsCpuOp final : public tensorflow::OpKernel {
 public:
  explicit DrawWordsCpuOp(OpKernelConstruction* ctx) : OpKernel(ctx), with_(ctx) {}

  void Compute(OpKernelContext* ctx) override {
    const Tensor *faults, *words, *sizes, *kinds;
    OP_REQUIRES_OK(ctx, ctx->input("faults", &faults));
    OP_REQUIRES_OK(ctx, ctx->input("words", &words));
    OP_REQUIRES_OK(ctx, ctx->input("sizes", &sizes));
    OP_REQUIRES_OK(ctx, ctx->input("kinds", &kinds));
    const int64_t rows = words->dim_size(0), given = words->dim_size(1);
    OP_REQUIRES(
        ctx, given <= with_.capacity,
        absl::InvalidArgumentError(absl::StrCat(
            type_string(), ": ", given, " words; capacity is ", with_.capacity)));
    Tensor *drawn_faults, *drawn_words;
    OP_REQUIRES_OK(ctx, ctx->allocate_output(0, faults->shape(), &drawn_faults));
    OP_REQUIRES_OK(ctx, ctx->allocate_output(1, {rows, with_.capacity}, &drawn_words));
    std::copy_n(static_cast<const int64_t*>(faults->data()), faults->NumElements(),
                static_cast<int64_t*>(drawn_faults->data()));
    for (int64_t row = 0; row < rows; ++row) {
      auto* const field =
          static_cast<int64_t*>(drawn_faults->data()) + row * kFaultFields;
      const auto* const from =
          static_cast<const uint64_t*>(words->data()) + row * given;
      auto* const to =
          static_cast<uint64_t*>(drawn_words->data()) + row * with_.capacity;
      std::fill_n(to, with_.capacity, 0);
      std::copy_n(from, given, to);
      const int64_t site = field[kSite];
      if (site < 0 || site >= sizes->NumElements() || !Draws(field[kOperation]))
        continue;
      const int64_t kind = kinds->vec<int64_t>()(site);
      if (kind < 0 || kind >= static_cast<int64_t>(with_.types.size())) continue;
      DrawRow(FormatOf(with_.types[kind]), sizes->vec<int64_t>()(site), field, to);
    }
  }

 private:
  void DrawRow(ElementFormat format, int64_t size, int64_t* field, uint64_t* to) const {
    const Elements given = {field[kStart], field[kCount], field[kBlock],
                            field[kStride]};
    const int64_t operation = field[kOperation];
    if (LastIndex(given) >= size || given.count > with_.capacity ||
        !WordsFit(operation, given.count, field[kGiven])) {
      return;
    }
    const Elements e = WithBlock(given);
    const WordPair<uint32_t> key = {static_cast<uint32_t>(to[0]),
                                    static_cast<uint32_t>(to[0] >> 32)};
    const uint64_t rate = operation == kErrorRate ? to[1] : 0;
    for (int64_t i = 0; i < e.count; ++i) {
      const uint64_t index = Position(e, i);
      to[i] = operation == kErrorRate ? static_cast<uint64_t>(field[kKeep]) &
                                            ErrorPattern(format, key, index, rate)
              : operation == kCopyRandom
                  ? RandomIndex(key, index, size)
                  : RandomPattern(format, key, index, operation == kRandom);
    }
    field[kOperation] = Becomes(operation);
    field[kKeep] = 0;
    field[kGiven] = e.count;
  }

  Attributes with_;
};

class DrawWordsXlaOp final : public tensorflow::XlaOpKernel {
 public:
  explicit DrawWordsXlaOp(OpKernelConstruction* ctx) : XlaOpKernel(ctx), with_(ctx) {}

  void Compile(XlaOpKernelContext* ctx) override {
    const absl::StatusOr<xla::Shape> shape = ctx->InputXlaShape("words");
    OP_REQUIRES_OK(ctx, shape.status());
    const int64_t rows = shape->dimensions(0), given = shape->dimensions(1);
    const absl::StatusOr<xla::Shape> sites = ctx->InputXlaShape("sizes");
    OP_REQUIRES_OK(ctx, sites.status());
    XlaBuilder* builder = ctx->builder();
    std::vector<XlaOp> faults, words;
    for (int64_t row = 0; row < rows; ++row) {
      const auto of = [&](absl::string_view name, int64_t n) {
        return xla::Reshape(xla::SliceInDim(ctx->Input(name), row, row + 1, 1, 0), {n});
      };
      Row one = {of("faults", kFaultFields), of("words", given)};
      DrawRow(ctx->Input("sizes"), ctx->Input("kinds"), sites->dimensions(0), given,
              &one);
      faults.push_back(xla::Reshape(one.fault, {1, kFaultFields}));
      words.push_back(xla::Reshape(one.words, {1, with_.capacity}));
    }
    ctx->SetOutput(0,
                   rows ? xla::ConcatInDim(builder, faults, 0) : ctx->Input("faults"));
    ctx->SetOutput(
        1, rows ? xla::ConcatInDim(builder, words, 0)
                : xla::Broadcast(xla::Zero(builder, xla::U64), {rows, with_.capacity}));
  }

 private:
  struct Row {
    XlaOp fault;  // S64 [kFaultFields].
    XlaOp words;  // U64, [given] before and [capacity] after.
  };

  static XlaOp Scalar(XlaOp vector, XlaOp i) {
    return xla::Reshape(xla::DynamicSlice(vector, {i}, {1}), {});
  }

  void DrawRow(XlaOp sizes, XlaOp kinds, int64_t sites, int64_t given, Row* row) const {
    XlaBuilder* builder = sizes.builder();
    const auto field = [&](FaultField one) {
      return xla::Reshape(xla::SliceInDim(row->fault, one, one + 1, 1, 0), {});
    };
    const auto number = [&](int64_t value) {
      return xla::ConstantR0<int64_t>(builder, value);
    };
    const XlaOp site = field(kSite), operation = field(kOperation);
    const XlaOp known =
        xla::And(xla::Ge(site, number(0)), xla::Lt(site, number(sites)));
    const XlaOp place = xla::Select(known, site, number(0));
    const XlaOp size = Scalar(sizes, place), kind = Scalar(kinds, place);
    const ElementsOf<XlaOp> elements = {field(kStart), field(kCount), field(kBlock),
                                        field(kStride)};
    const auto is = [&](Operation one) { return xla::Eq(operation, number(one)); };
    XlaOp draws = xla::Or(xla::Or(is(kRandom), is(kRandomBits)),
                          xla::Or(is(kErrorRate), is(kCopyRandom)));
    draws = xla::And(xla::And(draws, known),
                     xla::And(xla::And(xla::Lt(LastIndex(elements), size),
                                       xla::Le(elements.count, number(with_.capacity))),
                              WordsFit(operation, elements.count, field(kGiven))));

    // A loop over chunks; without draws it does nothing.
    const int64_t room = (with_.capacity + kDrawn - 1) / kDrawn * kDrawn;
    const ElementsOf<XlaOp> e = WithBlock(elements);
    const XlaOp first = xla::Reshape(xla::SliceInDim(row->words, 0, 1, 1, 0), {});
    const XlaOp rate = given > 1
                           ? xla::Reshape(xla::SliceInDim(row->words, 1, 2, 1, 0), {})
                           : xla::Zero(builder, xla::U64);
    const XlaOp count = xla::Select(draws, e.count, number(0));
    const XlaOp keep = xla::BitcastConvertType(field(kKeep), xla::U64);
    const XlaOp begin = xla::Tuple(
        builder,
        {number(0),
         xla::PadInDim(row->words, xla::Zero(builder, xla::U64), 0, 0, room - given),
         e.start, count, e.block, e.stride, operation, first, rate, keep,
         xla::Max(size, number(1)), kind});
    const xla::Shape state = builder->GetShape(begin).value();
    const auto test = builder->CreateSubBuilder("more_draws");
    XlaOp now = xla::Parameter(test.get(), 0, state, "state");
    xla::Lt(xla::GetTupleElement(now, 0), xla::GetTupleElement(now, 3));
    const XlaOp last =
        xla::While(test->Build().value(), OneChunk(builder, state), begin);

    row->words =
        xla::SliceInDim(xla::GetTupleElement(last, 1), 0, with_.capacity, 1, 0);
    const auto changed = [&](FaultField one, XlaOp value) {
      const XlaOp fresh = xla::Select(draws, value, field(one));
      row->fault = xla::DynamicUpdateSlice(row->fault, xla::Reshape(fresh, {1}),
                                           {xla::ConstantR0<int32_t>(builder, one)});
    };
    const XlaOp becomes =
        xla::Select(is(kErrorRate), number(kFlip),
                    xla::Select(is(kCopyRandom), number(kCopy), number(kReplace)));
    changed(kGiven, elements.count);
    changed(kKeep, number(0));
    changed(kOperation, becomes);
  }

  xla::XlaComputation OneChunk(XlaBuilder* parent, const xla::Shape& state) const {
    const auto builder = parent->CreateSubBuilder("draws");
    XlaBuilder* b = builder.get();
    const XlaOp now = xla::Parameter(b, 0, state, "state");
    const auto at = [&](int i) { return xla::GetTupleElement(now, i); };
    const XlaOp done = at(0), operation = at(6), keep = at(9), kind = at(11);
    const auto is = [&](Operation one) {
      return xla::Eq(operation, xla::ScalarLike(operation, int64_t{one}));
    };
    const XlaOp number =
        xla::ConvertElementType(xla::Iota(b, xla::U32, kDrawn), xla::S64) + done;
    const XlaOp position =
        Position(ElementsOf<XlaOp>{at(2), at(3), at(4), at(5)}, number);
    const WordPair<XlaOp> index = Halves(position);
    const WordPair<XlaOp> key = Halves(at(7));
    const WordPair<XlaOp> words = RandomWords(key, index, 0);
    const WordPair<XlaOp> second = RandomWords(key, index, 1);
    const XlaOp bit = xla::ConvertElementType(is(kRandom), xla::U32);
    const XlaOp finite = xla::ZerosLike(bit) - bit;
    XlaOp drawn = xla::Rem(Whole(words), xla::BitcastConvertType(at(10), xla::U64));
    const XlaOp copies = is(kCopyRandom);
    for (size_t i = 0; i < with_.types.size(); ++i) {
      const ElementFormat format = FormatOf(with_.types[i]);
      const XlaOp pattern = format.bits == 64
                                ? Whole(RandomPattern64(format, words, second, finite))
                                : xla::ConvertElementType(
                                      RandomPattern32(format, words, finite), xla::U64);
      const XlaOp mine =
          xla::And(xla::Eq(kind, xla::ScalarLike(kind, static_cast<int64_t>(i))),
                   xla::Not(copies));
      drawn = xla::Select(mine, pattern, drawn);
    }
    drawn =
        xla::Select(is(kErrorRate), keep & Errors(b, key, index, Halves(at(8))), drawn);
    std::vector<XlaOp> next;
    for (int i = 0; i < 12; ++i) next.push_back(at(i));
    next[0] = done + xla::ScalarLike(done, kDrawn);
    next[1] = xla::DynamicUpdateSlice(at(1), drawn, {done});
    xla::Tuple(b, next);
    return builder->Build().value();
  }

  // The bits of 64 that flip; those beyond the width of an element are not kept.
  static XlaOp Errors(XlaBuilder* b, WordPair<XlaOp> key, WordPair<XlaOp> index,
                      WordPair<XlaOp> rate) {
    constexpr int64_t kPairs = 32;
    const std::vector<int64_t> dims = {kPairs, kDrawn};
    const XlaOp pair = xla::Iota(b, xla::ShapeUtil::MakeShape(xla::U32, dims), 0);
    const auto spread = [&](XlaOp x) { return xla::BroadcastInDim(x, dims, {1}); };
    const WordPair<XlaOp> bits = ErrorBits(
        Threefry2x32(key,
                     ErrorCounter<XlaOp>({spread(index.lo), spread(index.hi)}, pair)),
        rate);
    const XlaOp both = xla::ConvertElementType(
        bits.lo | (bits.hi << xla::ScalarLike(bits.hi, 1)), xla::U64);
    const XlaOp shift =
        xla::ConvertElementType(pair << xla::ScalarLike(pair, 1), xla::U64);
    return xla::Reduce(both << shift, xla::Zero(b, xla::U64),
                       xla::CreateScalarAddComputation(xla::U64, b), {0});
  }

  Attributes with_;
};

REGISTER_KERNEL_BUILDER(Name("Tpufi>DrawWords").Device(tensorflow::DEVICE_CPU),
                        DrawWordsCpuOp);
REGISTER_XLA_OP(Name("Tpufi>DrawWords"), DrawWordsXlaOp);

}  // namespace
}  // namespace tpufi
