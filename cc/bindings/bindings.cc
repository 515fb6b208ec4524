// SPDX-License-Identifier: Apache-2.0
// Python module _tpufi: the generator and the value rules of cc/lib for the host, so
// that Python can say beforehand which bits a fault will write.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

#include "cc/lib/element.h"
#include "cc/lib/fault_row.h"
#include "cc/lib/threefry.h"

namespace tpufi {
namespace {

namespace py = pybind11;
using Key = std::pair<uint32_t, uint32_t>;

Key Threefry(Key key, Key counter) {
  const WordPair<uint32_t> words = Threefry2x32<uint32_t>(
      {key.first, key.second}, {counter.first, counter.second});
  return {words.lo, words.hi};
}

template <typename Function>
py::array_t<uint64_t> Map(uint64_t start, int64_t count, Function f) {
  if (count < 0) {
    throw std::invalid_argument("count " + std::to_string(count) +
                                " is negative; choose 0 or more");
  }
  py::array_t<uint64_t> result(count);
  uint64_t* out = result.mutable_data();
  py::gil_scoped_release release;
  for (int64_t i = 0; i < count; ++i) out[i] = f(start + i);
  return result;
}

py::array_t<uint64_t> Words(Key key, uint64_t start, int64_t count) {
  return Map(start, count, [&](uint64_t i) {
    const WordPair<uint32_t> words = Threefry2x32<uint32_t>(
        {key.first, key.second},
        {static_cast<uint32_t>(i), static_cast<uint32_t>(i >> 32)});
    return (uint64_t{words.hi} << 32) | words.lo;
  });
}

py::array_t<uint64_t> RandomPatterns(int bits, int exponent_bits,
                                     int mantissa_bits, Key key, uint64_t start,
                                     int64_t count, bool finite) {
  const ElementFormat format = {bits, exponent_bits, mantissa_bits};
  return Map(start, count, [&](uint64_t i) {
    return RandomPattern(format, {key.first, key.second}, i, finite);
  });
}

}  // namespace

PYBIND11_MODULE(_tpufi, m) {
  m.doc() = "Host side of the tpufi fault library.";
  m.attr("built_for_tensorflow") = TPUFI_TF_VERSION;
  m.attr("fault_fields") = std::vector<std::string>(
      kFaultFieldNames, kFaultFieldNames + kFaultFields);
  m.def("threefry2x32", &Threefry, py::arg("key"), py::arg("counter"),
        "Returns the 64 random bits of `counter` under `key`.");
  m.def("words", &Words, py::arg("key"), py::arg("start"), py::arg("count"),
        "Random words of counters start .. start + count - 1, as uint64.");
  m.def("random_patterns", &RandomPatterns, py::arg("bits"),
        py::arg("exponent_bits"), py::arg("mantissa_bits"), py::arg("key"),
        py::arg("start"), py::arg("count"), py::arg("finite"),
        "Random bit patterns of elements start .. start + count - 1.");
}

}  // namespace tpufi
