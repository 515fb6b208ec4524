// SPDX-License-Identifier: Apache-2.0
#include "cc/ops/xla_words.h"

#include <limits>

namespace tpufi {

using xla::PrimitiveType;
using xla::XlaOp;

PrimitiveType WordType(ElementFormat format) {
  switch (format.bits) {
    case 8:
      return xla::U8;
    case 16:
      return xla::U16;
    case 32:
      return xla::U32;
    default:
      return xla::U64;
  }
}

PrimitiveType IndexType(int64_t size) {
  return size <= std::numeric_limits<uint32_t>::max() ? xla::U32 : xla::U64;
}

XlaOp FlatIndices(xla::XlaBuilder* builder, PrimitiveType type,
                  const std::vector<int64_t>& dims, const View& view) {
  const xla::Shape shape = xla::ShapeUtil::MakeShape(type, dims);
  XlaOp indices = xla::Broadcast(xla::Zero(builder, type), dims);
  int64_t stride = 1;
  for (int j = static_cast<int>(dims.size()) - 1; j >= 0; --j) {
    const XlaOp coordinate = xla::Iota(builder, shape, view.perm()[j]);
    indices = indices + coordinate * xla::ScalarLike(coordinate, stride);
    stride *= view.dims()[j];
  }
  return indices;
}

XlaOp IsValid(XlaOp start, XlaOp count, int64_t size) {
  const XlaOp zero = xla::ScalarLike(count, 0);
  const XlaOp bound = xla::ScalarLike(count, size);
  const XlaOp inside =
      xla::And(xla::And(xla::Gt(count, zero), xla::Le(count, bound)),
               xla::And(xla::Ge(start, zero), xla::Le(start, bound - count)));
  return xla::Or(xla::Eq(count, zero), inside);
}

XlaOp InRun(XlaOp indices, PrimitiveType type, XlaOp start, XlaOp count,
            XlaOp strikes) {
  const XlaOp length = xla::Select(strikes, count, xla::ScalarLike(count, 0));
  return xla::Lt(indices - xla::ConvertElementType(start, type),
                 xla::ConvertElementType(length, type));
}

WordPair<XlaOp> UnsignedHalves(XlaOp numbers, PrimitiveType type) {
  if (type == xla::U32) return {numbers, xla::ZerosLike(numbers)};
  return {xla::ConvertElementType(numbers, xla::U32),
          xla::ConvertElementType(numbers >> xla::ScalarLike(numbers, 32), xla::U32)};
}

XlaOp FullMask(XlaOp pred) {
  const XlaOp bit = xla::ConvertElementType(pred, xla::U32);
  return xla::ZerosLike(bit) - bit;
}

}  // namespace tpufi
