#include "cuda_toolkit.h"

#include "tools/environment.h"
#include "tools/files.h"
#include "tools/program.h"
#include "tools/installed.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <map>
#include <mutex>
#include <regex>
#include <sstream>

namespace fs = std::filesystem;

namespace sepal {
namespace {

const char *const shipped_architectures[] = {"sm_80", "sm_86", "sm_89", "sm_90"};

std::string folder() {
    if (const std::string named = from_environment("SEPAL_CUDA_BIN"); !named.empty()) return named;
    return is_build() ? build_setting("cuda_bin") : fs::path(on_path({"ptxas"})).parent_path().string();
}
std::string ptxas() { return folder() + "/ptxas"; }
std::string fatbinary() { return folder() + "/fatbinary"; }

std::string nvdisasm() {
    if (const std::string named = from_environment("SEPAL_NVDISASM"); !named.empty()) return named;
    const std::string beside = folder() + "/nvdisasm";
    return !folder().empty() && fs::exists(beside) ? beside : is_build() ? build_setting("nvdisasm") : on_path({"nvdisasm"});
}

// What `program` prints when asked for `option`, which every one that works answers. `why`: the reason when it does not.
std::string ask(const std::string &program, const std::string &option, std::string &why) {
    std::string printed;
    const int status = run_program({program, option}, printed);
    if (status < 0) why = fmt::format("{} cannot be run: {}", program, std::strerror(errno));
    if (status > 0) why = fmt::format("`{} {}` ends with status {}", program, option, status);
    return printed;
}

// The answer of each program is asked for once.
struct Answer {
    std::string printed, why;
};
const Answer &answer_of(const std::string &program, const std::string &option) {
    static std::mutex mutex;
    static std::map<std::string, Answer> known;
    std::lock_guard<std::mutex> lock(mutex);
    const auto [found, is_new] = known.try_emplace(program + " " + option);
    if (is_new) found->second.printed = ask(program, option, found->second.why);
    return found->second;
}

std::vector<std::string> lines_of(const std::string &text) {
    std::vector<std::string> lines;
    std::istringstream stream(text);
    for (std::string line; std::getline(stream, line);) lines.push_back(line);
    return lines;
}

std::string trimmed(const std::string &text) {
    const size_t first = text.find_first_not_of(" \t\r"), last = text.find_last_not_of(" \t\r");
    return first == std::string::npos ? "" : text.substr(first, last - first + 1);
}

// "ptxas FILE, line 6; error   : Unknown modifier '.bar'" is what ptxas says of a line, "ptxas fatal   : ..." of the whole.
std::string first_complaint(const std::string &printed, const std::string &ptx) {
    static const std::regex of_line("line ([0-9]+); (?:error|fatal) *: *(.*)"), of_all("(?:error|fatal) *: *(.*)");
    std::smatch m;
    for (const std::string &line : lines_of(printed)) {
        if (std::regex_search(line, m, of_line)) {
            const auto source = lines_of(ptx);
            const size_t at = size_t(std::atol(m[1].str().c_str()));
            return fmt::format("{} (line {} of the PTX: \"{}\")", m[2].str(), at,
                               at >= 1 && at <= source.size() ? trimmed(source[at - 1]) : "");
        }
        if (std::regex_search(line, m, of_all)) return m[1].str();
    }
    return lines_of(printed).empty() ? "it says nothing" : lines_of(printed).front();
}

// Runs one of the programs, whose words begin with its path; what it prints.
std::string run(const std::vector<std::string> &words, const std::string &ptx = "") {
    std::string printed;
    const int status = run_program(words, printed);
    if (status < 0) throw CudaToolFailed(fmt::format("{} cannot be run: {}", words[0], std::strerror(errno)));
    if (status > 0) throw CudaToolFailed(fmt::format("{} failed with status {}: {}", words[0], status, first_complaint(printed, ptx)));
    return printed;
}

std::string result(const std::string &program, const std::string &path) {
    if (!fs::exists(path)) throw CudaToolFailed(fmt::format("{} ended well but wrote nothing", program));
    return read_file(path);
}

// "sm_90" -> "90", as fatbinary wants it.
std::string number_of(const std::string &arch) { return arch.rfind("sm_", 0) == 0 ? arch.substr(3) : arch; }

}  // namespace

std::string why_no_ptxas() {
    const std::string needed = "machine code for GPUs needs ptxas and fatbinary of NVIDIA's CUDA Toolkit";
    if (folder().empty())
        return needed + ", and none were found when Sepal was configured; SEPAL_CUDA_BIN names the folder that holds them";
    for (const std::string &program : {ptxas(), fatbinary()})
        if (const Answer &answer = answer_of(program, "--version"); !answer.why.empty())
            return fmt::format("{}, and {}", needed, answer.why);
    if (answer_of(ptxas(), "--help").printed.find("'sm_80'") == std::string::npos)
        return fmt::format("{}, and {} does not know sm_80: it is older than CUDA 11", needed, ptxas());
    return "";
}

std::vector<std::string> ptxas_architectures() {
    std::vector<std::string> known;
    if (!why_no_ptxas().empty()) return known;
    for (const char *arch : shipped_architectures)
        if (answer_of(ptxas(), "--help").printed.find(fmt::format("'{}'", arch)) != std::string::npos) known.push_back(arch);
    return known;
}

const KernelResources &Cubin::resources(const std::string &kernel) const {
    std::vector<std::string> names;
    for (const KernelResources &k : kernels) {
        if (k.kernel == kernel) return k;
        names.push_back(k.kernel);
    }
    throw std::invalid_argument(
        fmt::format("there is no kernel \"{}\" in the code for {}; there are: {}", kernel, arch, fmt::join(names, ", ")));
}

std::vector<KernelResources> parse_ptxas(const std::string &printed) {
    static const std::regex entry("Compiling entry function '([^']+)'"), properties("Function properties for (\\S+)"),
        frame("([0-9]+) bytes stack frame, ([0-9]+) bytes spill stores, ([0-9]+) bytes spill loads"), registers("Used ([0-9]+) registers"),
        shared("([0-9]+) bytes smem"), deepest("([0-9]+) bytes cumulative stack size");
    std::vector<KernelResources> kernels;
    KernelResources called;  // functions that were not inlined; ptxas does not say who calls them, so their spills count for each kernel
    std::string function;
    std::smatch m;
    const auto number = [&m](size_t group) { return std::atoi(m[group].str().c_str()); };
    for (const std::string &line : lines_of(printed)) {
        if (std::regex_search(line, m, entry)) {
            kernels.emplace_back().kernel = m[1];
        } else if (std::regex_search(line, m, properties)) {
            function = m[1];
        } else if (std::regex_search(line, m, frame)) {
            KernelResources &k = !kernels.empty() && kernels.back().kernel == function ? kernels.back() : called;
            k.stack_bytes = std::max(k.stack_bytes, number(1));
            k.spill_store_bytes += number(2);
            k.spill_load_bytes += number(3);
        } else if (!kernels.empty() && std::regex_search(line, m, registers)) {
            KernelResources &k = kernels.back();
            k.registers = number(1);
            if (std::regex_search(line, m, shared)) k.shared_bytes = number(1);
            if (std::regex_search(line, m, deepest)) k.stack_bytes = std::max(k.stack_bytes, number(1));
        }
    }
    for (KernelResources &k : kernels) {
        k.spill_store_bytes += called.spill_store_bytes;
        k.spill_load_bytes += called.spill_load_bytes;
    }
    return kernels;
}

Cubin assemble_ptx(const std::string &ptx, const std::string &arch, const PtxasOptions &options) {
    if (const std::string why = why_no_ptxas(); !why.empty()) throw CudaToolFailed(why);
    const ScratchFolder scratch("sepal-ptxas", "no temporary folder can be made for ptxas");
    const std::string from = scratch.path() + "/kernel.ptx", to = scratch.path() + "/kernel.cubin";
    write_file(from, {ptx});
    std::vector<std::string> words = {ptxas(), "-v", "-arch=" + arch, "-o", to};
    // Without the second option ptxas leaves the registers of kernels that state launch bounds as they are. The bounds stay.
    if (options.maxrregcount)
        words.insert(words.end(), {"-maxrregcount", std::to_string(options.maxrregcount), "-override-directive-values"});
    words.push_back(from);
    const std::string printed = run(words, ptx);
    Cubin cubin{arch, result(ptxas(), to), parse_ptxas(printed), {}};
    static const std::regex warning("warning *: *(.*)");
    std::smatch m;
    for (const std::string &line : lines_of(printed))
        if (std::regex_search(line, m, warning)) cubin.warnings.push_back(m[1]);
    return cubin;
}

std::string make_fatbin(const std::vector<Cubin> &cubins, const std::string &ptx, const std::string &ptx_arch) {
    if (const std::string why = why_no_ptxas(); !why.empty()) throw CudaToolFailed(why);
    const ScratchFolder scratch("sepal-fatbinary", "no temporary folder can be made for fatbinary");
    const std::string to = scratch.path() + "/kernel.fatbin", text = scratch.path() + "/kernel.ptx";
    std::vector<std::string> words = {fatbinary(), "--64", "--create=" + to, "--compress=false"};
    for (const Cubin &cubin : cubins) {
        const std::string from = fmt::format("{}/{}.cubin", scratch.path(), cubin.arch);
        write_file(from, {cubin.code});
        words.push_back(fmt::format("--image3=kind=elf,sm={},file={}", number_of(cubin.arch), from));
    }
    write_file(text, {ptx});
    words.push_back(fmt::format("--image3=kind=ptx,sm={},file={}", number_of(ptx_arch), text));
    run(words);
    return result(fatbinary(), to);
}

std::string ptx_target(const std::string &ptx) {
    static const std::regex target("(?:^|\n)[ \t]*\\.target[ \t]+(sm_[0-9]+[a-z]?)");
    std::smatch m;
    if (!std::regex_search(ptx, m, target)) throw CudaToolFailed("the PTX does not say what it is for: it has no .target sm_NN");
    return m[1];
}

std::string why_no_nvdisasm() {
    const std::string needed = "showing machine code needs NVIDIA's nvdisasm (PyPI: nvidia-cuda-nvdisasm)";
    if (nvdisasm().empty()) return needed + ", and none was found when Sepal was configured; SEPAL_NVDISASM names another";
    const Answer &answer = answer_of(nvdisasm(), "--version");
    return answer.why.empty() ? "" : fmt::format("{}, and {}", needed, answer.why);
}

std::string disassemble(const Cubin &cubin) {
    if (const std::string why = why_no_nvdisasm(); !why.empty()) throw CudaToolFailed(why);
    const ScratchFolder scratch("sepal-nvdisasm", "no temporary folder can be made for nvdisasm");
    const std::string from = scratch.path() + "/kernel.cubin";
    write_file(from, {cubin.code});
    return run({nvdisasm(), "-c", from});
}

}  // namespace sepal
