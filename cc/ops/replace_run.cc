// SPDX-License-Identifier: Apache-2.0
// Tpufi>ReplaceRun: the leanest site, for programs in which every site costs.
//
// What the sites of a program have in common comes in ready: the run's start, a count
// for each site (0: not struck) and the words laid out over a period of the tensor.
// What is left per element is a comparison and a select; sites of equal shape share
// the distance to the start. Docs/decisions/0013-lean-sites.md.
#include <cstdint>
#include <limits>
#include <vector>

#include "cc/ops/element_type.h"
#include "cc/ops/struck_elements.h"
#include "cc/ops/tf_xla.h"
#include "cc/ops/xla_words.h"
#include "tensorflow/core/framework/op.h"
#include "tensorflow/core/framework/op_kernel.h"
#include "tensorflow/core/framework/shape_inference.h"

namespace tpufi {
namespace {

using tensorflow::OpKernel;
using tensorflow::OpKernelConstruction;
using tensorflow::OpKernelContext;
using tensorflow::Tensor;
using tensorflow::TensorShape;
using xla::XlaOp;

REGISTER_OP("Tpufi>ReplaceRun")
    .Attr(TPUFI_ELEMENT_TYPES)
    .Attr("W: {uint8, uint16, uint32, uint64}")
    .Attr("site: int >= 0")
    .Attr("strides: list(int)")
    .Attr("offset: int = 0")
    .Input("x: T")
    .Input("starts: uint32")
    .Input("counts: uint32")
    .Input("tables: W")
    .Output("y: T")
    .SetShapeFn(tensorflow::shape_inference::UnchangedShape)
    .Doc(R"doc(
Replaces runs of elements by given bits.

The element at coordinates c has the index offset + sum(c * strides): its flat index in
whatever layout the positions of the site refer to, which may have room for more than x.
Row r gives the elements with starts[r] <= index < starts[r] + counts[r, site] the bits
tables[r, index mod period]. Rows apply in order. An index that no element has strikes
nothing; the caller checks that.

x: Tensor of any shape whose indices are below 2^32.
starts: [rows].
counts: [rows, sites]; 0 where a row does not strike.
tables: [rows, period].
W: Unsigned integer type as wide as T.
site: Column of `counts`.
strides: For each axis of x; may be negative.
offset: Index of the first element.
)doc");

// Where the elements of a tensor stand in the layout of a site.
struct Layout {
  std::vector<int64_t> dims;
  std::vector<int64_t> strides;
  int64_t offset;

  // Elements along the axes that tell apart places in the period, and these axes.
  std::vector<int64_t> AxesOfPeriod(int64_t period) const {
    std::vector<int64_t> axes;
    for (size_t a = 0; a < dims.size(); ++a) {
      if (dims[a] > 1 && strides[a] % period != 0) axes.push_back(a);
    }
    return axes;
  }
};

// What is wrong with the operands, or OK.
absl::Status Check(absl::string_view op, const Layout& layout, int64_t site,
                   int word_bits, ElementFormat format, const TensorShape& starts,
                   const TensorShape& counts, const TensorShape& tables) {
  int64_t lowest = layout.offset, highest = layout.offset;
  if (layout.dims.size() != layout.strides.size()) {
    return absl::InvalidArgumentError(absl::StrCat(
        op, ": ", layout.strides.size(), " strides for ", layout.dims.size(), " axes"));
  }
  for (size_t a = 0; a < layout.dims.size(); ++a) {
    const int64_t far = (layout.dims[a] - 1) * layout.strides[a];
    (far < 0 ? lowest : highest) += far;
  }
  if (lowest < 0 || highest > std::numeric_limits<uint32_t>::max()) {
    return absl::InvalidArgumentError(absl::StrCat(
        op, ": indices ", lowest, " to ", highest, " are not inside [0, 2^32)"));
  }
  if (word_bits != format.bits) {
    return absl::InvalidArgumentError(absl::StrCat(
        op, ": tables of ", word_bits, " bits for elements of ", format.bits));
  }
  if (starts.dims() != 1 || counts.dims() != 2 || tables.dims() != 2 ||
      counts.dim_size(0) != starts.dim_size(0) || tables.dim_size(1) == 0 ||
      tables.dim_size(0) != starts.dim_size(0) || site >= counts.dim_size(1)) {
    return absl::InvalidArgumentError(
        absl::StrCat(op, ": starts must be [rows], counts [rows, sites] with sites > ",
                     site, " and tables [rows, period], got ", starts.DebugString(),
                     ", ", counts.DebugString(), " and ", tables.DebugString()));
  }
  return absl::OkStatus();
}

std::vector<int64_t> Sizes(const TensorShape& shape) {
  const auto sizes = shape.dim_sizes();
  return {sizes.begin(), sizes.end()};
}

class ReplaceRunCpuOp final : public OpKernel {
 public:
  explicit ReplaceRunCpuOp(OpKernelConstruction* ctx) : OpKernel(ctx) {
    OP_REQUIRES_OK(ctx, ctx->GetAttr("site", &site_));
    OP_REQUIRES_OK(ctx, ctx->GetAttr("strides", &strides_));
    OP_REQUIRES_OK(ctx, ctx->GetAttr("offset", &offset_));
  }

