#include "peer.h"

#include "threads.h"
#include "tools/environment.h"
#include "tools/problem_file.h"
#include "tools/installed.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include <strings.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <stdexcept>

namespace sepal {

using Json = nlohmann::ordered_json;

namespace {

// A peer that is as slow as this, all runs that prepare a problem together, is not taken for one that hangs.
constexpr double slow_flops_per_second = 1e9;

std::string_view bytes_of(const std::vector<float> &values) {
    return {reinterpret_cast<const char *>(values.data()), values.size() * sizeof(float)};
}

bool can_run(const std::string &program) {
    return program.find('/') == std::string::npos || access(program.c_str(), X_OK) == 0;
}

}  // namespace

const std::vector<std::string> &peer_names() {
    static const std::vector<std::string> names = {"oneDNN", "XNNPACK", "ONNXRuntime", "OpenVINO", "PyTorch", "TensorFlow", "ncnn", "MNN"};
    return names;
}

const std::vector<std::string> &gpu_peer_names() {
    static const std::vector<std::string> names = {"PyTorch", "PyTorch-TF32"};
    return names;
}

std::vector<std::string> parse_peers(const std::string &list, const std::vector<std::string> &known) {
    if (strcasecmp(list.c_str(), "all") == 0) return known;
    std::vector<std::string> wanted;
    for (size_t begin = 0; begin <= list.size();) {
        const size_t end = std::min(list.find(',', begin), list.size());
        const std::string word = list.substr(begin, end - begin);
        const auto same = [&](const std::string &name) { return strcasecmp(name.c_str(), word.c_str()) == 0; };
        const auto found = std::find_if(known.begin(), known.end(), same);
        if (found == known.end())
            throw BadInput(fmt::format("--peers: peer \"{}\" is unknown{}; allowed: all, or some of {}", word, &known == &gpu_peer_names() ? " on a GPU" : "",
                                       fmt::join(known, ", ")));
        wanted.push_back(*found);
        begin = end + 1;
    }
    std::vector<std::string> names;
    for (const std::string &name : known)
        if (std::find(wanted.begin(), wanted.end(), name) != wanted.end()) names.push_back(name);
    return names;
}

PeerTools find_peer_tools(const std::string &python) {
    PeerTools tools;
    tools.python = python.empty() ? from_environment("SEPAL_PEERS_PYTHON") : python;
    tools.script = from_environment("SEPAL_PEERS_SCRIPT");
    if (!tools.python.empty() && !can_run(tools.python))
        throw BadInput(fmt::format("{}: the Python \"{}\" cannot be executed; tools/peers.sh makes one with all peers, build/peers/bin/python3",
                                   python.empty() ? "SEPAL_PEERS_PYTHON" : "--peers-python", tools.python));
    if (tools.python.empty()) tools.python = build_setting("peers_python");
    if (tools.script.empty()) tools.script = build_setting("peers_script");
    return tools;
}

PeerFiles::PeerFiles(const Tensors &t) : folder_("sepal-peers", "--peers: no temporary folder can be made for the tensors") {
    Json problem = Json::parse(to_json(t.problem));
    const Padding pad = t.problem.pad();
    if (t.problem.op != Operator::pointwise) problem["pad"] = {pad.top, pad.left, pad.bottom, pad.right};
    write_file(folder() + "/problem.json", {problem.dump()});
    const std::pair<const char *, const std::vector<float> *> tensors[] = {{"input", &t.input},
                                                                           {"filter", &t.filter},
                                                                           {"mid_bias", &t.mid_bias},
                                                                           {"pointwise_filter", &t.pointwise_filter},
                                                                           {"bias", &t.bias}};
    for (const auto &[name, values] : tensors)
        if (!values->empty()) write_file(folder() + "/" + name + ".f32", {bytes_of(*values)});
}

Peer::Peer(std::string name, PeerTools tools, int threads, std::string device)
    : name_(std::move(name)), tools_(std::move(tools)), threads_(threads), device_(std::move(device)) {}

std::string Peer::ask(const std::string &request, double limit, const std::string &doing, std::string &answer) {
    const std::optional<std::string> line = process_->ask(request, limit);
    if (!line) {
        const std::string why = fmt::format("{} {} while it {}", name_, process_->error(), doing);
        process_.reset();
        return why;
    }
    const Json j = Json::parse(*line, nullptr, false);
    const auto text = [&](const char *key) { return j.is_object() && j.contains(key) && j[key].is_string() ? j[key].get<std::string>() : ""; };
    if (!text("cannot").empty()) return fmt::format("{}: {}", name_, text("cannot"));
    if (!text("failed").empty()) return fmt::format("{} failed while it {}: {}", name_, doing, text("failed"));
    if (j.is_object() && j.value("ok", Json(false)) == true) {
        process_->suspend();
        answer = *line;
        return {};
    }
    process_.reset();
    return fmt::format("{} gave an answer that makes no sense while it {}: {}", name_, doing, line->substr(0, 100));
}

std::string Peer::start() {
    if (process_) return {};
    if (!unusable_.empty()) return unusable_;
    if (!can_run(tools_.python))
        return unusable_ = fmt::format("{}: not installed: there is no {}; tools/peers.sh {} makes it", name_, tools_.python, name_);
    // As Sepal's kernels: one thread stays on one CPU, more are spread over all that the process may use.
    std::vector<int> cpus = allowed_cpus();
    if (threads_ == 1 && device_ == "cpu") cpus.resize(1);
    try {
        process_ = std::make_unique<LineProcess>(std::vector<std::string>{tools_.python, tools_.script, name_, std::to_string(threads_), device_}, cpus);
    } catch (const std::runtime_error &e) {
        return unusable_ = fmt::format("{}: {}", name_, e.what());
    }
    std::string answer;
    unusable_ = ask("", tools_.start_seconds, "started", answer);
    if (!unusable_.empty()) process_.reset();
    if (unusable_.empty())
        if (const Json j = Json::parse(answer); j.contains("version") && j["version"].is_string()) version_ = j["version"];
    return unusable_;
}

Peer::Prepared Peer::prepare(const ConvProblem &problem, const PeerFiles &files, float *output) {
    Prepared result;
    std::string answer;
    result.why_not = start();
    if (result.why_not.empty()) {
        const double limit = tools_.start_seconds + problem.flops() / slow_flops_per_second;
        result.why_not = ask(Json{{"do", "prepare"}, {"folder", files.folder()}}.dump(), limit, "prepared the problem", answer);
    }
    if (!result.why_not.empty()) return result;
    const Json j = Json::parse(answer);
    if (const auto c = j.find("configuration"); c != j.end() && c->is_string()) result.configuration = c->get<std::string>();
    if (const auto w = j.find("winograd"); w != j.end() && w->is_boolean()) result.winograd = w->get<bool>();
    const std::string path = files.folder() + "/" + name_ + ".f32";
    const size_t count = size_t(problem.output_elements());
    std::FILE *file = std::fopen(path.c_str(), "rb");
    const size_t got = file ? std::fread(output, sizeof(float), count, file) : 0;
    const bool more = file && std::fgetc(file) != EOF;
    if (file) std::fclose(file);
    std::remove(path.c_str());
    if (got != count || more) result.why_not = fmt::format("{} wrote {} than the {} elements of the output", name_, more ? "more" : "fewer", count);
    return result;
}

std::optional<double> Peer::seconds(int64_t runs, bool warm_up, std::string &why_not, bool cold) {
    if (!process_) {
        why_not = fmt::format("{} is not running", name_);
        return std::nullopt;
    }
    const double limit = tools_.start_seconds + 10 * run_seconds_ * double(runs + 1);
    std::string answer;
    Json request = {{"do", "time"}, {"runs", runs}, {"warm_up", warm_up}};
    if (cold) request["cold"] = true;
    why_not = ask(request.dump(), limit, "was timed", answer);
    if (!why_not.empty()) return std::nullopt;
    const Json j = Json::parse(answer);
    const auto value = j.find("seconds");
    if (value == j.end() || !value->is_number() || !(value->get<double>() > 0)) {
        why_not = fmt::format("{} gave no time: {}", name_, answer.substr(0, 100));
        return std::nullopt;
    }
    run_seconds_ = std::max(run_seconds_, value->get<double>());
    return value->get<double>();
}

void Peer::release() {
    std::string ignored;
    run_seconds_ = 0;
    if (process_) (void)ask(Json{{"do", "release"}}.dump(), tools_.start_seconds, "gave memory back", ignored);
}

}  // namespace sepal
