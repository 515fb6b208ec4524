// SPDX-License-Identifier: Apache-2.0
// Tpufi>InjectFault: the op behind every site of a workload.
//
// One descriptor (cc/lib/operation.h) reaches all sites of a program as run-time
// operands; a site whose id is in no row passes its tensor on.
#include <algorithm>
#include <string>
#include <vector>

#include "cc/lib/operation.h"
#include "cc/ops/element_type.h"
#include "cc/ops/inject_cpu.h"
#include "cc/ops/inject_xla.h"
#include "tensorflow/core/framework/op.h"
#include "tensorflow/core/framework/shape_inference.h"

namespace tpufi {
namespace {

using tensorflow::OpKernel;
using tensorflow::OpKernelConstruction;
using tensorflow::OpKernelContext;
using tensorflow::Tensor;
using tensorflow::XlaOpKernelContext;
using tensorflow::shape_inference::DimensionHandle;
using tensorflow::shape_inference::InferenceContext;
using tensorflow::shape_inference::ShapeHandle;
using xla::XlaOp;

absl::Status Shape(InferenceContext* ctx) {
  ShapeHandle faults, words, unused;
  DimensionHandle rows, capacity, numbers;
  TF_RETURN_IF_ERROR(ctx->WithRank(ctx->input(1), 0, &unused));
  TF_RETURN_IF_ERROR(ctx->Merge(
      ctx->input(2), ctx->MakeShape({ctx->UnknownDim(), kFaultFields}), &faults));
  TF_RETURN_IF_ERROR(ctx->WithRank(ctx->input(3), 2, &words));
  TF_RETURN_IF_ERROR(ctx->Merge(ctx->Dim(faults, 0), ctx->Dim(words, 0), &rows));
  int64_t noted;
  TF_RETURN_IF_ERROR(ctx->GetAttr("noted", &noted));
  numbers = ctx->UnknownDim();
  if (ctx->ValueKnown(ctx->Dim(words, 1))) {
    const int64_t capacity = ctx->Value(ctx->Dim(words, 1));
    numbers = ctx->MakeDim((noted < 0 ? capacity : std::min(noted, capacity)) + 1);
  }
  std::vector<int64_t> perm;
  TF_RETURN_IF_ERROR(ctx->GetAttr("perm", &perm));
  if (ctx->RankKnown(ctx->input(0)) && !IsPermutation(perm, ctx->Rank(ctx->input(0)))) {
    return absl::InvalidArgumentError(
        absl::StrCat("Tpufi>InjectFault: perm is not a permutation of ",
                     ctx->Rank(ctx->input(0)), " axes"));
  }
  tensorflow::DataType record;
  TF_RETURN_IF_ERROR(ctx->GetAttr("R", &record));
  TF_RETURN_IF_ERROR(LikeInput(ctx));
  ctx->set_output(1, record == tensorflow::DT_INT64
                         ? ctx->MakeShape({rows, numbers})
                         : ctx->MakeShape({rows, kQuarters, numbers}));
  return absl::OkStatus();
}

REGISTER_OP("Tpufi>InjectFault")
    .Attr(TPUFI_ELEMENT_TYPES)
    .Attr("R: {float, int64} = DT_FLOAT")
    .Attr("gradient: {'straight_through', 'zero_at_struck'} = 'straight_through'")
    .Attr("site: int >= 0")
    .Attr("perm: list(int) = []")
    .Attr("confines: bool = false")
    .Attr("noted: int >= -1 = -1")
    .Input("x: T")
    .Input("replica: int64")
    .Input("faults: int64")
    .Input("words: uint64")
    .Output("y: T")
    .Output("record: R")
    .SetShapeFn(Shape)
    .Doc(R"doc(
Injects the faults that name this site and replica.

Each row of `faults` is (site, replica, operation, start, count, block, stride, keep,
words, reach_start, reach_count, reach_stride, trigger_mask, low_0, high_0 .. low_3,
high_3). A row with this site and with this replica, or replica -1, changes `count`
elements of the site's view: element i of the fault, 0 <= i < count, has flat index start
+ i, or start + (i / block) * stride + i % block if block is not 0. Rows apply in order; a
row reads all it needs before it writes. Other rows change nothing. The three fields of
the reach are for the layer, which sets `confines` if it heeds them. An element x stays
unless low_i <= (x & trigger_mask) <= high_i for some i, as bits without sign; if these
fields are all 0, it is so for every element.

`words` says how many of words[row] the row has. The word w of element i is
words[row, i], or words[row, 0] if there is one word. By `operation` an element x becomes
  0, flip: x ^ w
  1, zero: +0; no words
  2, random: random finite bits that depend on words[row, 0] and the flat index
  3, replace: (x & keep) ^ w
  4, copy: the element at flat index w
  5, add: x + w; 6, multiply: x * w; as numbers of the element type, in which any NaN is
    the positive quiet one without payload
  7, error_rate: x with each bit of keep flipped with probability words[row, 1] / 2^32,
    depending on words[row, 0] and the flat index
  8, random_bits: as random, but any bits
  9, copy_random: the element at a random flat index, which depends on words[row, 0] and
    the element's own flat index
  10, carry: x + w as integers of the element's width; in a float that of exponent and
    mantissa, and an element whose sum would leave them keeps its bits

x: Tensor of any shape.
replica: Scalar, the replica that runs this program.
faults: Descriptor, [rows, 21].
words: Bits for the elements, [rows, capacity], in the low bits of each word.
y: Tensor like x.
record: How many elements the row changed here, then the bits that the first of those it
  names had before; 0 where the row does not name this site. Of type int64 [rows, 1 + n], n the
  smaller of capacity and `noted`; of float, for a record that flows through a gradient,
  [rows, 4, 1 + n]: the quarters of the numbers, 16 bits each, least significant first.
gradient: What flows back to x; see docs/decisions/0003-gradients.md.
site: Id of this site.
perm: Axis order of the site's view (view axis j is axis perm[j] of x); empty: as x.
confines: Whether rows may have a reach; see docs/decisions/0012-confined-faults.md.
noted: Most golden bits that a record has; -1: as many as there are words.
)doc");

// What both kernels know of a site.
struct SiteAttributes {
  explicit SiteAttributes(OpKernelConstruction* ctx) {
    OP_REQUIRES_OK(ctx, ctx->GetAttr("site", &site));
    OP_REQUIRES_OK(ctx, ctx->GetAttr("perm", &perm));
    OP_REQUIRES_OK(ctx, ctx->GetAttr("confines", &confines));
    tensorflow::DataType record;
    OP_REQUIRES_OK(ctx, ctx->GetAttr("R", &record));
    OP_REQUIRES_OK(ctx, ctx->GetAttr("noted", &noted));
    whole_record = record == tensorflow::DT_INT64;
  }

