#include "variant_table.h"

#include <fmt/format.h>

#include <algorithm>

namespace sepal {
namespace {

template<typename T>
bool take(const std::optional<T> &found, T &to) {
    if (found) to = *found;
    return found.has_value();
}

std::optional<Condition::Relation> relation_from_text(std::string_view text) {
    if (text == "=") return Condition::Relation::equal;
    if (text == ">=") return Condition::Relation::at_least;
    if (text == "%") return Condition::Relation::multiple_of;
    if (text == "<=") return Condition::Relation::at_most;
    return std::nullopt;
}

// What is unknown of it, or empty.
std::string read(const sepal_kernel_row &row, Variant &v) {
    v.name = row.name;
    if (!take(operator_from_name(row.op), v.op)) return fmt::format("operator \"{}\"", row.op);
    if (!take(dtype_from_name(row.dtype), v.dtype)) return fmt::format("dtype \"{}\"", row.dtype);
    if (!take(layout_from_name(row.layout), v.layout)) return fmt::format("layout \"{}\"", row.layout);
    if (!take(isa_from_name(row.isa), v.isa)) return fmt::format("isa \"{}\"", row.isa);
    if (!take(filter_kind_from_name(row.filter_kind), v.filter_layout.kind)) return fmt::format("filter layout \"{}\"", row.filter_kind);
    v.scheduler = row.scheduler;
    v.suite = row.suite;
    v.tuned_threads = row.tuned_threads;
    if (row.knob_count > int(v.knobs.size())) return fmt::format("so many knobs as {}", row.knob_count);
    for (int i = 0; i < row.knob_count; i++) v.knobs[size_t(i)] = {row.knobs[i].token, row.knobs[i].value};
    if (row.condition_count > int(v.when.size())) return fmt::format("so many conditions as {}", row.condition_count);
    for (const sepal_kernel_condition *c = row.conditions; c != row.conditions + row.condition_count; c++) {
        Condition &condition = v.when[size_t(v.when_count++)];
        if (!take(field_from_name(c->field), condition.field)) return fmt::format("field \"{}\"", c->field);
        if (!take(relation_from_text(c->relation), condition.relation)) return fmt::format("relation \"{}\"", c->relation);
        condition.value = c->value;
        v.residual |= condition.field == Field::residual;
    }
    v.filter_layout.panel = row.filter_panel;
    v.filter_layout.tile = row.filter_tile;
    v.block_pixels = row.block_pixels;
    v.block_two_rows = row.block_two_rows != 0;
    v.packer = row.packer;
    v.output_alignment = row.output_alignment;
    v.kernel = row.kernel;
    v.error = row.error;
    v.code_bytes = row.code_bytes;
    return {};
}

}  // namespace

std::vector<Variant> variants_of(const sepal_kernels &table, std::string &why_not) {
    why_not.clear();
    if (table.version != SEPAL_KERNEL_TABLE_VERSION) {
        why_not = fmt::format("the table of kernels is of version {}, this runtime takes version {}: generate it with the same Sepal", table.version,
                              SEPAL_KERNEL_TABLE_VERSION);
        return {};
    }
    std::vector<Variant> variants;
    variants.reserve(size_t(table.count));
    for (const sepal_kernel_row *row = table.rows; row != table.rows + table.count; row++) {
        Variant v;
        if (const std::string unknown = read(*row, v); !unknown.empty()) {
            why_not = fmt::format("table {}: kernel {} has {}, which this runtime does not know: generate it with the same Sepal", table.name, row->name, unknown);
            return {};
        }
        variants.push_back(v);
    }
    return variants;
}

}  // namespace sepal
