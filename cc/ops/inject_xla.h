// SPDX-License-Identifier: Apache-2.0
// Injects one fault into one tensor of a compiled program; the CPU twin is
// inject_cpu.h.
//
// An elementwise selection with planes that say which elements change and how
// (prepare_xla.h). It has no loop: a compiler makes vector code of it, and fuses it
// with what the tensor comes from and goes to (docs/decisions/0019-one-xla-form.md).
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

// A tensor, and the words that it had before, as halves, U32.
struct XlaSeen {
  xla::XlaOp y;
  WordPair<xla::XlaOp> golden;
};

// The tensor as a fault leaves it. `prepared`: U32 [kPreparedFields]; `planes`: like x,
// with the words themselves of what is copied; high halves are read of 64-bit elements
// only.
XlaSeen InjectXla(xla::PrimitiveType type, ElementFormat format, xla::XlaOp prepared,
                  const XlaPlanes& planes, xla::XlaOp x);

// A tensor, and what is noted of the faults in it: halves, U32 [n] each.
struct XlaInjected {
  xla::XlaOp y, low, high;
};

// The same in a conditional, of a fault that is not prepared. `row`: S64
// [kFaultFields]; `words`: U64 [n]; `operations`: those that the fault may have.
XlaInjected InjectRawXlaIf(const XlaSite& site, OperationSet operations, xla::XlaOp x,
                           xla::XlaOp row, xla::XlaOp words, int64_t noted,
                           xla::XlaOp happens);

// The quarters of numbers whose halves are given, U32 [n] each, as F32 [kQuarters, n].
xla::XlaOp XlaQuarters(WordPair<xla::XlaOp> halves);

}  // namespace tpufi

#endif  // TPUFI_CC_OPS_INJECT_XLA_H_
