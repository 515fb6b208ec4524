// SPDX-License-Identifier: Apache-2.0
// The lowering `branch` of Tpufi>InjectFault: every value rule, under a conditional.
#ifndef TPUFI_CC_OPS_INJECT_BRANCH_XLA_H_
#define TPUFI_CC_OPS_INJECT_BRANCH_XLA_H_

#include <cstdint>
#include <vector>

#include "cc/lib/element.h"
#include "cc/lib/view.h"
#include "cc/ops/tf_xla.h"

namespace tpufi {

// Strikes a row if the program says so; both ways are computations of their own, built
// once and used for all rows of a site.
class StrikeBranch {
 public:
  // `type`: element type; `dims`: shape of the tensor; `view`: order of its positions;
  // `confines`: whether rows may have a reach.
  StrikeBranch(xla::XlaBuilder* builder, ElementFormat format, xla::PrimitiveType type,
               const View& view, const std::vector<int64_t>& dims, int64_t capacity,
               bool confines);

  // Returns the tuple (bits, record). `strikes`: a scalar; `bits`: the elements as
  // words; `fault`: S64 [kFaultFields]; `words`: U64 [capacity].
  xla::XlaOp Apply(xla::XlaOp strikes, xla::XlaOp bits, xla::XlaOp fault,
                   xla::XlaOp words) const;

 private:
  xla::XlaComputation struck_;
  xla::XlaComputation spared_;
};

}  // namespace tpufi

#endif  // TPUFI_CC_OPS_INJECT_BRANCH_XLA_H_
