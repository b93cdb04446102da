#include "output_file.h"

#include <fmt/format.h>

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

namespace sepal {

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
