#include "tools/tuning/database.h"

#include "runtime/kernel_error.h"
#include "tools/files.h"

#include <fmt/format.h>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <iterator>
#include <optional>

namespace sepal {
namespace {

constexpr size_t longest_file = size_t(1) << 30, longest_line = size_t(1) << 20;  // bytes; a record has about a thousand

[[noreturn]] void cannot_be_written(const std::string &path, const std::string &why) {
    throw BadInput(fmt::format("{}: cannot be written: {}", path, why));
}

// Whether the open file is still what the path leads to: it may have been replaced before it was locked.
bool is_at(int fd, const std::string &path) {
    struct stat open_file, named;
    return fstat(fd, &open_file) == 0 && stat(path.c_str(), &named) == 0 && open_file.st_ino == named.st_ino && open_file.st_dev == named.st_dev;
}

// Empty when all bytes were written and have reached the disk; else the reason.
std::string write_and_sync(int fd, std::string_view bytes) {
    while (!bytes.empty()) {
        const ssize_t wrote = write(fd, bytes.data(), bytes.size());
        if (wrote < 0 && errno == EINTR) continue;
        if (wrote < 0) return std::strerror(errno);
        bytes.remove_prefix(size_t(wrote));  // what is left after a short write says why with the next
    }
    return fsync(fd) == 0 ? "" : std::strerror(errno);
}

}  // namespace

TuningDatabase parse_tuning_records(const std::string &text, const std::string &label) {
    TuningDatabase database;
    size_t number = 0;
    for (size_t begin = 0; begin < text.size();) {
        const size_t end = std::min(text.find('\n', begin), text.size());
        const std::string where = fmt::format("{}:{}", label, ++number);
        try {
            if (end - begin > longest_line)
                throw BadInput(fmt::format("{}: the line has {} bytes; allowed: up to {}", where, end - begin, longest_line));
            TuningRecord record = tuning_record_from_json(text.substr(begin, end - begin), where);
            if (record.halide != halide_version())
                throw BadInput(fmt::format("{}: field \"halide\" is \"{}\"; allowed: \"{}\", the version that this Sepal is built with", where,
                                           on_one_line(record.halide), halide_version()));
            database.records.push_back(std::move(record));
        } catch (const BadInput &e) {
            database.complaints.push_back(e.what());
        }
        begin = end + 1;
    }
    return database;
}

TuningDatabase read_tuning_records(const std::string &path) { return parse_tuning_records(read_file(path, longest_file), path); }

TuningDatabase read_tuning_files(const std::vector<std::string> &paths) {
    TuningDatabase all;
    for (const std::string &path : paths) {
        TuningDatabase one = read_tuning_records(path);
        std::move(one.records.begin(), one.records.end(), std::back_inserter(all.records));
        std::move(one.complaints.begin(), one.complaints.end(), std::back_inserter(all.complaints));
    }
    return all;
}

void write_tuning_file(const std::string &path, const std::function<std::vector<std::string>()> &make_lines) {
    std::optional<TuningLog> lock;
    if (access(path.c_str(), F_OK) == 0) lock.emplace(path);
    std::string text;
    for (const std::string &line : make_lines()) text += line + "\n";
    write_file(path, {text});
}

TuningLog::TuningLog(const std::string &path) : path_(path) {
    const auto fail = [&](const std::string &sentence) {
        if (fd_ >= 0) close(fd_);
        throw BadInput(sentence);
    };
    do {
        if (fd_ >= 0) close(fd_);
        fd_ = open(path.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
        if (fd_ < 0) cannot_be_written(path, std::strerror(errno));
        struct stat found;
        if (fstat(fd_, &found) != 0 || !S_ISREG(found.st_mode)) fail(fmt::format("{}: cannot be written: it is not a regular file", path));
        if (flock(fd_, LOCK_EX | LOCK_NB) != 0) {
            if (errno != EWOULDBLOCK) fail(fmt::format("{}: cannot be locked: {}", path, std::strerror(errno)));
            fail(fmt::format("{}: is being written by another process; give each tuning session a file of its own, then `sepal records merge`", path));
        }
    } while (!is_at(fd_, path));
}

TuningLog::~TuningLog() { close(fd_); }

void TuningLog::append(const TuningRecord &record) {
    const std::string line = to_json_line(record);
    tuning_record_from_json(line, fmt::format("{}: the record to be appended", path_));
    struct stat before;
    if (fstat(fd_, &before) != 0) cannot_be_written(path_, std::strerror(errno));
    char last = '\n';
    if (before.st_size > 0 && pread(fd_, &last, 1, before.st_size - 1) != 1) cannot_be_written(path_, "its last byte cannot be read");
    const std::string why = write_and_sync(fd_, (last == '\n' ? "" : "\n") + line + "\n");
    if (why.empty()) return;
    if (ftruncate(fd_, before.st_size) != 0)
        cannot_be_written(path_, fmt::format("{}; a part of the record may be left at its end, which readers skip", why));
    cannot_be_written(path_, fmt::format("{}; the records before are kept", why));
}

}  // namespace sepal
