// SPDX-License-Identifier: Apache-2.0
// Injects one fault into one tensor on the CPU; the XLA twin is inject_xla.h.
#ifndef TPUFI_CC_OPS_INJECT_CPU_H_
#define TPUFI_CC_OPS_INJECT_CPU_H_

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "cc/lib/element.h"
#include "cc/lib/elements.h"
#include "cc/lib/operation.h"
#include "cc/lib/random_patterns.h"
#include "cc/ops/element_arithmetic.h"
#include "tensorflow/core/framework/op_kernel.h"
#include "tensorflow/core/util/work_sharder.h"

namespace tpufi {

// One fault: what happens to which elements, in the flat indices of a view.
struct Fault {
  Elements elements;
  Operation operation;
  uint64_t keep;
  int64_t given;  // How many words there are.
  const uint64_t* words;
  TriggerOf<uint64_t> trigger = {};
};

inline absl::Status CheckScalar(absl::string_view op, absl::string_view name,
                                const tensorflow::Tensor& tensor) {
  if (tensorflow::TensorShapeUtils::IsScalar(tensor.shape())) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(absl::StrCat(
      op, ": ", name, " must be a scalar, got shape ", tensor.shape().DebugString()));
}

// Whether the elements lie in a tensor of `size`. `op` says where, for the message.
inline absl::Status CheckElements(absl::string_view op, const Elements& e,
                                  int64_t size) {
  if (IsValid(e, size)) return absl::OkStatus();
  if (e.block == 0) {
    return absl::InvalidArgumentError(
        absl::StrCat(op, ": start ", e.start, " with count ", e.count,
                     " is outside the tensor, whose flat indices are [0, ", size,
                     "); choose start >= 0, count >= 0 and start + count <= ", size,
                     " (count 0 is always allowed and changes nothing)"));
  }
  return absl::InvalidArgumentError(absl::StrCat(
      op, ": start ", e.start, ", count ", e.count, ", block ", e.block, ", stride ",
      e.stride, " leave the tensor, whose flat indices are [0, ", size,
      "), or overlap; choose stride >= block and fewer elements"));
}

// Makes output 0 a writable tensor with the contents of input 0, `x`: the input's own
// buffer if nobody else needs it, else a copy.
inline absl::Status WritableOutput(tensorflow::OpKernelContext* ctx,
                                   tensorflow::Tensor** y) {
  int forwarded_from = -1;
  const absl::Status status = ctx->forward_input_or_allocate_output(
      {0}, 0, ctx->input(0).shape(), y, &forwarded_from);
  if (status.ok() && forwarded_from != 0) {
    std::memcpy((*y)->data(), ctx->input(0).data(), (*y)->TotalBytes());
  }
  return status;
}

// Calls `f` with a pointer to the elements as unsigned integers of their width.
template <typename Function>
void WithWords(tensorflow::Tensor* tensor, ElementFormat format, Function f) {
  switch (format.bits) {
    case 8:
      return f(static_cast<uint8_t*>(tensor->data()));
    case 16:
      return f(static_cast<uint16_t*>(tensor->data()));
    case 32:
      return f(static_cast<uint32_t*>(tensor->data()));
    default:
      return f(static_cast<uint64_t*>(tensor->data()));
  }
}

// A valid fault in the elements of a tensor, given as unsigned integers.
template <typename Word>
class CpuInjection {
 public:
  CpuInjection(ElementFormat format, const Fault& fault, const View& view,
               Word* elements, uint64_t size)
      : format_(format),
        fault_(fault),
        trigger_(TriggerOfWords(fault.trigger)),
        where_(WithBlock(fault.elements)),
        view_(view),
        elements_(elements),
        size_(size) {}

  // Bits of element i of the fault.
  Word Bits(int64_t i) const {
    return elements_[view_.TensorIndex(Position(where_, i))];
  }

  // How many elements it changes.
  int64_t Count() const {
    if (fault_.trigger.mask == 0) return where_.count;
    int64_t count = 0;
    for (int64_t i = 0; i < where_.count; ++i) count += Triggers(trigger_, Bits(i));
    return count;
  }

  void Run(tensorflow::OpKernelContext* ctx) const {
    const int64_t count = where_.count;
    Word* const elements = elements_;
    const TriggerOf<Word> trigger = trigger_;
    const auto for_all = [&](auto put) {
      const auto& threads = *ctx->device()->tensorflow_cpu_worker_threads();
      tensorflow::Shard(
          threads.num_threads, threads.workers, count, CyclesPerElement(),
          [&](int64_t first, int64_t last) { NewBits(first, last, put); });
    };
    if (fault_.operation != kCopy && fault_.operation != kCopyRandom) {
      if (trigger.mask == 0) {
        for_all([elements](int64_t, int64_t at, Word bits) { elements[at] = bits; });
      } else {
        for_all([elements, trigger](int64_t, int64_t at, Word bits) {
          if (Triggers(trigger, elements[at])) elements[at] = bits;
        });
      }
      return;
    }
    // Copies read elements that must not be new ones.
    std::vector<Word> fresh(count);
    for_all([&](int64_t i, int64_t, Word bits) { fresh[i] = bits; });
    for (int64_t i = 0; i < count; ++i) {
      Word& element = elements[view_.TensorIndex(Position(where_, i))];
      if (Triggers(trigger, element)) element = fresh[i];
    }
  }