  void Compute(OpKernelContext* ctx) override {
    const Tensor x = ctx->input(0);
    const Tensor starts = ctx->input(1);
    const Tensor counts = ctx->input(2);
    const Tensor tables = ctx->input(3);
    const Layout layout{Sizes(x.shape()), strides_, offset_};
    const ElementFormat format = FormatOf(x.dtype());
    OP_REQUIRES_OK(ctx, Check(type_string(), layout, site_,
                              8 * tensorflow::DataTypeSize(tables.dtype()), format,
                              starts.shape(), counts.shape(), tables.shape()));
    Tensor* y = nullptr;  // Null as long as nothing is struck.
    for (int64_t row = 0; row < starts.dim_size(0); ++row) {
      const uint32_t start = starts.vec<uint32_t>()(row);
      const uint32_t count = counts.matrix<uint32_t>()(row, site_);
      if (count == 0) continue;
      if (y == nullptr) OP_REQUIRES_OK(ctx, WritableOutput(ctx, &y));
      WithWords(y, format, [&](auto* elements) {
        using Word = std::remove_pointer_t<decltype(elements)>;
        const int64_t period = tables.dim_size(1);
        const auto* words = static_cast<const Word*>(tables.data()) + row * period;
        Replace(layout, start, count, words, period, elements);
      });
    }
    if (y == nullptr) ctx->set_output(0, x);
  }

 private:
  // The twin of the compiled program: it asks every element whether it is struck.
  template <typename Word>
  static void Replace(const Layout& layout, uint32_t start, uint32_t count,
                      const Word* words, int64_t period, Word* elements) {
    int64_t size = 1;
    for (const int64_t n : layout.dims) size *= n;
    for (int64_t i = 0; i < size; ++i) {
      int64_t index = layout.offset;
      int64_t rest = i;
      for (int a = static_cast<int>(layout.dims.size()) - 1; a >= 0; --a) {
        index += rest % layout.dims[a] * layout.strides[a];
        rest /= layout.dims[a];
      }
      if (static_cast<uint32_t>(index) - start < count) {
        elements[i] = words[index % period];
      }
    }
  }

