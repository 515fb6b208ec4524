// SPDX-License-Identifier: Apache-2.0
// The lowering `select`; `branch` is in inject_branch_xla.cc.
//
// A run of `count` elements that each get a word of their own needs a lookup
// `words[index - start]` per element, which as a gather would break fusion. Instead the
// view's trailing axes are taken until their product, the period, is at least the
// capacity: no two struck elements then share a place in the period, so a small table
// of that trailing shape, broadcast over the leading axes, holds each element's word.
// The table is the words rotated by start modulo period: a slice of a small vector.
#include "cc/ops/inject_fault_xla.h"

#include <algorithm>
#include <string>

#include "cc/lib/element.h"
#include "cc/lib/fault_row.h"
#include "cc/lib/view.h"
#include "cc/ops/element_type.h"
#include "cc/ops/inject_branch_xla.h"
#include "cc/ops/xla_descriptor.h"
#include "cc/ops/xla_words.h"

namespace tpufi {
namespace {

using xla::PrimitiveType;
using xla::XlaOp;

// The trailing axes of a view that are at least `capacity` elements together.
struct Period {
  Period(const View& view, int64_t capacity) {
    const int rank = static_cast<int>(view.dims().size());
    first = rank;
    while (first > 0 && size < capacity) size *= view.dims()[--first];
    view_dims.assign(view.dims().begin() + first, view.dims().end());
    axes.assign(view.perm().begin() + first, view.perm().end());
    order.resize(axes.size());
    for (size_t j = 0; j < axes.size(); ++j) order[j] = j;
    std::sort(order.begin(), order.end(),
              [&](int64_t a, int64_t b) { return axes[a] < axes[b]; });
    for (int64_t j : order) sorted_axes.push_back(axes[j]);
  }

