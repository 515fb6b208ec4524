// SPDX-License-Identifier: Apache-2.0
// The fault descriptor inside a compiled program.
//
// Its numbers have 64 bits, which a TPU emulates with pairs of 32-bit operations. They
// are split once per program (the compiler shares the identical halves of all sites),
// so that what each site computes has 32 bits, except for elements or tensors that
// need 64.
#ifndef TPUFI_CC_OPS_XLA_DESCRIPTOR_H_
#define TPUFI_CC_OPS_XLA_DESCRIPTOR_H_

#include <cstdint>

#include "cc/lib/element.h"
#include "cc/lib/fault_row.h"
#include "cc/ops/tf_xla.h"
#include "cc/ops/xla_words.h"

namespace tpufi {

// The halves of 64-bit numbers, as U32.
WordPair<xla::XlaOp> Halves(xla::XlaOp numbers);

// The number again, as U64.
xla::XlaOp Whole(WordPair<xla::XlaOp> halves);

class XlaDescriptor {
 public:
  // `faults`: S64 [rows, kFaultFields]. `words`: U64 [rows, capacity].
  XlaDescriptor(xla::XlaOp faults, xla::XlaOp words, int64_t capacity)
      : whole_faults_(faults),
        whole_words_(words),
        faults_(Halves(faults)),
        words_(Halves(words)),
        capacity_(capacity) {}

  WordPair<xla::XlaOp> Field(int64_t row, FaultField field) const;

  // A field in an unsigned type: its low half as U32, or all of it as U64.
  xla::XlaOp FieldAs(int64_t row, FaultField field, xla::PrimitiveType type) const;

  // Words of a row, [capacity], as U32 or U64.
  xla::XlaOp WordsAs(int64_t row, xla::PrimitiveType type) const;

  // Whether the row names `site`, and `replica` or every replica.
  xla::XlaOp Names(int64_t row, int64_t site, WordPair<xla::XlaOp> replica) const;

  // Whether the row writes given bits to consecutive elements that lie in [0, size) and
  // has a word for each, or one that it repeats. Twin of cc/lib/fault_range.h.
  xla::XlaOp IsValid(int64_t row, int64_t size, xla::PrimitiveType index_type) const;

  // Whether the row repeats its first word.
  xla::XlaOp Repeats(int64_t row) const;

  // All fields of a row, S64 [kFaultFields].
  xla::XlaOp FaultRow(int64_t row) const;

  // All words of a row, U64 [capacity].
  xla::XlaOp WordRow(int64_t row) const;

 private:
  xla::XlaOp whole_faults_;
  xla::XlaOp whole_words_;
  WordPair<xla::XlaOp> faults_;
  WordPair<xla::XlaOp> words_;
  int64_t capacity_;
};

// The record of one row, F32 [1, capacity + 1, kQuarters]: the number of struck
// elements (a scalar) and the golden bits of the first ones ([capacity]); types U32 or
// U64.
xla::XlaOp Record(xla::XlaOp count, xla::PrimitiveType count_type, xla::XlaOp golden,
                  xla::PrimitiveType golden_type, int64_t capacity);

}  // namespace tpufi

#endif  // TPUFI_CC_OPS_XLA_DESCRIPTOR_H_
