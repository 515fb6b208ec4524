// SPDX-License-Identifier: Apache-2.0
// Tpufi>ReplaceRun: the leanest site, for programs in which every site costs.
//
// What the sites of a program have in common comes in ready: where the run is among the
// elements of all sites, and its words laid out over a period of the tensor. What is
// left per element is a comparison and a select, and nothing per site but a constant:
// a TPU pays as much for a scalar of a site's own as for a small tensor.
// docs/decisions/0014-lean-sites.md.
#include <algorithm>
#include <cstdint>
#include <vector>

#include "cc/ops/element_type.h"
#include "cc/ops/replace_run_xla.h"
#include "cc/ops/run_layout.h"
#include "cc/ops/struck_elements.h"
#include "cc/ops/tf_xla.h"
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

REGISTER_OP("Tpufi>ReplaceRun")
    .Attr(TPUFI_ELEMENT_TYPES)
    .Attr("W: {uint8, uint16, uint32, uint64}")
    .Attr("strides: list(int)")
    .Attr("offset: int = 0")
    .Attr("base: int = 0")
    .Attr("banks: list(int) >= 1")
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
Adding `base` makes it a number, modulo 2^32. Row r gives the elements with starts[r] <=
number < starts[r] + max(counts[r, banks]) the bits tables[r, index mod period]. Rows
apply in order. A number that no element has strikes nothing; the caller checks that.

x: Tensor of any shape whose indices are below 2^32.
starts: [rows].
counts: [rows, banks].
tables: [rows, period].
W: Unsigned integer type as wide as T.
strides: For each axis of x; may be negative.
offset: Index of the first element.
base: Number of the element with index 0, below 2^32.
banks: Columns of `counts`.
)doc");

class ReplaceRunCpuOp final : public OpKernel {
 public:
  explicit ReplaceRunCpuOp(OpKernelConstruction* ctx) : OpKernel(ctx) {
    OP_REQUIRES_OK(ctx, ctx->GetAttr("banks", &banks_));
    OP_REQUIRES_OK(ctx, ctx->GetAttr("strides", &strides_));
    OP_REQUIRES_OK(ctx, ctx->GetAttr("offset", &offset_));
    OP_REQUIRES_OK(ctx, ctx->GetAttr("base", &base_));
  }

  void Compute(OpKernelContext* ctx) override {
    const Tensor x = ctx->input(0);
    const Tensor starts = ctx->input(1);
    const Tensor counts = ctx->input(2);
    const Tensor tables = ctx->input(3);
    const Layout layout{Sizes(x.shape()), strides_, offset_};
    const ElementFormat format = FormatOf(x.dtype());
    OP_REQUIRES_OK(ctx, Check(type_string(), layout, banks_,
                              8 * tensorflow::DataTypeSize(tables.dtype()), format,
                              starts.shape(), counts.shape(), tables.shape()));
    Tensor* y = nullptr;  // Null as long as nothing is struck.
    for (int64_t row = 0; row < starts.dim_size(0); ++row) {
      const uint32_t start = starts.vec<uint32_t>()(row);
      uint32_t count = 0;
      for (const int64_t bank : banks_) {
        count = std::max(count, counts.matrix<uint32_t>()(row, bank));
      }
      if (count == 0 || !Meets(layout, start - static_cast<uint32_t>(base_))) continue;
      if (y == nullptr) OP_REQUIRES_OK(ctx, WritableOutput(ctx, &y));
      WithWords(y, format, [&](auto* elements) {
        using Word = std::remove_pointer_t<decltype(elements)>;
        const int64_t period = tables.dim_size(1);
        const auto* words = static_cast<const Word*>(tables.data()) + row * period;
        Replace(layout, start - static_cast<uint32_t>(base_), count, words, period,
                elements);
      });
    }
    if (y == nullptr) ctx->set_output(0, x);
  }

 private:
  // Whether a run from `start` on can meet an element. Runs do not leave their site.
  static bool Meets(const Layout& layout, uint32_t start) {
    int64_t highest = layout.offset;
    for (size_t a = 0; a < layout.dims.size(); ++a) {
      highest += std::max<int64_t>((layout.dims[a] - 1) * layout.strides[a], 0);
    }
    return start <= highest;
  }

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

  std::vector<int64_t> banks_;
  int64_t base_;
  std::vector<int64_t> strides_;
  int64_t offset_;
};

REGISTER_KERNEL_BUILDER(Name("Tpufi>ReplaceRun").Device(tensorflow::DEVICE_CPU),
                        ReplaceRunCpuOp);
REGISTER_XLA_OP(Name("Tpufi>ReplaceRun").TypeConstraint("T", kElementTypes),
                ReplaceRunXlaOp);

}  // namespace
}  // namespace tpufi
