#include "tools/files.h"

#include "tools/environment.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <memory>
#include <sys/stat.h>
#include <unistd.h>

namespace sepal {
namespace {

struct CloseFile {
    void operator()(std::FILE *f) const { std::fclose(f); }
};

// Removes the unfinished file unless it was renamed into place.
struct TemporaryFile {
    std::string path;
    int descriptor = -1;
    bool finished = false;
    ~TemporaryFile() {
        if (descriptor >= 0) close(descriptor);
        if (!finished) unlink(path.c_str());
    }
};

[[noreturn]] void cannot(const char *verb, const std::string &path, const std::string &why) {
    throw BadInput(fmt::format("{}: cannot be {}: {}", path, verb, why));
}

}  // namespace

void write_if_changed(const std::string &path, const std::string &text) {
    std::error_code error;
    if (!std::filesystem::exists(path, error) || read_file(path) != text) write_file(path, {text});
}

ScratchFolder::ScratchFolder(const std::string &name, const std::string &what_for) {
    path_ = from_environment("TMPDIR", "/tmp") + "/" + name + ".XXXXXX";
    if (!mkdtemp(path_.data())) throw BadInput(fmt::format("{}: {}: {}", what_for, path_, std::strerror(errno)));
}

ScratchFolder::~ScratchFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
}

std::string read_file(const std::string &path, size_t limit) {
    std::unique_ptr<std::FILE, CloseFile> file(std::fopen(path.c_str(), "rb"));
    if (!file) cannot("read", path, std::strerror(errno));
    std::string bytes;
    char block[1 << 16];
    while (const size_t got = std::fread(block, 1, sizeof block, file.get())) {
        if (bytes.size() + got > limit) cannot("read", path, fmt::format("it has more than the {} bytes allowed", limit));
        bytes.append(block, got);
    }
    if (std::ferror(file.get())) cannot("read", path, std::strerror(errno));
    return bytes;
}

void write_file(const std::string &path, std::initializer_list<std::string_view> parts) {
    struct stat found;
    std::string target = path;
    if (stat(path.c_str(), &found) == 0) {
        if (!S_ISREG(found.st_mode)) cannot("written", path, "it exists and is not a regular file");
        if (access(path.c_str(), W_OK) != 0) cannot("written", path, std::strerror(errno));
        target = std::filesystem::canonical(path).string();  // a link stays, what it points to is replaced
    }
    TemporaryFile temporary{target + ".XXXXXX"};
    temporary.descriptor = mkstemp(temporary.path.data());
    if (temporary.descriptor < 0) {
        temporary.finished = true;  // nothing to remove
        cannot("written", path, std::strerror(errno));
    }
    for (std::string_view rest : parts)
        while (!rest.empty()) {
            const ssize_t wrote = write(temporary.descriptor, rest.data(), rest.size());
            if (wrote < 0 && errno == EINTR) continue;
            if (wrote <= 0) cannot("written", path, std::strerror(errno));
            rest.remove_prefix(size_t(wrote));
        }
    // mkstemp makes the file private; an ordinary new file has the permissions that the umask leaves.
    const mode_t mask = umask(0);
    umask(mask);
    if (fchmod(temporary.descriptor, 0666 & ~mask) != 0 || fsync(temporary.descriptor) != 0) cannot("written", path, std::strerror(errno));
    if (std::rename(temporary.path.c_str(), target.c_str()) != 0) cannot("written", path, std::strerror(errno));
    temporary.finished = true;
}

void check_writable(const std::string &path) {
    const auto cannot = [&](const char *why) { return BadInput(fmt::format("{}: cannot be written: {}", path, why)); };
    if (path.empty()) throw BadInput("the name of an output file is empty; give the path of a file");
    struct stat found;
    if (stat(path.c_str(), &found) == 0) {
        if (!S_ISREG(found.st_mode)) throw cannot("it exists and is not a regular file");
        if (access(path.c_str(), W_OK) != 0) throw cannot(std::strerror(errno));
    }
    std::string trial = path + ".XXXXXX";
    const int file = mkstemp(trial.data());
    if (file < 0) throw cannot(std::strerror(errno));
    close(file);
    unlink(trial.c_str());
}

}  // namespace sepal
