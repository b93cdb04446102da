// Whole files, read and written with one clear sentence when that fails.
#pragma once

#include "tools/bad_input.h"

#include <initializer_list>
#include <string>
#include <string_view>

namespace sepal {

// The bytes of a file (or pipe) of at most `limit` bytes. Throws BadInput naming the path and the reason.
std::string read_file(const std::string &path, size_t limit = size_t(64) << 20);

// Writes the parts one after the other to a new file beside `path` and then renames it to `path` (or what that links to), so
// that the file is either as before or complete, also when the disk fills up. Throws BadInput naming the path and the reason;
// also when there is something at `path` that is not a regular file.
void write_file(const std::string &path, std::initializer_list<std::string_view> parts);

// The same, where the file does not hold just that already: what is built from it stays up to date.
void write_if_changed(const std::string &path, const std::string &text);

// A new folder in TMPDIR (/tmp where that is not set) whose name begins with `name`; it is removed with all it holds at the end. Throws
// BadInput, which begins with `what_for`, when there can be none.
class ScratchFolder {
public:
    ScratchFolder(const std::string &name, const std::string &what_for);
    ~ScratchFolder();
    ScratchFolder(const ScratchFolder &) = delete;
    ScratchFolder &operator=(const ScratchFolder &) = delete;
    const std::string &path() const { return path_; }

private:
    std::string path_;
};

// Throws BadInput with one sentence that names the file and the reason when a file could not be written there now. Leaves no
// trace. For use before a long run, after which write_file writes the file.
void check_writable(const std::string &path);

}  // namespace sepal
