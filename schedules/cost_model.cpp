#include "cost_model.h"

#include "runtime/winograd.h"
#include "schedule_check.h"

#include <algorithm>
#include <cmath>

namespace sepal {
namespace {

// Throughput of one core, as x86 cores of the last ten years have it.
constexpr double loads_per_cycle = 2, uops_per_cycle = 4;
constexpr double fma_latency = 4;             // cycles between two steps of one accumulator
constexpr double l2_bytes_per_cycle = 32;     // sustained, into L1
constexpr double far_bytes_per_cycle = 8;     // from beyond L2
constexpr double l3_bytes_per_cycle = 16;     // from L3, of what is fetched ahead or read in order
constexpr double kept_in_l3 = 16 << 20;       // bytes
constexpr double copy_bytes_per_cycle = 16;   // of a padded copy, whose rows are short
constexpr double tile_cycles = 12;            // of starting a tile: addresses, bias, the branch mispredicted at its end
constexpr double tap_cycles = 3;              // of starting the loop over channels for one more tap
constexpr double strip_cycles = 100;
constexpr double transform_cycles = 4, restore_cycles = 3;  // of each of a tile's n^2 values by Winograd's algorithm, for a vector of channels
constexpr double task_cycles = 2000;          // of handing a task to a thread
constexpr double usable = 0.75;               // of a cache: the rest is for what is not counted
constexpr double not_overlapped = 0.25;       // of the lesser resources
constexpr int longest_body = 1024;            // multiply-adds unrolled into one loop body

double ceil_div(double a, double b) { return std::ceil(a / b); }

// SSE has no fused multiply-add: a product and a sum, each of which takes one of the two units.
double fma_per_cycle(Isa isa) { return isa == Isa::x64 ? 1 : 2; }

// What the kernel asks of each resource, of all threads together.
struct Demand {
    double core = 0;       // cycles of the core on data in L1
    double l2_bytes = 0;   // from L2 into L1
    double far_bytes = 0;  // from beyond L2

