// SPDX-License-Identifier: Apache-2.0
// Tpufi>InjectFault: the op behind every site of a workload.
//
// One descriptor (cc/lib/fault_row.h) reaches all sites of a program as run-time
// operands; a site whose id is in no row passes its tensor on. It writes given bit
// patterns, so it serves every value rule and exact replays alike: random and copied
// values are computed once, outside, and travel as words.
#include "cc/lib/element.h"
#include "cc/lib/fault_row.h"
#include "cc/lib/view.h"
#include "cc/ops/element_type.h"
#include "cc/ops/inject_fault_xla.h"
#include "cc/ops/struck_elements.h"
#include "tensorflow/core/framework/op.h"
#include "tensorflow/core/framework/op_kernel.h"
#include "tensorflow/core/framework/shape_inference.h"

namespace tpufi {
namespace {

using tensorflow::OpKernel;
using tensorflow::OpKernelConstruction;
using tensorflow::OpKernelContext;
using tensorflow::Tensor;
using tensorflow::shape_inference::DimensionHandle;
using tensorflow::shape_inference::InferenceContext;
using tensorflow::shape_inference::ShapeHandle;

absl::Status Shape(InferenceContext* ctx) {
  ShapeHandle faults, words, unused;
  DimensionHandle rows, capacity, records;
  TF_RETURN_IF_ERROR(ctx->WithRank(ctx->input(1), 0, &unused));
  TF_RETURN_IF_ERROR(ctx->Merge(
      ctx->input(2), ctx->MakeShape({ctx->UnknownDim(), kFaultFields}), &faults));
  TF_RETURN_IF_ERROR(ctx->WithRank(ctx->input(3), 2, &words));
  TF_RETURN_IF_ERROR(ctx->Merge(ctx->Dim(faults, 0), ctx->Dim(words, 0), &rows));
  TF_RETURN_IF_ERROR(ctx->Add(ctx->Dim(words, 1), 1, &records));
  std::vector<int64_t> perm;
  TF_RETURN_IF_ERROR(ctx->GetAttr("perm", &perm));
  if (ctx->RankKnown(ctx->input(0)) && !IsPermutation(perm, ctx->Rank(ctx->input(0)))) {
    return absl::InvalidArgumentError(
        absl::StrCat("Tpufi>InjectFault: perm is not a permutation of ",
                     ctx->Rank(ctx->input(0)), " axes"));
  }
  ctx->set_output(0, ctx->input(0));
  ctx->set_output(1, ctx->MakeShape({rows, records, kQuarters}));
  return absl::OkStatus();
}

REGISTER_OP("Tpufi>InjectFault")
    .Attr(TPUFI_ELEMENT_TYPES)
    .Attr("gradient: {'straight_through', 'zero_at_struck'} = 'straight_through'")
    .Attr("site: int >= 0")
    .Attr("perm: list(int) = []")
    .Input("x: T")
    .Input("replica: int64")
    .Input("faults: int64")
    .Input("words: uint64")
    .Output("y: T")
    .Output("record: float")
    .SetShapeFn(Shape)
    .Doc(R"doc(
Applies the faults that name this site and replica.

Each row of `faults` is (site, replica, start, count, keep, repeat). A row with this site
and with this replica, or replica -1, changes element start + i of the site's view to
(x & keep) ^ words[row, i], or ^ words[row, 0] if repeat is 1, for 0 <= i < count. Rows
apply in order. Other rows change nothing.

x: Tensor of any shape.
replica: Scalar, the replica that runs this program.
faults: Descriptor, [rows, 6].
words: Bits for the struck elements, [rows, capacity], in the low bits of each word.
y: Tensor like x.
record: [rows, 1 + capacity, 4]: how many elements the row struck here, then the bits
  that the first `capacity` of them had before. 64-bit numbers as four quarters of 16
  bits, least significant first. Zero where the row does not strike.
gradient: What flows back to x; see docs/decisions/0003-gradients.md.
site: Id of this site.
perm: Axis order of the site's view (view axis j is axis perm[j] of x); empty: as x.
)doc");

class InjectFaultCpuOp final : public OpKernel {
 public:
  explicit InjectFaultCpuOp(OpKernelConstruction* ctx) : OpKernel(ctx) {
    OP_REQUIRES_OK(ctx, ctx->GetAttr("site", &site_));
    OP_REQUIRES_OK(ctx, ctx->GetAttr("perm", &perm_));
  }