  // Golden bits of a record.
  int64_t Noted(int64_t capacity) const {
    return noted < 0 ? capacity : std::min(capacity, noted);
  }

  absl::Status CheckPerm(int rank) const {
    if (IsPermutation(perm, rank)) return absl::OkStatus();
    return absl::InvalidArgumentError(absl::StrCat(
        "Tpufi>InjectFault: perm is not a permutation of ", rank, " axes"));
  }

  int64_t site = 0;
  std::vector<int64_t> perm;
  bool confines = false;
  int64_t noted = 0;
  bool whole_record = false;  // Of int64, not of quarters.
};

class InjectFaultCpuOp final : public OpKernel {
 public:
  explicit InjectFaultCpuOp(OpKernelConstruction* ctx) : OpKernel(ctx), site_(ctx) {}

  void Compute(OpKernelContext* ctx) override {
    const Tensor *x = nullptr, *replica = nullptr;
    Inputs in;
    OP_REQUIRES_OK(ctx, ctx->input("x", &x));
    OP_REQUIRES_OK(ctx, ctx->input("replica", &replica));
    OP_REQUIRES_OK(ctx, ctx->input("faults", &in.faults));
    OP_REQUIRES_OK(ctx, ctx->input("words", &in.words));
    OP_REQUIRES_OK(ctx, CheckScalar(type_string(), "replica", *replica));
    OP_REQUIRES(
        ctx,
        in.faults->dims() == 2 && in.faults->dim_size(1) == kFaultFields &&
            in.words->dims() == 2 && in.words->dim_size(0) == in.faults->dim_size(0),
        absl::InvalidArgumentError(absl::StrCat(
            type_string(), ": faults must be [rows, ", kFaultFields,
            "] and words [rows, capacity], got ", in.faults->shape().DebugString(),
            " and ", in.words->shape().DebugString())));
    tensorflow::TensorShape shape({in.rows()});
    if (!site_.whole_record) shape.AddDim(kQuarters);
    shape.AddDim(site_.Noted(in.capacity()) + 1);
    Tensor* record = nullptr;
    OP_REQUIRES_OK(ctx, ctx->allocate_output("record", shape, &record));
    std::memset(record->data(), 0, record->TotalBytes());
    Tensor* y = nullptr;  // Null as long as nothing is changed.
    for (int64_t row = 0; row < in.rows(); ++row) {
      const int64_t target = in.Field(row, kReplica);
      if (in.Field(row, kSite) != site_.site || in.Field(row, kCount) == 0) continue;
      if (target != -1 && target != replica->scalar<int64_t>()()) continue;
      OP_REQUIRES_OK(ctx, CheckRow(*x, in, row));
      if (y == nullptr) OP_REQUIRES_OK(ctx, WritableOutput(ctx, &y));
      InjectRow(ctx, in, row, y, record);
    }
    if (y == nullptr) ctx->set_output(0, *x);
  }

