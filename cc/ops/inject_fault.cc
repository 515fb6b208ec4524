// SPDX-License-Identifier: Apache-2.0
// Tpufi>InjectFault: the op behind every site of a workload.
//
// One descriptor (cc/lib/fault_row.h) reaches all sites of a program as run-time
// operands; a site whose id is in no row passes its tensor on.
#include "cc/lib/element.h"
#include "cc/lib/fault_row.h"
#include "cc/lib/view.h"
#include "cc/ops/element_type.h"
#include "cc/ops/inject_fault_cpu.h"
#include "cc/ops/inject_fault_xla.h"
#include "cc/ops/struck_elements.h"
#include "tensorflow/core/framework/op.h"
#include "tensorflow/core/framework/op_kernel.h"
#include "tensorflow/core/framework/shape_inference.h"
#include "tensorflow/core/util/work_sharder.h"

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
    .Attr("lowering: {'select', 'branch'} = 'select'")
    .Attr("confines: bool = false")
    .Input("x: T")
    .Input("replica: int64")
    .Input("faults: int64")
    .Input("words: uint64")
    .Output("y: T")
    .Output("record: float")
    .SetShapeFn(Shape)
    .Doc(R"doc(
Applies the faults that name this site and replica.

Each row of `faults` is (site, replica, start, count, keep, rule, block, stride,
reach_start, reach_count, reach_stride). A row with this site and with this replica, or
replica -1, changes `count` elements of the site's view: element i of the fault, 0 <= i <
count, has flat index start + i, or start + (i / block) * stride + i % block if block is
not 0. Rows apply in order; a row reads all it needs before it writes. Other rows change
nothing. The last three fields are for the layer, which sets `confines` if it heeds them.

With w = words[row], an element x becomes
  rule 0, words: (x & keep) ^ w[i]
  rule 1, repeat: (x & keep) ^ w[0]
  rule 2, random: random finite bits that depend on w[0] and the flat index
  rule 3, copy: the element at flat index w[i]
  rule 4, copy_random: the element at a random flat index, which depends on w[0] and the
    element's own flat index
  rule 5, error_rate: x with each bit of keep flipped with probability w[1] / 2^32,
    depending on w[0] and the flat index
  rule 6, add: x + w[i]; rule 7, multiply: x * w[i]; as numbers of the element type, in
    which any NaN is the positive quiet one without payload

x: Tensor of any shape.
replica: Scalar, the replica that runs this program.
faults: Descriptor, [rows, 11].
words: Bits for the struck elements, [rows, capacity], in the low bits of each word.
y: Tensor like x.
record: [rows, 1 + capacity, 4]: how many elements the row struck here, then the bits
  that the first `capacity` of them had before. 64-bit numbers as four quarters of 16
  bits, least significant first. Zero where the row does not strike.
gradient: What flows back to x; see docs/decisions/0003-gradients.md.
site: Id of this site.
perm: Axis order of the site's view (view axis j is axis perm[j] of x); empty: as x.
lowering: What XLA makes of it. `select`: elementwise operations that fuse with their
  neighbours; rows must have rule 0 or 1 and block 0. `branch`: everything, under a
  conditional that is taken only if a row strikes. See docs/decisions/0011-two-lowerings.md.
confines: Whether rows may have a reach; see docs/decisions/0012-confined-faults.md.
)doc");

