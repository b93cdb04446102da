// Where the temporary files of one run of a command are.
#pragma once

#include <string>
#include <thread>

namespace sepal {

// A folder that TMPDIR names while this object lives, so that what this process and those that it starts put into temporary files is in it.
// It is removed with all of that at the end, also when SIGINT, SIGTERM or SIGHUP ends the process (those that are not ignored), by a thread
// that waits for them. One at a time. Throws BadInput when there can be none.
class SessionFolder {
public:
    SessionFolder();
    ~SessionFolder();
    SessionFolder(const SessionFolder &) = delete;
    SessionFolder &operator=(const SessionFolder &) = delete;
    const std::string &path() const { return path_; }

private:
    void end_at_signal() const;
    void stop();

    std::string path_, before_;  // before_: TMPDIR, or empty
    int signalled_[2] = {-1, -1};  // a pipe of signal numbers
    std::thread waiting_;
};

}  // namespace sepal
