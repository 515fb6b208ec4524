// SPDX-License-Identifier: Apache-2.0
// Injects one fault into one tensor of a compiled program; the CPU twin is
// inject_cpu.h.
//
// A conditional. Its branch is a loop over the elements of the fault, which reads one,
// does the operation on it and writes it back. Nothing in it computes over the whole
// tensor, and without a fault nothing of it runs. (A gather, an operation and a scatter
// of 64 elements at a time took the compiler of a TPU three times as long and made five
// times the code: docs/decisions/0019-one-xla-form.md.) A program has as many
// conditionals as sites, so that what all of them ask of a fault is computed before
// them: the compiler finds it equal and keeps one.
#ifndef TPUFI_CC_OPS_INJECT_XLA_H_
#define TPUFI_CC_OPS_INJECT_XLA_H_

#include <cstdint>
#include <vector>

#include "cc/lib/element.h"
#include "cc/lib/elements.h"
#include "cc/lib/operation.h"
#include "cc/ops/xla.h"

namespace tpufi {

// A set of operations, a bit for each.
using OperationSet = uint32_t;
inline constexpr OperationSet kAllOperations = (1u << kOperations) - 1;

// One fault, as the sites of a program see it.
class XlaFault {
 public:
  // `row`: S64 [kFaultFields]; `words`: U64 [capacity].
  XlaFault(xla::XlaOp row, xla::XlaOp words, int64_t capacity);

  // Whether the fault names `site`, and `replica` or every replica.
  xla::XlaOp Names(int64_t site, WordPair<xla::XlaOp> replica) const;

  // Whether the fault is confined to some results.
  xla::XlaOp IsConfined() const;

  // What a branch is given of the fault; XlaInjection knows the order.
  const std::vector<xla::XlaOp>& operands() const { return operands_; }

 private:
  WordPair<xla::XlaOp> Field(FaultField field) const;

  WordPair<xla::XlaOp> fields_;  // U32 [kFaultFields].
  std::vector<xla::XlaOp> operands_;
};

// The computations of one site, built once and used for all its faults.
class XlaInjection {
 public:
  // `type`: element type; `dims`: shape of the tensor; `view`: order of its positions;
  // `noted`: golden bits of a record; `whole_record`: see Apply; `operations`: those
  // that a fault may ask for, any other changes nothing.
  XlaInjection(xla::XlaBuilder* builder, ElementFormat format, xla::PrimitiveType type,
               const View& view, const std::vector<int64_t>& dims, int64_t capacity,
               int64_t noted, bool whole_record,
               OperationSet operations = kAllOperations);

  // Injects the fault into `bits`, the elements as words, if `happens`, a scalar.
  // Replaces `bits` and returns the record, S64 [1, noted + 1] or F32 [1, noted + 1,
  // kQuarters]. A fault that is not valid changes nothing.
  xla::XlaOp Apply(xla::XlaOp happens, const XlaFault& fault, xla::XlaOp* bits) const;

 private:
  xla::XlaComputation faulty_;
  xla::XlaComputation golden_;
};

}  // namespace tpufi

#endif  // TPUFI_CC_OPS_INJECT_XLA_H_
