// SPDX-License-Identifier: Apache-2.0
#include "cc/ops/replace_run_xla.h"

#include <algorithm>
#include <cstdint>
#include <vector>

#include "cc/ops/element_type.h"
#include "cc/ops/run_layout.h"
#include "cc/ops/xla_words.h"

namespace tpufi {
namespace {

using xla::XlaOp;

// The part of every element's index that some axes make, over those axes.
std::vector<int64_t> Partial(const Layout& layout, const std::vector<int64_t>& axes,
                             int64_t offset) {
  int64_t size = 1;
  for (const int64_t a : axes) size *= layout.dims[a];
  std::vector<int64_t> indices(size, offset);
  for (int64_t i = 0; i < size; ++i) {
    int64_t rest = i;
    for (int k = static_cast<int>(axes.size()) - 1; k >= 0; --k) {
      indices[i] += rest % layout.dims[axes[k]] * layout.strides[axes[k]];
      rest /= layout.dims[axes[k]];
    }
  }
  return indices;
}

// The index of every element. By Horner's rule where each stride divides the one
// before: of a product of one coordinate and a constant the compiler makes a vector and
// a kernel for it; a product of a sum it computes where it stands.
XlaOp Indices(xla::XlaBuilder* builder, const Layout& layout) {
  const xla::Shape shape = xla::ShapeUtil::MakeShape(xla::U32, layout.dims);
  std::vector<int64_t> axes;
  for (size_t a = 0; a < layout.dims.size(); ++a) {
    if (layout.dims[a] > 1) axes.push_back(a);
  }
  std::sort(axes.begin(), axes.end(), [&](int64_t a, int64_t b) {
    return layout.strides[a] > layout.strides[b];
  });
  const auto times = [&](XlaOp x, int64_t factor) {
    return factor == 1 ? x : x * xla::ScalarLike(x, factor);
  };
  const auto plus = [&](XlaOp x, int64_t number) {
    return number == 0 ? x : x + xla::ScalarLike(x, number);
  };
  if (axes.empty()) {
    return xla::Broadcast(xla::ConstantR0<uint32_t>(builder, layout.offset),
                          layout.dims);
  }
  bool nested = true;
  for (size_t k = 1; k < axes.size(); ++k) {
    const int64_t below = layout.strides[axes[k]];
    nested = nested && below > 0 && layout.strides[axes[k - 1]] % below == 0;
  }
  XlaOp sum = xla::Iota(builder, shape, axes[0]);
  if (nested) {
    for (size_t k = 1; k < axes.size(); ++k) {
      sum = times(sum, layout.strides[axes[k - 1]] / layout.strides[axes[k]]) +
            xla::Iota(builder, shape, axes[k]);
    }
    return plus(times(sum, layout.strides[axes.back()]), layout.offset);
  }
  sum = times(sum, layout.strides[axes[0]]);
  for (size_t k = 1; k < axes.size(); ++k) {
    sum = sum + times(xla::Iota(builder, shape, axes[k]), layout.strides[axes[k]]);
  }
  return plus(sum, layout.offset);
}

// The word at the place of every element in the period.
XlaOp Spread(XlaOp table, int64_t period, const Layout& layout) {
  const std::vector<int64_t> axes = layout.AxesOfPeriod(period);
  std::vector<int64_t> dims;
  int64_t size = 1;
  for (const int64_t a : axes) {
    dims.push_back(layout.dims[a]);
    size *= layout.dims[a];
  }
  std::vector<int64_t> places = Partial(layout, axes, layout.offset);
  bool in_order = size == period;
  for (int64_t i = 0; i < size; ++i) {
    places[i] %= period;
    in_order = in_order && places[i] == i;
  }
  if (!in_order) {
    const std::vector<int32_t> narrow(places.begin(), places.end());
    xla::GatherDimensionNumbers numbers;
    numbers.add_collapsed_slice_dims(0);
    numbers.add_start_index_map(0);
    numbers.set_index_vector_dim(1);
    table = xla::Gather(table, xla::ConstantR1<int32_t>(table.builder(), narrow),
                        numbers, {1});
  }
  return xla::BroadcastInDim(xla::Reshape(table, dims), layout.dims, axes);
}

}  // namespace

ReplaceRunXlaOp::ReplaceRunXlaOp(tensorflow::OpKernelConstruction* ctx)
    : XlaOpKernel(ctx) {
  OP_REQUIRES_OK(ctx, ctx->GetAttr("strides", &strides_));
  OP_REQUIRES_OK(ctx, ctx->GetAttr("offset", &offset_));
  OP_REQUIRES_OK(ctx, ctx->GetAttr("base", &base_));
  OP_REQUIRES_OK(ctx, ctx->GetAttr("banks", &banks_));
}

void ReplaceRunXlaOp::Compile(tensorflow::XlaOpKernelContext* ctx) {
  std::vector<tensorflow::TensorShape> shapes(4);
  for (int i = 0; i < 4; ++i) {
    const absl::StatusOr<xla::Shape> shape = ctx->InputXlaShape(i);
    OP_REQUIRES_OK(ctx, shape.status());
    for (const int64_t n : shape->dimensions()) shapes[i].AddDim(n);
  }
  const Layout layout{Sizes(shapes[0]), strides_, offset_};
  const ElementFormat format = FormatOf(ctx->input_type(0));
  OP_REQUIRES_OK(ctx, Check(type_string(), layout, banks_,
                            8 * tensorflow::DataTypeSize(ctx->input_type(3)), format,
                            shapes[1], shapes[2], shapes[3]));
  const int64_t rows = shapes[1].dim_size(0);
  const int64_t period = shapes[3].dim_size(1);
  if (shapes[0].num_elements() == 0 || rows == 0) {
    ctx->SetOutput(0, ctx->Input(0));
    return;
  }
  const XlaOp indices = Indices(ctx->builder(), layout);
  const XlaOp base =
      xla::ConstantR0<uint32_t>(ctx->builder(), static_cast<uint32_t>(base_));
  XlaOp bits = xla::BitcastConvertType(ctx->Input(0), WordType(format));
  for (int64_t row = 0; row < rows; ++row) {
    const XlaOp start =
        xla::Reshape(xla::SliceInDim(ctx->Input(1), row, row + 1, 1, 0), {});
    XlaOp count;
    for (const int64_t bank : banks_) {
      const XlaOp one = xla::Reshape(
          xla::Slice(ctx->Input(2), {row, bank}, {row + 1, bank + 1}, {1, 1}), {});
      count = count.valid() ? xla::Max(count, one) : one;
    }
    const XlaOp table =
        xla::Reshape(xla::SliceInDim(ctx->Input(3), row, row + 1, 1, 0), {period});
    // In this order sites of equal layout share the difference.
    const XlaOp distance = (indices - start) + base;
    bits = xla::Select(xla::Lt(distance, xla::Broadcast(count, layout.dims)),
                       Spread(table, period, layout), bits);
  }
  ctx->SetOutput(0, xla::BitcastConvertType(bits, ctx->input_xla_type(0)));
}

}  // namespace tpufi