class InjectFaultCpuOp final : public OpKernel {
 public:
  explicit InjectFaultCpuOp(OpKernelConstruction* ctx) : OpKernel(ctx) {
    OP_REQUIRES_OK(ctx, ctx->GetAttr("site", &site_));
    OP_REQUIRES_OK(ctx, ctx->GetAttr("perm", &perm_));
    OP_REQUIRES_OK(ctx, ctx->GetAttr("lowering", &lowering_));
    OP_REQUIRES_OK(ctx, ctx->GetAttr("confines", &confines_));
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
      StrikeRow(ctx, faults, words, row, y, record);
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
    const int64_t rule = fault(row, kRule);
    const int64_t needed = WordsNeeded(rule, count);
    if (needed < 0) {
      return absl::InvalidArgumentError(
          absl::StrCat(type_string(), ": rule ", rule, " is not one of 0 to ",
                       kFaultRules - 1, "; see the op's documentation"));
    }
    if (needed > capacity) {
      return absl::InvalidArgumentError(absl::StrCat(
          type_string(), ": count ", count, " of rule ", kFaultRuleNames[rule],
          " needs ", needed, " words, got ", capacity, "; widen words or repeat one"));
    }
    if (lowering_ == "select" && (rule > kRepeat || fault(row, kBlock) != 0)) {
      return absl::InvalidArgumentError(absl::StrCat(
          type_string(), ": rule ", kFaultRuleNames[rule], " with block ",
          fault(row, kBlock), " needs lowering 'branch', this program has 'select'"));
    }
    if (!confines_ && fault(row, kReachCount) != 0) {
      return absl::InvalidArgumentError(absl::StrCat(
          type_string(), " at site ", site_,
          ": a fault can be confined to some results in the input and weight of a "
          "convolution or dense layer only; leave the reach out"));
    }
    const FaultRun run = RunOf(faults, row);
    if (!IsValid(run, x.NumElements())) {
      if (run.block == 0) {
        return CheckRange(absl::StrCat(type_string(), " at site ", site_),
                          FaultRange{run.start, count}, x.NumElements());
      }
      return absl::InvalidArgumentError(absl::StrCat(
          type_string(), " at site ", site_, ": start ", run.start, ", count ", count,
          ", block ", run.block, ", stride ", run.stride,
          " leave the tensor, whose flat indices are [0, ", x.NumElements(),
          "), or overlap; choose stride >= block and fewer elements"));
    }
    for (int64_t i = 0; rule == kCopy && i < count; ++i) {
      const uint64_t source = words.matrix<uint64_t>()(row, i);
      if (source < static_cast<uint64_t>(x.NumElements())) continue;
      return absl::InvalidArgumentError(
          absl::StrCat(type_string(), " at site ", site_, ": source ", source,
                       " of a copy is outside the tensor, whose flat indices are [0, ",
                       x.NumElements(), ")"));
    }
    return absl::OkStatus();
  }

  static FaultRun RunOf(const Tensor& faults, int64_t row) {
    const auto fault = faults.matrix<int64_t>();
    return {fault(row, kStart), fault(row, kCount), fault(row, kBlock),
            fault(row, kStride)};
  }

  void StrikeRow(OpKernelContext* ctx, const Tensor& faults, const Tensor& words,
                 int64_t row, Tensor* y, Tensor* record) const {
    const auto fault = faults.matrix<int64_t>();
    auto note = record->tensor<float, 3>();
    const auto dims = y->shape().dim_sizes();
    const View view({dims.begin(), dims.end()}, perm_);
    const FaultRun run = RunOf(faults, row);
    const ElementFormat format = FormatOf(y->dtype());
    for (int q = 0; q < kQuarters; ++q) note(row, 0, q) = Quarter(run.count, q);
    WithWords(y, format, [&](auto* elements) {
      using Word = std::remove_pointer_t<decltype(elements)>;
      const RowStrike<Word> strike = {format,
                                      run,
                                      fault(row, kRule),
                                      static_cast<Word>(fault(row, kKeep)),
                                      &words.matrix<uint64_t>()(row, 0),
                                      view,
                                      elements,
                                      static_cast<uint64_t>(y->NumElements())};
      const int64_t noted = std::min(run.count, words.dim_size(1));
      for (int64_t i = 0; i < noted; ++i) {
        const Word golden = elements[view.TensorIndex(run.Position(i))];
        for (int q = 0; q < kQuarters; ++q) note(row, 1 + i, q) = Quarter(golden, q);
      }
      const auto for_all = [&](auto put) {
        const auto& threads = *ctx->device()->tensorflow_cpu_worker_threads();
        tensorflow::Shard(
            threads.num_threads, threads.workers, run.count,
            CyclesPerElement(fault(row, kRule)),
            [&](int64_t first, int64_t last) { strike.NewBits(first, last, put); });
      };
      if (!strike.Copies()) {
        for_all([elements](int64_t, int64_t at, Word bits) { elements[at] = bits; });
        return;
      }
      std::vector<Word> fresh(run.count);
      for_all([&](int64_t i, int64_t, Word bits) { fresh[i] = bits; });
      for (int64_t i = 0; i < run.count; ++i) {
        elements[view.TensorIndex(run.Position(i))] = fresh[i];
      }
    });
  }

  static int64_t CyclesPerElement(int64_t rule) {
    return rule == kErrorRate ? 1000 : 50;
  }

  int64_t site_;
  std::vector<int64_t> perm_;
  std::string lowering_;
  bool confines_;
};

REGISTER_KERNEL_BUILDER(Name("Tpufi>InjectFault").Device(tensorflow::DEVICE_CPU),
                        InjectFaultCpuOp);
REGISTER_XLA_OP(Name("Tpufi>InjectFault").TypeConstraint("T", kElementTypes),
                InjectFaultXlaOp);

}  // namespace
}  // namespace tpufi
