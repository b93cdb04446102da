// Runs a variant on a problem and compares with the reference.
#pragma once

#include "runtime/reference.h"
#include "tools/device_option.h"

namespace sepal {

// Runs the variant on exact tensors, which it must be able to take here (why_not_runnable() and refuses() are empty), on as
// many threads as set_num_threads() said, and compares: see check_output(). Leaves the kernel's output in `tensors`.
CheckResult check_variant(const Variant &variant, Tensors &tensors, double max_macs = 1e9);

// The same on a device that runs the variant. On a GPU the memory right before and behind the output must stay as it was, too. In
// the emulator, take_emulated_launches() has those of this run afterwards.
CheckResult check_variant(const Variant &variant, const ChosenDevice &device, Tensors &tensors, double max_macs = 1e9);

// The seed of the tensors of every check, so that a command reproduces a failure.
constexpr uint32_t check_seed = 1;

}  // namespace sepal