    double cycles() const {
        const double parts[] = {core, l2_bytes / l2_bytes_per_cycle, far_bytes / far_bytes_per_cycle};
        const double longest = *std::max_element(std::begin(parts), std::end(parts));
        return longest + not_overlapped * (parts[0] + parts[1] + parts[2] - longest);
    }
    // Reads `bytes` that stay in L1, in L2 or in neither.
    void read(double bytes, bool in_l1, bool in_l2) {
        if (in_l1) return;
        l2_bytes += bytes;
        if (!in_l2) far_bytes += bytes;
    }
};

// A sum over channels (and taps) on accumulator tiles of k_vectors x q_tile: conv2d, pointwise, and the second half of depsep.
struct Product {
    double rows = 0, q = 0;       // of output: rows of all images, pixels of a row
    double k = 0, c = 0;          // of a group
    double taps = 1, groups = 1;
    double strips = 0;            // times that every panel of a group's filter is walked
    double strip_pixels = 0;      // of output
    double source_bytes = 0;      // that a strip's panels read, each all of it
    double stride_w = 1, dilation_w = 1;
};

// Distinct inputs under `outputs` neighbouring outputs in one direction, as far as any tap reads them.
double window(double outputs, double taps, double stride, double dilation) {
    return std::min((outputs - 1) * stride + (taps - 1) * dilation + 1, outputs * taps);
}

// Cycles of one step: every vector of the filter's panel, for one channel of s_unroll taps, times every pixel of the tile.
double step_cycles(const Schedule &s, const Product &p, Isa isa) {
    const double taps = std::max(s.s_unroll, 1), inputs = window(s.q_tile, taps, p.stride_w, p.dilation_w);
    const double products = taps * s.k_vectors * s.q_tile, filters = taps * s.k_vectors;
    // A single vector's products by a single tap take their input value from memory, broadcast by the load; else each is broadcast once.
    const double broadcasts = s.k_vectors == 1 && taps == 1 ? 0 : inputs;
    const double uops = products * (isa == Isa::x64 ? 2 : 1) + filters + broadcasts + 3.0 / std::max(s.c_unroll, 1);
    return std::max({products / fma_per_cycle(isa), (inputs + filters) / loads_per_cycle, uops / uops_per_cycle, fma_latency * taps});
}

// Of the c channels of a sum, those that are summed up in one go.
double channels_of_block(const Schedule &s, double c) { return s.c_block > 0 ? std::min(double(s.c_block), c) : c; }

void add_product(Demand &d, const Product &p, const Schedule &s, Isa isa, const CoreBudget &budget) {
    const double l1 = usable * double(budget.l1_bytes), l2 = usable * double(budget.l2_bytes);
    const double block = channels_of_block(s, p.c), blocks = ceil_div(p.c, block);
    const double panel_channels = double(s.lanes) * s.k_vectors, panels = ceil_div(p.k, panel_channels);
    const double tiles = p.rows * ceil_div(p.q, s.q_tile) * panels * p.groups;  // a row's last tile is computed whole
    const double loops = p.taps / std::max(s.s_unroll, 1);
    d.core += tiles * (loops * p.c * step_cycles(s, p, isa) + tile_cycles + s.k_vectors * s.q_tile + blocks * loops * tap_cycles);

    // From tile to tile, what a panel's block and the tile's own input take of L1 decides where the block comes from.
    const double panel_bytes = 4 * p.taps * block * panel_channels, tile_input = 4 * block * s.q_tile * std::sqrt(p.taps);
    d.read(tiles * blocks * panel_bytes, panel_bytes + tile_input <= l1, panel_bytes <= l2 / 2);
    // From panel to panel, the strip's input is read again; from strip to strip, the whole filter.
    d.read(p.strips * panels * p.source_bytes, p.source_bytes + panel_bytes <= l1, p.source_bytes + panel_bytes <= l2);
    const double filter_bytes = 4 * p.taps * p.c * panels * panel_channels;
    d.read(p.strips * filter_bytes, panels == 1 && panel_bytes <= l1, filter_bytes + p.source_bytes <= l2);
    if (blocks > 1) {  // partial sums of a strip and panel: read and written once for each block
        const double partial = 4 * p.strip_pixels * panel_channels, moved = 2 * blocks * partial * p.strips * panels;
        d.core += moved / (4.0 * s.lanes);
        d.read(moved, partial + panel_bytes <= l1, partial + panel_bytes <= l2);
    }
}

// Cycles of one tile of one vector x q_tile x p_tile of a depthwise convolution, all taps unrolled.
double taps_tile_cycles(const ConvProblem &p, int q_tile, int p_tile, Isa isa) {
    const double taps = double(p.r * p.s), products = taps * q_tile * p_tile;
    const bool taps_stay = q_tile * p_tile + taps + 1 <= vector_registers(isa);
    const double inputs = window(q_tile, double(p.s), double(p.stride_w), double(p.dilation_w)) *
                          window(p_tile, double(p.r), double(p.stride_h), double(p.dilation_h));
    // Taps that find no register are operands in memory of every product.
    const double loads = taps_stay ? inputs + taps : inputs + products;
    const double steps = std::max({products / fma_per_cycle(isa), loads / loads_per_cycle, (products + inputs) / uops_per_cycle});
    return steps + q_tile * p_tile + tile_cycles / 2;
}

// An output that leaves the caches is read before it is written, unless it bypasses them.
void write_output(Demand &d, const Schedule &s, const ConvProblem &p, Isa isa) {
    if (streaming_pays(p, isa) && !is_streaming(s)) d.far_bytes += 4 * double(p.output_elements());
}

// The whole of `demand` shared out among the threads, as whole tasks.
Prediction share(const Demand &demand, double tasks, double most_tasks, const CoreBudget &budget) {
    if (tasks < std::min<double>(budget.threads, most_tasks)) return {0, "fewer tasks than threads"};
    const double rounds = ceil_div(tasks, budget.threads);
    return {(demand.cycles() + tasks * (budget.threads > 1 ? task_cycles : strip_cycles)) * rounds / tasks, nullptr};
}

Prediction predict_depthwise(const Schedule &s, const ConvProblem &p, Isa isa, const CoreBudget &budget) {
    const double q = double(p.q()), rows = double(p.p());
    if (s.q_tile > q || s.p_tile > rows) return {0, "a tile wider or higher than the image"};
    if (registers_needed(s, p.op, isa) > vector_registers(isa)) return {0, "more accumulators than registers"};
    if (p.r * p.s * s.q_tile * s.p_tile > longest_body) return {0, "too long a body"};
    if (double(s.p_strip - 1) * s.p_tile >= rows) return {0, "strips higher than the image"};
    const double vectors = ceil_div(double(p.mid_channels()), s.lanes), columns = ceil_div(q, s.q_tile);
    const double tile_rows = ceil_div(rows, s.p_tile), strip = double(s.p_tile) * s.p_strip;
    Demand d;
    d.core = double(p.n) * vectors * columns * tile_rows * taps_tile_cycles(p, s.q_tile, s.p_tile, isa);
    // Tiles walk along a row: rows of input that two rows of tiles share come from L2, or from beyond it where they do not stay.
    const double row_bytes = 4.0 * double(p.w * p.c), read_rows = double((s.p_tile - 1) * p.stride_h + (p.r - 1) * p.dilation_h + 1);
    const double new_rows = std::min(read_rows, double(s.p_tile * p.stride_h));
    d.l2_bytes = double(p.n) * tile_rows * read_rows * row_bytes;
    const bool stays = read_rows * row_bytes <= usable * double(budget.l2_bytes);
    const double tasks = double(p.n) * ceil_div(rows, strip);
    d.far_bytes = double(p.n) * tile_rows * (stays ? new_rows : read_rows) * row_bytes + tasks * (stays ? read_rows - new_rows : 0) * row_bytes;
    write_output(d, s, p, isa);
    return share(d, tasks, double(p.n) * rows, budget);
}

// Registers, sizes and divisions that all sums over channels need.
const char *product_pruned(const Schedule &s, Operator op, Isa isa, double q, double k, double c) {
    if (registers_needed(s, op, isa) > vector_registers(isa)) return "more accumulators than registers";
    if (s.q_tile > q) return "a tile wider than the image";
    if (s.k_vectors > ceil_div(k, s.lanes)) return "a panel wider than the output channels";
    if (s.q_strip - s.q_tile >= q) return "strips wider than the image";
    if (std::fmod(s.c_block > 0 ? s.c_block : c, std::max(s.c_unroll, 1)) != 0) return "channels that are not whole unrolled steps";
    if (s.k_vectors * s.q_tile * s.c_unroll * std::max(s.s_unroll, 1) > longest_body) return "too long a body";
    return nullptr;
}

double aligned(double channels, const Schedule &s) { return ceil_div(channels, 3.0 * s.lanes) * 3 * s.lanes; }

// Times that a strip's source is made, once for each k_strip of panels.
double panel_strips(const Schedule &s, double k) { return s.k_strip == 0 ? 1 : ceil_div(k, double(s.lanes) * s.k_vectors * s.k_strip); }

Prediction predict_pointwise(const Schedule &s, const ConvProblem &p, Isa isa, const CoreBudget &budget) {
    const double pixels = double(p.pixels());
    if (const char *why = product_pruned(s, p.op, isa, pixels, double(p.k), double(p.c))) return {0, why};
    const double strips = ceil_div(pixels, s.q_strip);
    if (s.p_strip > 1 && s.p_strip - 1 >= strips) return {0, "tasks larger than the image"};
    Product product{1, pixels, double(p.k), double(p.c), 1, 1, strips, double(s.q_strip), 4.0 * s.q_strip * double(p.c)};
    Demand d;
    if (s.staging == 2)
        d.core += strips * panel_strips(s, double(p.k)) * product.source_bytes / copy_bytes_per_cycle;
    else if (l1_lines_for_pixels(p.c) < s.q_tile)  // every line is read from L2 for each of its channels
        d.l2_bytes += ceil_div(pixels, s.q_tile) * ceil_div(double(p.k), s.lanes * s.k_vectors) * s.q_tile * double(p.c) * 64;
    add_product(d, product, s, isa, budget);
    d.core += strips * strip_cycles;
    write_output(d, s, p, isa);
    return share(d, ceil_div(strips, s.p_strip) * panel_strips(s, double(p.k)), ceil_div(pixels, s.q_tile), budget);
}

// conv2d and depsep: strips of p_strip rows x q_strip pixels, whose source is made in scratch memory first.
Prediction predict_strips(const Schedule &s, const ConvProblem &p, Isa isa, const CoreBudget &budget) {
    const bool depsep = p.op == Operator::depsep;
    const double q = double(p.q()), rows = double(p.p()), groups = depsep ? 1 : double(p.groups);
    const double c = double(p.summed_channels()), k = double(p.k) / groups;
    if (const char *why = product_pruned(s, p.op, isa, q, k, c)) return {0, why};
    if (s.p_strip > rows) return {0, "strips higher than the image"};
    if (depsep && double(p.c) < s.lanes) return {0, "fewer channels than a vector has lanes"};
    if (!depsep && s.staging == 1 && s.q_strip < q) return {0, "strips without staging that are not whole rows"};
    const double strips = double(p.n) * ceil_div(q, s.q_strip) * ceil_div(rows, s.p_strip) * groups * panel_strips(s, k);
    Product product{double(p.n) * rows, q, k, c, depsep ? 1 : double(p.r * p.s), groups, strips / panel_strips(s, k),
                    double(s.q_strip) * s.p_strip, 0, double(p.stride_w), double(p.dilation_w)};
    Demand d;
    const bool one_tap = !depsep && p.r * p.s == 1;  // reads nothing of what the stride passes over
    const double strip_rows = (s.p_strip - 1) * (one_tap ? 1 : double(p.stride_h)) + double(p.dilation_h * (p.r - 1)) + 1;
    const double strip_columns = (s.q_strip - 1) * (one_tap ? 1 : double(p.stride_w)) + double(p.dilation_w * (p.s - 1)) + 1;
    const double read_bytes = 4 * strip_rows * strip_columns * (depsep ? double(p.c) : c);
    if (depsep) {
        if (s.p_tile > s.p_strip) return {0, "a depthwise tile higher than the strip"};
        if (depthwise_half_registers(s, isa) > vector_registers(isa)) return {0, "more accumulators than registers"};
        product.source_bytes = 4 * product.strip_pixels * aligned(c, s);
        const double tiles = ceil_div(s.q_strip, s.mid_q_tile) * ceil_div(s.p_strip, s.p_tile) * ceil_div(c, s.lanes);
        d.core += strips * tiles * taps_tile_cycles(p, s.mid_q_tile, s.p_tile, isa);
        // The depthwise half's own filter passes through L1 with every row of tiles.
        d.l2_bytes += strips * (read_bytes + ceil_div(s.q_strip * s.p_strip, s.mid_q_tile * s.p_tile) * 4 * double(p.r * p.s) * c);
    } else if (s.staging == 1) {
        product.source_bytes = read_bytes;
    } else {
        product.source_bytes = 4 * strip_rows * strip_columns * aligned(c, s);
        d.core += strips * product.source_bytes / copy_bytes_per_cycle;
        d.l2_bytes += strips * read_bytes;
    }
    if (product.source_bytes * channels_of_block(s, c) / c > usable * double(budget.l2_bytes)) return {0, "a strip larger than L2"};
    // What two strips both read stays in L2 between them along a row, not from one row of strips to the next.
    d.far_bytes += strips * read_bytes * std::min(1.0, s.q_strip * double(p.stride_w) / strip_columns);
    add_product(d, product, s, isa, budget);
    d.core += strips * strip_cycles;
    write_output(d, s, p, isa);
    return share(d, double(p.n) * ceil_div(rows, s.p_strip) * panel_strips(s, k), double(p.n) * rows, budget);
}

// conv2d by Winograd's algorithm: blocks of q_strip x p_strip tiles, n^2 products of each block with each panel.
Prediction predict_winograd(const Schedule &s, const ConvProblem &p, Isa isa, const CoreBudget &budget) {
    const double m = s.winograd, q = double(p.q()), rows = double(p.p()), c = double(p.c), k = double(p.k);
    const double points = std::pow(double(winograd_matrices(s.winograd).n), 2), tiles = double(s.q_strip) * s.p_strip;
    if (s.q_tile > tiles) return {0, "a tile wider than its block"};
    if ((s.q_strip - 1) * m >= q || (s.p_strip - 1) * m >= rows) return {0, "blocks larger than the image"};
    if (registers_needed(s, p.op, isa) > vector_registers(isa)) return {0, "more accumulators than registers"};
    if (s.k_vectors > ceil_div(k, s.lanes)) return {0, "a panel wider than the output channels"};
    if (std::fmod(c, s.c_unroll) != 0) return {0, "channels that are not whole unrolled steps"};
    if (s.k_vectors * s.q_tile * s.c_unroll > longest_body) return {0, "too long a body"};
    const double blocks = double(p.n) * ceil_div(q, s.q_strip * m) * ceil_div(rows, s.p_strip * m);
    const double panel_channels = double(s.lanes) * s.k_vectors, panels = ceil_div(k, panel_channels), products = blocks * panels * points;
    const double l2 = usable * double(budget.l2_bytes);
    Demand d;
    d.core = products * ceil_div(tiles, s.q_tile) * (c * step_cycles(s, {}, isa) + tile_cycles + 2.0 * s.k_vectors * s.q_tile);
    d.core += blocks * tiles * points * (transform_cycles * ceil_div(c, s.lanes) + restore_cycles * ceil_div(k, s.lanes));
    // A product reads its plane of the transformed block, a panel all of them; both take turns with the panel's part of the filter.
    const double plane = 4 * tiles * c, run = 4 * c * panel_channels, filter = points * run * panels;
    const double block = points * plane;
    const auto read = [&](double bytes, double of, bool in_l2) {
        d.l2_bytes += bytes;
        if (!in_l2) d.far_bytes += bytes * (of <= kept_in_l3 ? far_bytes_per_cycle / l3_bytes_per_cycle : 1);
    };
    read(products * plane, block, block <= l2);
    read(products * run, filter, filter + block <= l2);
    d.read(2 * products * 4 * tiles * panel_channels, false, true);
    d.far_bytes += 4 * double(p.input_elements());
    d.core += blocks * strip_cycles;
    const double strips = panel_strips(s, k);
    return share(d, blocks * strips, blocks * panels, budget);
}

}  // namespace

Prediction predict(const Schedule &s, const ConvProblem &problem, Isa isa, const CoreBudget &budget) {
    switch (problem.op) {
    case Operator::depthwise:
        return problem.c < s.lanes ? Prediction{0, "fewer channels than a vector has lanes"} : predict_depthwise(s, problem, isa, budget);
    case Operator::pointwise: return predict_pointwise(s, problem, isa, budget);
    case Operator::conv2d:
        if (is_winograd(s)) return predict_winograd(s, problem, isa, budget);
        break;
    case Operator::depsep: break;
    }
    return predict_strips(s, problem, isa, budget);
}

}  // namespace sepal