  int64_t site_;
  std::vector<int64_t> strides_;
  int64_t offset_;
};

// A constant vector of multiples of a stride: of an iota times a stride the compiler
// makes a kernel for every axis of every shape.
XlaOp Multiples(xla::XlaBuilder* builder, int64_t n, int64_t stride, int64_t offset) {
  std::vector<uint32_t> multiples(n);
  for (int64_t i = 0; i < n; ++i) multiples[i] = offset + i * stride;
  return xla::ConstantR1<uint32_t>(builder, multiples);
}

// The index of every element.
XlaOp Indices(xla::XlaBuilder* builder, const Layout& layout) {
  const xla::Shape shape = xla::ShapeUtil::MakeShape(xla::U32, layout.dims);
  XlaOp indices =
      xla::Broadcast(xla::ConstantR0<uint32_t>(builder, layout.offset), layout.dims);
  for (size_t a = 0; a < layout.dims.size(); ++a) {
    const int64_t axis = a;
    if (layout.dims[a] == 1) continue;
    indices = indices + (layout.strides[a] == 1
                             ? xla::Iota(builder, shape, axis)
                             : xla::BroadcastInDim(Multiples(builder, layout.dims[a],
                                                             layout.strides[a], 0),
                                                   layout.dims, {axis}));
  }
  return indices;
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
  std::vector<int64_t> places(size);
  bool in_order = size == period;
  for (int64_t i = 0; i < size; ++i) {
    int64_t index = layout.offset, rest = i;
    for (int k = static_cast<int>(axes.size()) - 1; k >= 0; --k) {
      index += rest % dims[k] * layout.strides[axes[k]];
      rest /= dims[k];
    }
    places[i] = index % period;
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

class ReplaceRunXlaOp final : public tensorflow::XlaOpKernel {
 public:
  explicit ReplaceRunXlaOp(OpKernelConstruction* ctx) : XlaOpKernel(ctx) {
    OP_REQUIRES_OK(ctx, ctx->GetAttr("site", &site_));
    OP_REQUIRES_OK(ctx, ctx->GetAttr("strides", &strides_));
    OP_REQUIRES_OK(ctx, ctx->GetAttr("offset", &offset_));
  }

  void Compile(tensorflow::XlaOpKernelContext* ctx) override {
    std::vector<TensorShape> shapes(4);
    for (int i = 0; i < 4; ++i) {
      const absl::StatusOr<xla::Shape> shape = ctx->InputXlaShape(i);
      OP_REQUIRES_OK(ctx, shape.status());
      for (const int64_t n : shape->dimensions()) shapes[i].AddDim(n);
    }
    const Layout layout{Sizes(shapes[0]), strides_, offset_};
    const ElementFormat format = FormatOf(ctx->input_type(0));
    OP_REQUIRES_OK(ctx, Check(type_string(), layout, site_,
                              8 * tensorflow::DataTypeSize(ctx->input_type(3)), format,
                              shapes[1], shapes[2], shapes[3]));
    const int64_t rows = shapes[1].dim_size(0);
    const int64_t period = shapes[3].dim_size(1);
    if (shapes[0].num_elements() == 0 || rows == 0) {
      ctx->SetOutput(0, ctx->Input(0));
      return;
    }
    const XlaOp indices = Indices(ctx->builder(), layout);
    XlaOp bits = xla::BitcastConvertType(ctx->Input(0), WordType(format));
    for (int64_t row = 0; row < rows; ++row) {
      const XlaOp start =
          xla::Reshape(xla::SliceInDim(ctx->Input(1), row, row + 1, 1, 0), {});
      const XlaOp count = xla::Reshape(
          xla::Slice(ctx->Input(2), {row, site_}, {row + 1, site_ + 1}, {1, 1}), {});
      const XlaOp table =
          xla::Reshape(xla::SliceInDim(ctx->Input(3), row, row + 1, 1, 0), {period});
      bits = xla::Select(xla::Lt(indices - start, xla::Broadcast(count, layout.dims)),
                         Spread(table, period, layout), bits);
    }
    ctx->SetOutput(0, xla::BitcastConvertType(bits, ctx->input_xla_type(0)));
  }

 private:
  int64_t site_;
  std::vector<int64_t> strides_;
  int64_t offset_;
};

REGISTER_KERNEL_BUILDER(Name("Tpufi>ReplaceRun").Device(tensorflow::DEVICE_CPU),
                        ReplaceRunCpuOp);
REGISTER_XLA_OP(Name("Tpufi>ReplaceRun").TypeConstraint("T", kElementTypes),
                ReplaceRunXlaOp);

}  // namespace
}  // namespace tpufi
