#include "machine.h"

#include "tools/environment.h"
#include "tools/files.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>

namespace sepal {
namespace {

using Json = nlohmann::ordered_json;

constexpr int format_version = 1;  // of the file; a change of a field's meaning counts it up

constexpr std::pair<const char *, Rate Bandwidth::*> rates[] = {{"read", &Bandwidth::read},
                                                                {"write", &Bandwidth::write},
                                                                {"copy", &Bandwidth::copy},
                                                                {"write_streaming", &Bandwidth::write_streaming},
                                                                {"copy_streaming", &Bandwidth::copy_streaming}};

// Reads the fields of one JSON object; every complaint names the file and the field.
class Fields {
public:
    Fields(const Json &object, std::string source, std::string where) : object_(object), source_(std::move(source)), where_(std::move(where)) {
        if (!object_.is_object()) complain(where_.empty() ? "the file" : fmt::format("field \"{}\"", where_), object_, "an object");
    }
    [[noreturn]] void complain(const std::string &what, const Json &found, const std::string &allowed) const {
        std::string text = found.dump();
        if (text.size() > 60) text = text.substr(0, 57) + "...";
        throw BadInput(fmt::format("{}: {} is {}; allowed: {}", source_, what, text, allowed));
    }
    const Json &at(const char *key) const {
        const auto found = object_.find(key);
        if (found == object_.end()) throw BadInput(fmt::format("{}: field \"{}\" is missing", source_, path(key)));
        return *found;
    }
    bool has(const char *key) const { return object_.contains(key); }
    double number(const char *key, double least) const {
        const Json &v = at(key);
        if (!v.is_number() || !std::isfinite(v.get<double>()) || v.get<double>() < least)
            complain(fmt::format("field \"{}\"", path(key)), v, fmt::format("a number of {} or more", least));
        return v.get<double>();
    }
    int64_t integer(const char *key, int64_t least) const {
        const Json &v = at(key);
        if (!v.is_number_integer() || v.get<int64_t>() < least)
            complain(fmt::format("field \"{}\"", path(key)), v, fmt::format("an integer of {} or more", least));
        return v.get<int64_t>();
    }
    std::string text(const char *key) const {
        const Json &v = at(key);
        if (!v.is_string()) complain(fmt::format("field \"{}\"", path(key)), v, "a text");
        return v.get<std::string>();
    }
    Isa isa(const char *key) const {
        const auto isa = cpu_isa_from_name(text(key));
        if (!isa) complain(fmt::format("field \"{}\"", path(key)), at(key), cpu_isa_names());
        return *isa;
    }
    const Json &list(const char *key) const {
        const Json &v = at(key);
        if (!v.is_array()) complain(fmt::format("field \"{}\"", path(key)), v, "a list");
        return v;
    }
    Fields element(const char *key, size_t i) const { return Fields(list(key)[i], source_, fmt::format("{}[{}]", path(key), i)); }
    Fields object(const char *key) const { return Fields(at(key), source_, path(key)); }
    std::string path(const char *key) const { return where_.empty() ? key : where_ + "." + key; }

private:
    const Json &object_;
    std::string source_, where_;
};

// What must agree for peaks of one to hold on the other.
bool same_machine(const Machine &a, const Machine &b) {
    const auto same_cache = [](const CacheLevel &x, const CacheLevel &y) { return x.level == y.level && x.bytes == y.bytes; };
    return a.cpu == b.cpu && a.isa == b.isa && a.logical_cpus == b.logical_cpus &&
           std::equal(a.caches.begin(), a.caches.end(), b.caches.begin(), b.caches.end(), same_cache);
}

void make_folders(const std::string &path) {
    for (size_t slash = path.find('/', 1); slash != std::string::npos; slash = path.find('/', slash + 1))
        (void)mkdir(path.substr(0, slash).c_str(), 0777);  // what is missing then shows when the file is written
}

}  // namespace

Json to_json(const Machine &m) {
    Json j = {{"format", format_version}, {"cpu", m.cpu}, {"isa", name(m.isa)}, {"features", m.features},
              {"logical_cpus", m.logical_cpus}, {"clock_ghz", m.clock_ghz}};
    j["caches"] = Json::array();
    for (const CacheLevel &c : m.caches) j["caches"].push_back({{"level", c.level}, {"bytes", c.bytes}, {"shared_by", c.shared_by}});
    j["fma"] = Json::array();
    for (const FmaPeak &p : m.fma)
        j["fma"].push_back({{"isa", name(p.isa)}, {"threads", p.threads}, {"gflops", p.gflops}, {"spread_pct", p.spread_pct}});
    j["bandwidth"] = Json::array();
    for (const Bandwidth &b : m.bandwidth) {
        Json entry = {{"level", b.level}, {"threads", b.threads}, {"capacity_bytes", b.capacity_bytes}, {"working_set_bytes", b.working_set_bytes}};
        for (const auto &[key, member] : rates)
            if ((b.*member).gbps > 0) entry[key] = {{"gbps", (b.*member).gbps}, {"spread_pct", (b.*member).spread_pct}};
        j["bandwidth"].push_back(entry);
    }
    return j;
}

Machine machine_from_json(const std::string &text, const std::string &source) {
    const Json j = Json::parse(text, nullptr, false);
    if (j.is_discarded()) throw BadInput(fmt::format("{}: is not valid JSON (truncated or damaged)", source));
    const Fields f(j, source, "");
    if (const int64_t version = f.integer("format", 0); version != format_version)
        throw BadInput(fmt::format("{}: field \"format\" is {}; allowed: {}", source, version, format_version));
    Machine m;
    m.cpu = f.text("cpu");
    m.isa = f.isa("isa");
    for (const Json &feature : f.list("features")) {
        if (!feature.is_string()) f.complain("an entry of field \"features\"", feature, "a text");
        m.features.push_back(feature.get<std::string>());
    }
    m.logical_cpus = int(f.integer("logical_cpus", 1));
    m.clock_ghz = f.number("clock_ghz", 0);
    for (size_t i = 0; i < f.list("caches").size(); i++) {
        const Fields c = f.element("caches", i);
        m.caches.push_back({c.text("level"), c.integer("bytes", 1), int(c.integer("shared_by", 1))});
    }
    for (size_t i = 0; i < f.list("fma").size(); i++) {
        const Fields p = f.element("fma", i);
        m.fma.push_back({p.isa("isa"), int(p.integer("threads", 1)), p.number("gflops", 1e-9), p.number("spread_pct", 0)});
    }
    for (size_t i = 0; i < f.list("bandwidth").size(); i++) {
        const Fields e = f.element("bandwidth", i);
        Bandwidth b;
        b.level = e.text("level");
        b.threads = int(e.integer("threads", 1));
        b.capacity_bytes = e.integer("capacity_bytes", 0);
        b.working_set_bytes = e.integer("working_set_bytes", 1);
        for (const auto &[key, member] : rates) {
            const bool optional = member == &Bandwidth::write_streaming || member == &Bandwidth::copy_streaming;
            if (optional && !e.has(key)) continue;
            const Fields rate = e.object(key);
            b.*member = {rate.number("gbps", 1e-9), rate.number("spread_pct", 0)};
        }
        m.bandwidth.push_back(b);
    }
    return m;
}

Machine load_machine(const std::string &path) { return machine_from_json(read_file(path), path); }

std::string machine_cache_path() {
    const std::string xdg = from_environment("XDG_CACHE_HOME"), home = from_environment("HOME");
    if (!xdg.empty() && xdg[0] == '/') return xdg + "/sepal/machine.json";
    if (!home.empty()) return home + "/.cache/sepal/machine.json";
    return {};
}

bool store_machine(const Machine &machine, const std::string &path, std::string &why) {
    if (path.empty()) {
        why = "neither HOME nor XDG_CACHE_HOME is set";
        return false;
    }
    make_folders(path);
    try {
        write_file(path, {to_json(machine).dump(2), "\n"});
    } catch (const BadInput &e) {
        why = e.what();
        return false;
    }
    return true;
}

Machine measure_or_reuse(int threads, const MeasureOptions &options, const std::function<void(const std::string &)> &warn) {
    Machine m = detect_machine();
    const std::string path = machine_cache_path();
    if (!path.empty() && access(path.c_str(), F_OK) == 0) {
        try {
            Machine stored = load_machine(path);
            if (same_machine(stored, m)) m = std::move(stored);
        } catch (const BadInput &e) {
            warn(fmt::format("measuring anew: {}", e.what()));
        }
    }
    if (m.measured(1) && m.measured(threads)) return m;
    for (int t : {1, threads})
        if (!m.measured(t)) measure_peaks(m, t, options);
    std::string why;
    if (!store_machine(m, path, why)) warn(fmt::format("the machine's peaks are not kept for later runs: {}", why));
    return m;
}

}  // namespace sepal
