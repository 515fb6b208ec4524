// SPDX-License-Identifier: Apache-2.0
// Injects one fault into one tensor of a compiled program; the CPU twin is
// inject_cpu.h.
//
// An elementwise selection in the order of flat indices, with planes that say which
// elements change and how (prepare_xla.h), in a conditional, so that nothing of it runs
// without a fault. It has no loop: a compiler makes vector code of it, once for all
// sites of one shape (docs/decisions/0019-one-xla-form.md).
#ifndef TPUFI_CC_OPS_INJECT_XLA_H_
#define TPUFI_CC_OPS_INJECT_XLA_H_

#include <cstdint>
#include <vector>

#include "cc/lib/element.h"
#include "cc/lib/elements.h"
#include "cc/ops/prepare_xla.h"

namespace tpufi {

// The tensor of a site. `perm`: axis order of its view.
struct XlaSite {
  XlaSite(xla::PrimitiveType type, ElementFormat format,
          const std::vector<int64_t>& dims, const std::vector<int64_t>& perm);

  xla::PrimitiveType type;
  ElementFormat format;
  std::vector<int64_t> dims;
  std::vector<int64_t> perm;
  int64_t size;

  // Type of flat indices and numbers of elements: U32 or U64.
  xla::PrimitiveType index() const { return IndexType(size); }
};

// What a fault brings to a site. `planes` have at least as many elements as the site;
// high halves are read of 64-bit elements only.
struct XlaOperands {
  xla::XlaOp prepared;  // U32 [kPreparedFields].
  XlaNotes notes;
  XlaPlanes planes;
};

// A tensor, and what is noted of the faults in it: halves, U32 [n] each.
struct XlaInjected {
  xla::XlaOp y, low, high;
};

// Injects if `happens`, PRED, and adds what it notes; computes all of it in any case.
XlaInjected InjectXla(const XlaSite& site, const XlaOperands& operands,
                      const XlaInjected& so_far, xla::XlaOp happens);

// The same as a conditional. `record`: that of other sites, F32 [kQuarters, n], to
// which it adds its own.
struct XlaRecorded {
  xla::XlaOp y, record;
};
XlaRecorded InjectXlaIf(const XlaSite& site, const XlaOperands& operands, xla::XlaOp x,
                        xla::XlaOp record, xla::XlaOp happens);

// The same for a fault that is not prepared. `row`: S64 [kFaultFields]; `words`: U64
// [n]; `operations`: those that the fault may have.
XlaInjected InjectRawXlaIf(const XlaSite& site, OperationSet operations, xla::XlaOp x,
                           xla::XlaOp row, xla::XlaOp words, int64_t noted,
                           xla::XlaOp happens);

// The quarters of numbers whose halves are given, U32 [n] each, as F32 [kQuarters, n].
xla::XlaOp XlaQuarters(WordPair<xla::XlaOp> halves);

}  // namespace tpufi

#endif  // TPUFI_CC_OPS_INJECT_XLA_H_
