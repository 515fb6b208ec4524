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

#include "cc/lib/operation.h"
#include "cc/lib/random_patterns.h"
#include "cc/lib/threefry.h"

namespace tpufi {
namespace {

namespace py = pybind11;
using Key = std::pair<uint32_t, uint32_t>;

Key Threefry(Key key, Key counter) {
  const WordPair<uint32_t> words =
      Threefry2x32<uint32_t>({key.first, key.second}, {counter.first, counter.second});
  return {words.lo, words.hi};
}

py::array_t<uint64_t> Allocate(int64_t count) {
  if (count < 0) {
    throw std::invalid_argument("count " + std::to_string(count) +
                                " is negative; choose 0 or more");
  }
  return py::array_t<uint64_t>(count);
}

py::array_t<uint64_t> Patterns(int bits, int exponent_bits, int mantissa_bits, Key key,
                               uint64_t start, int64_t count, bool finite,
                               bool has_infinity) {
  py::array_t<uint64_t> patterns = Allocate(count);
  const ElementFormat format = {bits, exponent_bits, mantissa_bits, has_infinity};
  RandomPatterns(format, {key.first, key.second}, start, count, finite,
                 patterns.mutable_data());
  return patterns;
}

// The 64 bits of each counter are those of a random uint64 element.
py::array_t<uint64_t> Words(Key key, uint64_t start, int64_t count) {
  return Patterns(64, 0, 0, key, start, count, false, true);
}

}  // namespace

PYBIND11_MODULE(_tpufi, m) {
  m.doc() = "Host side of the tpufi fault library.";
  m.attr("built_for_tensorflow") = TPUFI_TF_VERSION;
  m.attr("fault_fields") =
      std::vector<std::string>(kFaultFieldNames, kFaultFieldNames + kFaultFields);
  m.attr("operations") =
      std::vector<std::string>(kOperationNames, kOperationNames + kOperations);
  m.def("words_fit", &WordsFit<int64_t>, py::arg("operation"), py::arg("count"),
        py::arg("given"),
        "Whether `given` words are what an operation takes for `count` elements.");
  m.def("threefry2x32", &Threefry, py::arg("key"), py::arg("counter"),
        "Returns the 64 random bits of `counter` under `key`.");
  m.def("words", &Words, py::arg("key"), py::arg("start"), py::arg("count"),
        "Random words of counters start .. start + count - 1, as uint64.");
  m.def("random_patterns", &Patterns, py::arg("bits"), py::arg("exponent_bits"),
        py::arg("mantissa_bits"), py::arg("key"), py::arg("start"), py::arg("count"),
        py::arg("finite"), py::arg("has_infinity") = true,
        "Random bit patterns of elements start .. start + count - 1.");
}

}  // namespace tpufi
