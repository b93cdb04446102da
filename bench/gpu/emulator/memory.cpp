#include "memory.h"

#include <algorithm>
#include <cstring>

#include <fmt/format.h>

namespace sepal::ptx {
namespace {
constexpr uint64_t gap = 1 << 20;       // least bytes without memory around an allocation
constexpr uint64_t alignment = 512;
constexpr uint8_t unwritten_byte = 0xcb;  // what a download finds where nothing has been written
}  // namespace

void Allocation::set_written_range(size_t at, size_t n) {
    if (at == 0 && n == bytes) all_written = true;
    for (; n && at % 8; ++at, --n) set_written(at, 1);
    std::memset(written.data() + at / 8, 0xff, n / 8);
    for (at += n / 8 * 8, n %= 8; n; ++at, --n) set_written(at, 1);
}

uint64_t GlobalMemory::allocate(size_t bytes) {
    if (bytes == 0 || static_cast<int64_t>(bytes) < 0 || static_cast<int64_t>(bytes) > capacity_ - in_use_) return 0;
    Allocation a;
    a.address = next_, a.bytes = bytes;
    a.data.assign(bytes + 16, unwritten_byte);
    a.written.assign(bytes / 8 + 8, 0);
    next_ = (a.end() + std::max<uint64_t>(gap, bytes) + alignment - 1) / alignment * alignment;
    in_use_ += static_cast<int64_t>(bytes);
    const uint64_t address = a.address;
    allocations_.emplace(address, std::move(a));
    return address;
}

bool GlobalMemory::free(uint64_t address) {
    const auto found = allocations_.find(address);
    if (found == allocations_.end() || found->second.freed) return false;
    Allocation &a = found->second;
    in_use_ -= static_cast<int64_t>(a.bytes);
    a.freed = true;
    a.data = {}, a.written = {};
    return true;
}

Allocation *GlobalMemory::find(uint64_t address, uint64_t bytes) {
    auto behind = allocations_.upper_bound(address);
    if (behind == allocations_.begin()) return nullptr;
    Allocation &a = std::prev(behind)->second;
    return !a.freed && a.holds(address, bytes) ? &a : nullptr;
}

std::string GlobalMemory::explain(uint64_t address, uint64_t bytes) const {
    const auto behind = allocations_.upper_bound(address);
    const Allocation *before = behind == allocations_.begin() ? nullptr : &std::prev(behind)->second;
    const Allocation *after = behind == allocations_.end() ? nullptr : &behind->second;
    const auto text = [](const Allocation &a) {
        return fmt::format("an allocation of {} bytes at {:#x}{}", a.bytes, a.address, a.freed ? ", which has been freed" : "");
    };
    if (before && address < before->end()) {
        if (before->freed) return "within " + text(*before);
        return fmt::format("of which {} past the end of {}", address + bytes - before->end(), text(*before));
    }
    const uint64_t from_before = before ? address - before->end() : ~uint64_t{0};
    const uint64_t to_after = after ? after->address - address : ~uint64_t{0};
    if (!before && !after) return "and nothing is allocated";
    return from_before <= to_after ? fmt::format("{} bytes past the end of {}", from_before, text(*before))
                                   : fmt::format("{} bytes before {}", to_after, text(*after));
}

void GlobalMemory::end_launch() {
    for (Allocation *a : touched_) a->cells.clear(), a->sectors_read.clear(), a->sectors_written.clear();
    touched_.clear();
}

}  // namespace sepal::ptx