 private:
  // Calls put(i, index in the tensor, new bits) for the fault's elements first ..
  // last - 1, each before the next is read.
  template <typename Put>
  void NewBits(int64_t first, int64_t last, Put put) const {
    const uint64_t* const words = fault_.words;
    const WordPair<uint32_t> key =
        fault_.given > 0 ? Halves(words[0]) : WordPair<uint32_t>{};
    const Word keep = static_cast<Word>(fault_.keep);
    switch (fault_.operation) {
      case kZero:  // Reads nothing.
        return Each(first, last, put, [](Word, int64_t, uint64_t) { return Word{0}; });
      case kRandom:
      case kRandomBits:
        return Random(first, last, put, key);
      case kCopy:
        return Each(first, last, put, [this](Word, int64_t i, uint64_t) {
          return elements_[view_.TensorIndex(fault_.words[fault_.given == 1 ? 0 : i])];
        });
      case kCopyRandom:
        return Each(first, last, put, [this, key](Word, int64_t, uint64_t index) {
          return elements_[view_.TensorIndex(RandomIndex(key, index, size_))];
        });
      case kErrorRate:
        return Each(first, last, put,
                    [this, key, keep](Word x, int64_t, uint64_t index) {
                      const uint64_t errors =
                          ErrorPattern(format_, key, index, fault_.words[1]);
                      return static_cast<Word>(x ^ (keep & errors));
                    });
      case kAdd:
      case kMultiply:
        return Each(first, last, put, [this](Word x, int64_t i, uint64_t) {
          return Arithmetic<Word>(
              format_, fault_.operation == kAdd, x,
              static_cast<Word>(fault_.words[fault_.given == 1 ? 0 : i]));
        });
      case kCarry:
        return Each(first, last, put, [this](Word x, int64_t i, uint64_t) {
          return Carried<Word>(
              x, static_cast<Word>(fault_.words[fault_.given == 1 ? 0 : i]),
              static_cast<Word>(format_.sign_mask()));
        });
      default:
        return Change(first, last, put,
                      static_cast<Word>(KeptBits<int64_t>(fault_.operation, keep)));
    }
  }

  // Locals, for a byte that is written may be any member.
  template <typename Put>
  void Change(int64_t first, int64_t last, Put put, Word keep) const {
    const uint64_t* const words = fault_.words;
    if (fault_.given < 2) {
      const Word word = static_cast<Word>(
          fault_.given == 1 ? words[0] : OwnWord<int64_t>(fault_.operation));
      return Each(first, last, put, [=](Word x, int64_t, uint64_t) {
        return tpufi::Change<Word>(x, keep, word);
      });
    }
    return Each(first, last, put, [=](Word x, int64_t i, uint64_t) {
      return tpufi::Change<Word>(x, keep, static_cast<Word>(words[i]));
    });
  }

  template <typename Put>
  void Random(int64_t first, int64_t last, Put put, WordPair<uint32_t> key) const {
    const bool finite = fault_.operation == kRandom;
    Word patterns[kPatterns];
    if (IsRun()) {  // The patterns of neighbours are drawn together.
      for (int64_t i = first; i < last; i += kPatterns) {
        const int64_t count = std::min<int64_t>(kPatterns, last - i);
        const int64_t index = where_.start + i;
        RandomPatterns(format_, key, index, count, finite, patterns);
        for (int64_t j = 0; j < count; ++j) put(i + j, index + j, patterns[j]);
      }
      return;
    }
    return Each(first, last, put, [=](Word, int64_t, uint64_t index) {
      return static_cast<Word>(RandomPattern(format_, key, index, finite));
    });
  }

  template <typename Put, typename Rule>
  void Each(int64_t first, int64_t last, Put put, Rule new_bits) const {
    Word* const data = elements_;
    if (IsRun()) {  // A loop that can be vectorised.
      const int64_t start = where_.start;
      for (int64_t i = first; i < last; ++i) {
        put(i, start + i, new_bits(data[start + i], i, start + i));
      }
      return;
    }
    for (int64_t i = first; i < last; ++i) {
      const int64_t index = Position(where_, i);
      const int64_t at = view_.TensorIndex(index);
      put(i, at, new_bits(data[at], i, index));
    }
  }

  bool IsRun() const { return where_.block >= where_.count && view_.IsTensor(); }

  int64_t CyclesPerElement() const {
    return fault_.operation == kErrorRate ? 1000 : 50;
  }

  static TriggerOf<Word> TriggerOfWords(const TriggerOf<uint64_t>& given) {
    TriggerOf<Word> trigger = {static_cast<Word>(given.mask), {}, {}};
    for (int i = 0; i < kRanges; ++i) {
      trigger.low[i] = static_cast<Word>(given.low[i]);
      trigger.high[i] = static_cast<Word>(given.high[i]);
    }
    return trigger;
  }

  static WordPair<uint32_t> Halves(uint64_t number) {
    return {static_cast<uint32_t>(number), static_cast<uint32_t>(number >> 32)};
  }

  static constexpr int64_t kPatterns = 256;

  ElementFormat format_;
  Fault fault_;
  TriggerOf<Word> trigger_;
  Elements where_;
  const View& view_;
  Word* elements_;
  uint64_t size_;
};

}  // namespace tpufi

#endif  // TPUFI_CC_OPS_INJECT_CPU_H_