 private:
  struct Inputs {
    const Tensor* faults = nullptr;
    const Tensor* words = nullptr;

    int64_t rows() const { return faults->dim_size(0); }
    int64_t capacity() const { return words->dim_size(1); }
    int64_t Field(int64_t row, FaultField field) const {
      return faults->matrix<int64_t>()(row, field);
    }
    const uint64_t* Words(int64_t row) const {
      return static_cast<const uint64_t*>(words->data()) + row * capacity();
    }
    TriggerOf<uint64_t> TriggerOfRow(int64_t row) const {
      return TriggerOfFields([&](int field) {
        return static_cast<uint64_t>(Field(row, static_cast<FaultField>(field)));
      });
    }
    Elements ElementsOf(int64_t row) const {
      return {Field(row, kStart), Field(row, kCount), Field(row, kBlock),
              Field(row, kStride)};
    }
  };

  absl::Status CheckRow(const Tensor& x, const Inputs& in, int64_t row) const {
    TF_RETURN_IF_ERROR(site_.CheckPerm(x.dims()));
    const std::string here = absl::StrCat(type_string(), " at site ", site_.site);
    const Elements elements = in.ElementsOf(row);
    const int64_t operation = in.Field(row, kOperation);
    const int64_t given = in.Field(row, kGiven);
    if (operation < 0 || operation >= kOperations) {
      return absl::InvalidArgumentError(
          absl::StrCat(here, ": operation ", operation, " is not one of 0 to ",
                       kOperations - 1, "; see the op's documentation"));
    }
    if (!WordsFit(operation, elements.count, given) || given > in.capacity()) {
      return absl::InvalidArgumentError(absl::StrCat(
          here, ": ", given, " of at most ", in.capacity(), " words for count ",
          elements.count, " of operation ", kOperationNames[operation],
          "; give a word for each element or one for all, a key, or a key and a rate"));
    }
    if (!site_.confines && in.Field(row, kReachCount) != 0) {
      return absl::InvalidArgumentError(absl::StrCat(
          here,
          ": a fault can be confined to some results in the input and weight of a "
          "convolution or dense layer only; leave the reach out"));
    }
    TF_RETURN_IF_ERROR(CheckElements(here, elements, x.NumElements()));
    for (int64_t i = 0; operation == kCopy && i < given; ++i) {
      const uint64_t source = in.Words(row)[i];
      if (source < static_cast<uint64_t>(x.NumElements())) continue;
      return absl::InvalidArgumentError(
          absl::StrCat(here, ": source ", source,
                       " of a copy is outside the tensor, whose flat indices are [0, ",
                       x.NumElements(), ")"));
    }
    return absl::OkStatus();
  }

  void InjectRow(OpKernelContext* ctx, const Inputs& in, int64_t row, Tensor* y,
                 Tensor* record) const {
    const auto dims = y->shape().dim_sizes();
    const View view({dims.begin(), dims.end()}, site_.perm);
    const ElementFormat format = FormatOf(y->dtype());
    const Fault fault = {in.ElementsOf(row),
                         static_cast<Operation>(in.Field(row, kOperation)),
                         static_cast<uint64_t>(in.Field(row, kKeep)),
                         in.Field(row, kGiven),
                         in.Words(row),
                         in.TriggerOfRow(row)};
    WithWords(y, format, [&](auto* elements) {
      const CpuInjection injection(format, fault, view, elements, y->NumElements());
      Note(record, row, 0, injection.Count());
      const int64_t noted = std::min(fault.elements.count, site_.Noted(in.capacity()));
      for (int64_t i = 0; i < noted; ++i) {
        Note(record, row, 1 + i, injection.Bits(i));
      }
      injection.Run(ctx);
    });
  }

