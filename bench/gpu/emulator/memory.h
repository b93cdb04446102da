// The device's memory and a block's shared memory: what may be accessed, what has been written, and by whom.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace sepal::ptx {

// Who accessed some bytes last. Time is a count of a launch that every start of a block, barrier and bar.warp.sync moves on.
struct Mark {
    static constexpr uint16_t several_warps = 0xffff, several_lanes = 0x8000;  // the latter plus the warp
    uint32_t time;          // 0: nobody
    uint16_t thread;        // of the block; or one of the above
    uint8_t other_blocks;   // whether some other block accessed them as well
    uint8_t kind;           // of a write
    static constexpr uint8_t plain = 0, atomic = 1, pending = 2;  // pending: a cp.async that has not been waited for
};
struct Cell {
    Mark write, read;
};

// Cells that cost nothing until they are touched.
template<typename T>
class ZeroedArray {
public:
    void allocate(size_t count) { data_.reset(static_cast<T *>(std::calloc(count, sizeof(T)))); }
    void clear() { data_.reset(); }
    explicit operator bool() const { return static_cast<bool>(data_); }
    T *get() const { return data_.get(); }

private:
    struct Free {
        void operator()(T *p) const { std::free(p); }
    };
    std::unique_ptr<T, Free> data_;
};

struct Allocation {
    uint64_t address = 0;
    size_t bytes = 0;
    bool freed = false;
    bool all_written = false;             // every byte has been written
    std::vector<uint8_t> data;            // empty when freed; 16 bytes longer, so that masks need no care at the end
    std::vector<uint8_t> written;         // a bit for each byte; empty when freed
    // Of the present launch.
    ZeroedArray<Cell> cells;
    ZeroedArray<uint8_t> sectors_read, sectors_written;  // a byte for each 32 bytes
    uint64_t end() const { return address + bytes; }
    bool holds(uint64_t a, uint64_t n) const { return a >= address && n <= bytes && a - address <= bytes - n; }
    // Of at most 16 bytes, aligned to their number.
    bool is_written(size_t at, size_t n) const {
        uint32_t bits;
        std::memcpy(&bits, &written[at / 8], sizeof bits);
        const uint32_t mask = ((1u << n) - 1) << (at % 8);
        return (bits & mask) == mask;
    }
    void set_written(size_t at, size_t n) {
        uint32_t bits;
        std::memcpy(&bits, &written[at / 8], sizeof bits);
        bits |= ((1u << n) - 1) << (at % 8);
        std::memcpy(&written[at / 8], &bits, sizeof bits);
    }
    void set_written_range(size_t at, size_t n);
};

class GlobalMemory {
public:
    explicit GlobalMemory(int64_t capacity) : capacity_(capacity) {}
    // Its address; 0 when there is not so much left. Addresses are not used again.
    uint64_t allocate(size_t bytes);
    // False when the address is not that of a live allocation.
    bool free(uint64_t address);
    // The live allocation that holds all of these bytes; else null.
    Allocation *find(uint64_t address, uint64_t bytes);
    // Why there is none, in a phrase: "4 bytes past the end of an allocation of 1024 bytes at 0x...".
    std::string explain(uint64_t address, uint64_t bytes) const;
    int64_t in_use() const { return in_use_; }
    // Drops what allocations have of the present launch.
    void end_launch();
    // Allocations that have something of the present launch.
    void in_launch(Allocation &a) { touched_.push_back(&a); }

private:
    std::map<uint64_t, Allocation> allocations_;
    std::vector<Allocation *> touched_;
    int64_t capacity_, in_use_ = 0;
    uint64_t next_ = uint64_t{1} << 36;
};

// Addresses of other spaces in generic form.
constexpr uint64_t shared_window = uint64_t{1} << 48, local_window = uint64_t{1} << 49, window_bytes = uint64_t{1} << 32;

}  // namespace sepal::ptx