  void Compute(OpKernelContext* ctx) override {
    const Tensor faults = ctx->input(2);
    const Tensor words = ctx->input(3);
    OP_REQUIRES_OK(ctx, CheckScalar(type_string(), "replica", ctx->input(1)));
    OP_REQUIRES(ctx,
                faults.dims() == 2 && faults.dim_size(1) == kFaultFields &&
                    words.dims() == 2 && words.dim_size(0) == faults.dim_size(0),
                absl::InvalidArgumentError(absl::StrCat(
                    type_string(), ": faults must be [rows, ", kFaultFields,
                    "] and words [rows, capacity], got ", faults.shape().DebugString(),
                    " and ", words.shape().DebugString())));
    const int64_t replica = ctx->input(1).scalar<int64_t>()();
    Tensor* record = nullptr;
    OP_REQUIRES_OK(
        ctx, ctx->allocate_output(
                 1, {words.dim_size(0), words.dim_size(1) + 1, int64_t{kQuarters}},
                 &record));
    record->flat<float>().setZero();
    Tensor* y = nullptr;  // Null as long as nothing is struck.
    for (int64_t row = 0; row < faults.dim_size(0); ++row) {
      const auto fault = faults.matrix<int64_t>();
      const int64_t target = fault(row, kReplica);
      if (fault(row, kSite) != site_ || fault(row, kCount) == 0) continue;
      if (target != -1 && target != replica) continue;
      OP_REQUIRES_OK(ctx, CheckRow(ctx->input(0), faults, words, row));
      if (y == nullptr) OP_REQUIRES_OK(ctx, WritableOutput(ctx, &y));
      StrikeRow(faults, words, row, y, record);
    }
    if (y == nullptr) ctx->set_output(0, ctx->input(0));
  }

 private:
  absl::Status CheckRow(const Tensor& x, const Tensor& faults, const Tensor& words,
                        int64_t row) const {
    const auto fault = faults.matrix<int64_t>();
    const int rank = x.dims();
    if (!IsPermutation(perm_, rank)) {
      return absl::InvalidArgumentError(absl::StrCat(
          type_string(), ": perm is not a permutation of ", rank, " axes"));
    }
    const int64_t count = fault(row, kCount);
    const int64_t capacity = words.dim_size(1);
    if (fault(row, kRepeat) == 0 ? count > capacity : capacity == 0) {
      return absl::InvalidArgumentError(
          absl::StrCat(type_string(), ": count ", count, " needs as many words, got ",
                       capacity, "; widen words or set repeat"));
    }
    return CheckRange(absl::StrCat(type_string(), " at site ", site_),
                      {fault(row, kStart), count}, x.NumElements());
  }

  void StrikeRow(const Tensor& faults, const Tensor& words, int64_t row, Tensor* y,
                 Tensor* record) const {
    const auto fault = faults.matrix<int64_t>();
    const auto word = words.matrix<uint64_t>();
    auto note = record->tensor<float, 3>();
    const auto dims = y->shape().dim_sizes();
    const View view({dims.begin(), dims.end()}, perm_);
    const int64_t count = fault(row, kCount);
    for (int q = 0; q < kQuarters; ++q) note(row, 0, q) = Quarter(count, q);
    WithWords(y, FormatOf(y->dtype()), [&](auto* elements) {
      using Word = std::remove_pointer_t<decltype(elements)>;
      const Word keep = static_cast<Word>(fault(row, kKeep));
      for (int64_t i = 0; i < count; ++i) {
        Word& element = elements[view.TensorIndex(fault(row, kStart) + i)];
        for (int q = 0; q < kQuarters && i < words.dim_size(1); ++q) {
          note(row, 1 + i, q) = Quarter(element, q);
        }
        const int64_t column = fault(row, kRepeat) == 0 ? i : 0;
        element = Strike<Word>(element, keep, static_cast<Word>(word(row, column)));
      }
    });
  }

  int64_t site_;
  std::vector<int64_t> perm_;
};

REGISTER_KERNEL_BUILDER(Name("Tpufi>InjectFault").Device(tensorflow::DEVICE_CPU),
                        InjectFaultCpuOp);
REGISTER_XLA_OP(Name("Tpufi>InjectFault").TypeConstraint("T", kElementTypes),
                InjectFaultXlaOp);

}  // namespace
}  // namespace tpufi