  void Note(Tensor* record, int64_t row, int64_t i, uint64_t number) const {
    if (site_.whole_record) {
      record->matrix<int64_t>()(row, i) = static_cast<int64_t>(number);
      return;
    }
    for (int q = 0; q < kQuarters; ++q) {
      record->tensor<float, 3>()(row, q, i) = Quarter(number, q);
    }
  }

  SiteAttributes site_;
};

class InjectFaultXlaOp final : public tensorflow::XlaOpKernel {
 public:
  explicit InjectFaultXlaOp(OpKernelConstruction* ctx) : XlaOpKernel(ctx), site_(ctx) {}

  void Compile(XlaOpKernelContext* ctx) override {
    const absl::StatusOr<xla::Shape> shape = ctx->InputXlaShape("x");
    const absl::StatusOr<xla::Shape> words_shape = ctx->InputXlaShape("words");
    OP_REQUIRES_OK(ctx, shape.status());
    OP_REQUIRES_OK(ctx, words_shape.status());
    const int64_t rows = words_shape->dimensions(0);
    const int64_t capacity = words_shape->dimensions(1);
    const std::vector<int64_t> dims(shape->dimensions().begin(),
                                    shape->dimensions().end());
    OP_REQUIRES_OK(ctx, site_.CheckPerm(dims.size()));
    xla::XlaBuilder* builder = ctx->builder();
    if (xla::ShapeUtil::ElementsIn(*shape) == 0 || rows == 0 || capacity == 0) {
      ctx->SetOutput(0, ctx->Input("x"));
      ctx->SetOutput(1, NoRecord(builder, rows, site_.Noted(capacity) + 1));
      return;
    }
    const ElementFormat format = FormatOf(ctx->input_type(0));
    const XlaSite site(ctx->input_xla_type(0), format, dims, site_.perm);
    const int64_t noted = site_.Noted(capacity);
    XlaOp y = ctx->Input("x");
    std::vector<XlaOp> records;
    for (int64_t row = 0; row < rows; ++row) {
      const auto of_row = [&](absl::string_view name, int64_t size) {
        return xla::Reshape(xla::SliceInDim(ctx->Input(name), row, row + 1, 1, 0),
                            {size});
      };
      const XlaOp numbers = of_row("faults", kFaultFields);
      const XlaFault fault(numbers, of_row("words", capacity));
      const auto is = [&](FaultField one, XlaOp value) {
        return xla::Eq(fault.field[one], value);
      };
      const XlaOp id = xla::ConstantR0<int64_t>(builder, site_.site);
      const XlaOp every = xla::ConstantR0<int64_t>(builder, -1);
      XlaOp named =
          xla::And(is(kSite, id),
                   xla::Or(is(kReplica, every), is(kReplica, ctx->Input("replica"))));
      if (!site_.confines) named = xla::And(named, xla::Not(fault.IsConfined()));
      const XlaInjected injected =
          InjectRawXlaIf(site, kAllOperations, y, numbers, fault.words, noted, named);
      y = injected.y;
      records.push_back(Record({injected.low, injected.high}, noted + 1));
    }
    ctx->SetOutput(0, y);
    ctx->SetOutput(1, xla::ConcatInDim(builder, records, 0));
  }

 private:
  // A record of numbers whose halves are given, U32 [n] each.
  XlaOp Record(WordPair<XlaOp> halves, int64_t n) const {
    if (site_.whole_record) {
      return xla::Reshape(xla::BitcastConvertType(Whole(halves), xla::S64), {1, n});
    }
    return xla::Reshape(XlaQuarters(halves), {1, kQuarters, n});
  }

  XlaOp NoRecord(xla::XlaBuilder* builder, int64_t rows, int64_t numbers) const {
    if (site_.whole_record) {
      return xla::Broadcast(xla::Zero(builder, xla::S64), {rows, numbers});
    }
    return xla::Broadcast(xla::Zero(builder, xla::F32), {rows, kQuarters, numbers});
  }

  SiteAttributes site_;
};

REGISTER_KERNEL_BUILDER(Name("Tpufi>InjectFault").Device(tensorflow::DEVICE_CPU),
                        InjectFaultCpuOp);
REGISTER_XLA_OP(Name("Tpufi>InjectFault").TypeConstraint("T", kElementTypes),
                InjectFaultXlaOp);

}  // namespace
}  // namespace tpufi
