#include "kernel_table_source.h"

#include "tools/files.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <filesystem>
#include <set>

namespace sepal {
namespace {

constexpr const char *relations[] = {"=", ">=", "%", "<="};  // in the order of Condition::Relation

std::string c_string(std::string_view text) { return nlohmann::json(text).dump(); }

}  // namespace

std::vector<TableRow> built_rows(const std::vector<std::string> &spec_paths) {
    std::vector<TableRow> rows;
    for (const std::string &path : spec_paths) {
        const KernelSpec spec = kernel_spec_from_json(read_file(path));
        const std::string built_path = (std::filesystem::path(path).parent_path() / (spec.name + ".built.json")).string();
        try {
            const nlohmann::json built = nlohmann::json::parse(read_file(built_path));
            rows.push_back({spec, built.at("error"), built.at("object_bytes")});
        } catch (const nlohmann::json::exception &e) {
            throw BadInput(fmt::format("{}: not what a compilation writes: {}", built_path, e.what()));
        }
    }
    return rows;
}

std::string table_source(const std::string &name, const std::vector<TableRow> &rows, const std::string &prefix) {
    std::string declarations, arrays, table;
    std::set<std::string> declared;
    const auto function = [&](const std::string &of) {
        const std::string symbol = prefix + of + "_argv";
        if (declared.insert(of).second) declarations += fmt::format("int {}(void **argv);\n", symbol);
        return symbol;
    };
    int index = 0;
    for (const TableRow &row : rows) {
        const KernelSpec &spec = row.spec;
        const auto packer = packer_for(spec.filter_layout, spec.isa, spec.dtype);
        std::string knobs, conditions;
        for (const auto &[token, value] : spec.knobs) knobs += fmt::format("{{{}, {}}}, ", c_string(token), value);
        for (const Condition &c : spec.when) conditions += fmt::format("{{{}, {}, {}}}, ", c_string(sepal::name(c.field)), c_string(relations[int(c.relation)]), c.value);
        if (!knobs.empty()) arrays += fmt::format("static const sepal_kernel_knob knobs_{}[] = {{{}}};\n", index, knobs);
        if (!conditions.empty()) arrays += fmt::format("static const sepal_kernel_condition conditions_{}[] = {{{}}};\n", index, conditions);
        table += fmt::format("    {{{}, {}, {}, {}, {},\n     {}, {}, {}, {}, {}, {}, {},\n     {}, {}, {}, {}, {}, {}, {}, {}, {}, {}}},\n",
                             c_string(spec.name), c_string(sepal::name(spec.op)), c_string(sepal::name(spec.dtype)), c_string(sepal::name(spec.layout)),
                             c_string(sepal::name(spec.isa)), c_string(spec.scheduler), c_string(spec.suite), spec.tuned_threads, spec.knobs.size(),
                             spec.when.size(), knobs.empty() ? "0" : fmt::format("knobs_{}", index),
                             conditions.empty() ? "0" : fmt::format("conditions_{}", index), c_string(sepal::name(spec.filter_layout.kind)),
                             spec.filter_layout.panel, spec.filter_layout.tile, int(spec.block_two_rows), spec.block_pixels,
                             packer ? function(packer->name) : "0", spec.output_alignment, row.error.empty() ? function(spec.name) : "0",
                             c_string(row.error), row.error.empty() ? row.object_bytes : 0);
        index++;
    }
    return fmt::format("#include \"sepal/kernel_table.h\"\n\n{}\n{}\nstatic const sepal_kernel_row rows[] = {{\n{}}};\n"
                       "static const sepal_kernels table = {{SEPAL_KERNEL_TABLE_VERSION, {}, {}, rows}};\n\n"
                       "const sepal_kernels *{}(void);\nconst sepal_kernels *{}(void) {{ return &table; }}\n",
                       declarations, arrays, table, rows.size(), c_string(name), name, name);
}

}  // namespace sepal