  int first = 0;                     // First view axis of the period.
  int64_t size = 1;                  // Elements in a period.
  std::vector<int64_t> view_dims;    // Sizes, in view order.
  std::vector<int64_t> axes;         // Tensor axes, in view order.
  std::vector<int64_t> order;        // Sorts `axes`.
  std::vector<int64_t> sorted_axes;  // Tensor axes, ascending.
};

// vector[(i + shift) mod n] for a vector of n elements and 0 <= shift <= n.
XlaOp Rotate(XlaOp vector, XlaOp shift, int64_t n) {
  return xla::DynamicSlice(xla::ConcatInDim(vector.builder(), {vector, vector}, 0),
                           {shift}, {n});
}

// Cuts or zero-fills a vector of `from` elements to `to`.
XlaOp Resize(XlaOp vector, int64_t from, int64_t to) {
  if (from >= to) return xla::SliceInDim(vector, 0, to, 1, 0);
  return xla::PadInDim(vector, xla::ScalarLike(vector, 0), 0, 0, to - from);
}

// A period-sized vector in view order, spread over the whole tensor.
XlaOp Spread(XlaOp vector, const Period& period, const std::vector<int64_t>& dims) {
  const XlaOp table =
      xla::Transpose(xla::Reshape(vector, period.view_dims), period.order);
  return xla::BroadcastInDim(table, dims, period.sorted_axes);
}

// Sum over all periods, as a vector in view order: the inverse of Spread.
XlaOp Collect(XlaOp x, PrimitiveType type, const Period& period, const View& view) {
  std::vector<int64_t> leading(view.perm().begin(), view.perm().begin() + period.first);
  const XlaOp table =
      xla::Reduce(x, xla::Zero(x.builder(), type),
                  xla::CreateScalarAddComputation(type, x.builder()), leading);
  std::vector<int64_t> back(period.order.size());
  for (size_t j = 0; j < back.size(); ++j) back[period.order[j]] = j;
  return xla::Reshape(xla::Transpose(table, back), {period.size});
}

}  // namespace

InjectFaultXlaOp::InjectFaultXlaOp(tensorflow::OpKernelConstruction* ctx)
    : XlaOpKernel(ctx) {
  OP_REQUIRES_OK(ctx, ctx->GetAttr("site", &site_));
  OP_REQUIRES_OK(ctx, ctx->GetAttr("perm", &perm_));
  std::string lowering;
  OP_REQUIRES_OK(ctx, ctx->GetAttr("lowering", &lowering));
  branch_ = lowering == "branch";
  OP_REQUIRES_OK(ctx, ctx->GetAttr("confines", &confines_));
}

void InjectFaultXlaOp::Compile(tensorflow::XlaOpKernelContext* ctx) {
  xla::XlaBuilder* builder = ctx->builder();
  const absl::StatusOr<xla::Shape> shape = ctx->InputXlaShape(0);
  OP_REQUIRES_OK(ctx, shape.status());
  const absl::StatusOr<xla::Shape> words_shape = ctx->InputXlaShape(3);
  OP_REQUIRES_OK(ctx, words_shape.status());
  const int64_t rows = words_shape->dimensions(0);
  const int64_t capacity = words_shape->dimensions(1);
  const int64_t size = xla::ShapeUtil::ElementsIn(*shape);
  const std::vector<int64_t> dims(shape->dimensions().begin(),
                                  shape->dimensions().end());
  OP_REQUIRES(
      ctx, IsPermutation(perm_, dims.size()),
      absl::InvalidArgumentError(absl::StrCat(
          type_string(), ": perm is not a permutation of ", dims.size(), " axes")));
  if (size == 0 || rows == 0 || capacity == 0) {
    ctx->SetOutput(0, ctx->Input(0));
    ctx->SetOutput(1, xla::Broadcast(xla::Zero(builder, xla::F32),
                                     {rows, capacity + 1, kQuarters}));
    return;
  }
  const ElementFormat format = FormatOf(ctx->input_type(0));
  const PrimitiveType word_type = WordType(format);
  // The type in which words are looked up and recorded.
  const PrimitiveType wide_type = format.bits <= 32 ? xla::U32 : xla::U64;
  const PrimitiveType index_type = IndexType(size);
  const View view(dims, perm_);
  const XlaDescriptor descriptor(ctx->Input(2), ctx->Input(3), capacity);
  const WordPair<XlaOp> replica = Halves(ctx->Input(1));
  XlaOp bits = xla::BitcastConvertType(ctx->Input(0), word_type);
  std::vector<XlaOp> records;
  if (branch_) {
    const StrikeBranch strike(builder, format, ctx->input_xla_type(0), view, dims,
                              capacity, confines_);
    for (int64_t row = 0; row < rows; ++row) {
      const XlaOp struck =
          strike.Apply(descriptor.Names(row, site_, replica), bits,
                       descriptor.FaultRow(row), descriptor.WordRow(row));
      bits = xla::GetTupleElement(struck, 0);
      records.push_back(xla::GetTupleElement(struck, 1));
    }
    ctx->SetOutput(0, xla::BitcastConvertType(bits, ctx->input_xla_type(0)));
    ctx->SetOutput(1, xla::ConcatInDim(builder, records, 0));
    return;
  }
  const Period period(view, capacity);
  const XlaOp indices = FlatIndices(builder, index_type, dims, view);
  for (int64_t row = 0; row < rows; ++row) {
    const XlaOp start = descriptor.FieldAs(row, kStart, index_type);
    const XlaOp count = descriptor.FieldAs(row, kCount, index_type);
    const XlaOp strikes = xla::And(descriptor.Names(row, site_, replica),
                                   descriptor.IsValid(row, size, index_type));

    const XlaOp words = descriptor.WordsAs(row, wide_type);
    const XlaOp first = xla::SliceInDim(words, 0, 1, 1, 0);
    const XlaOp shift = xla::Rem(start, xla::ScalarLike(start, period.size));
    const XlaOp turn = xla::ScalarLike(start, period.size) - shift;
    const XlaOp table = xla::ConvertElementType(
        xla::Select(xla::Broadcast(descriptor.Repeats(row), {period.size}),
                    xla::BroadcastInDim(first, {period.size}, {0}),
                    Rotate(Resize(words, capacity, period.size), turn, period.size)),
        word_type);
    const XlaOp keep =
        xla::ConvertElementType(descriptor.FieldAs(row, kKeep, wide_type), word_type);
    const XlaOp hit = InRun(indices, index_type, start, count, strikes);

    const XlaOp noted =
        InRun(indices, index_type, start,
              xla::Min(count, xla::ScalarLike(count, capacity)), strikes);
    const XlaOp golden =
        Collect(xla::Select(noted, xla::ConvertElementType(bits, wide_type),
                            xla::Broadcast(xla::Zero(builder, wide_type), dims)),
                wide_type, period, view);
    const XlaOp recorded =
        Resize(Rotate(golden, shift, period.size), period.size, capacity);
    const XlaOp struck = xla::Select(strikes, count, xla::ScalarLike(count, 0));
    records.push_back(Record(struck, index_type, recorded, wide_type, capacity));
    bits = xla::Select(hit, Strike(bits, keep, Spread(table, period, dims)), bits);
  }
  ctx->SetOutput(0, xla::BitcastConvertType(bits, ctx->input_xla_type(0)));
  ctx->SetOutput(1, xla::ConcatInDim(builder, records, 0));
}

}  // namespace tpufi
