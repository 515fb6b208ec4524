// SPDX-License-Identifier: Apache-2.0
// The XLA twins of what cc/lib asks of a word type, and index arithmetic on tensors.
//
// Nothing here flattens, gathers from or scatters into a big tensor: indices are sums
// of N-d iotas and a fault is an elementwise select, which XLA fuses into its producer.
#ifndef TPUFI_CC_OPS_XLA_WORDS_H_
#define TPUFI_CC_OPS_XLA_WORDS_H_

#include <cstdint>
#include <vector>

#include "cc/lib/element.h"
#include "cc/lib/view.h"
#include "cc/ops/tf_xla.h"

namespace xla {

// Found by argument-dependent lookup from the templates in cc/lib.
inline XlaOp Literal(XlaOp like, uint64_t value) { return ScalarLike(like, value); }
inline XlaOp LessThan(XlaOp a, XlaOp b) { return ConvertElementType(Lt(a, b), U32); }

}  // namespace xla

namespace tpufi {

// The unsigned integer type of an element's width.
xla::PrimitiveType WordType(ElementFormat format);

// Type that holds every flat index of a tensor of `size` elements; always unsigned, so
// that `index - start < count` is one comparison that also rejects index < start.
xla::PrimitiveType IndexType(int64_t size);

// Flat index of every element in `view`, as a tensor of the tensor's own shape.
xla::XlaOp FlatIndices(xla::XlaBuilder* builder, xla::PrimitiveType type,
                       const std::vector<int64_t>& dims, const View& view);

// cc/lib/fault_range.h IsValid for run-time start and count (S64 scalars).
xla::XlaOp IsValid(xla::XlaOp start, xla::XlaOp count, int64_t size);

// True where start <= index < start + count; `strikes` false makes the range empty.
xla::XlaOp InRun(xla::XlaOp indices, xla::PrimitiveType type, xla::XlaOp start,
                 xla::XlaOp count, xla::XlaOp strikes);

// The 32-bit halves of unsigned numbers of type U32 or U64.
WordPair<xla::XlaOp> UnsignedHalves(xla::XlaOp numbers, xla::PrimitiveType type);

// All ones where `pred` is true, as U32.
xla::XlaOp FullMask(xla::XlaOp pred);

}  // namespace tpufi

#endif  // TPUFI_CC_OPS_XLA_WORDS_H_
