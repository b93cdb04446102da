#include "session_folder.h"

#include "tools/bad_input.h"
#include "tools/environment.h"

#include <fmt/format.h>

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>

namespace sepal {
namespace {

int tell_signals_to = -1;

void on_signal(int signal) {
    const int before = errno;
    (void)!write(tell_signals_to, &signal, sizeof signal);
    errno = before;
}

// For the signals that end this process.
void handle_signals(void (*old_handler)(int), void (*handler)(int)) {
    for (int signal : {SIGINT, SIGTERM, SIGHUP}) {
        struct sigaction action;
        if (sigaction(signal, nullptr, &action) != 0 || action.sa_handler != old_handler) continue;
        action.sa_handler = handler;
        action.sa_flags = SA_RESTART;
        sigaction(signal, &action, nullptr);
    }
}

// A process that still writes into the folder may make its removal fail; but nothing can be written into one that is gone.
void remove_folder(const std::string &path) {
    std::error_code ignored;
    for (int i = 0; i < 100 && std::filesystem::exists(path, ignored); i++) {
        if (i > 0) usleep(10000);
        std::filesystem::remove_all(path, ignored);
    }
}

}  // namespace

SessionFolder::SessionFolder() {
    before_ = from_environment("TMPDIR");
    path_ = (before_.empty() ? "/tmp" : before_) + "/sepal.XXXXXX";
    if (pipe2(signalled_, O_CLOEXEC) != 0) throw BadInput(fmt::format("a pipe cannot be made: {}", std::strerror(errno)));
    tell_signals_to = signalled_[1];
    handle_signals(SIG_DFL, on_signal);  // from here on they wait in the pipe
    if (!mkdtemp(path_.data())) {
        const std::string why = std::strerror(errno);
        path_.clear();
        stop();
        throw BadInput(fmt::format("{}: no temporary folder can be made in it: {}", before_.empty() ? "/tmp" : "TMPDIR=" + before_, why));
    }
    setenv("TMPDIR", path_.c_str(), 1);
    waiting_ = std::thread([this] { end_at_signal(); });
}

SessionFolder::~SessionFolder() {
    stop();
    before_.empty() ? unsetenv("TMPDIR") : setenv("TMPDIR", before_.c_str(), 1);
}

void SessionFolder::end_at_signal() const {
    int signal = 0;
    ssize_t got;
    while ((got = read(signalled_[0], &signal, sizeof signal)) < 0 && errno == EINTR) {}
    if (got != sizeof signal) return;  // closed by stop()
    remove_folder(path_);
    ::signal(signal, SIG_DFL);
    raise(signal);
}

void SessionFolder::stop() {
    if (!path_.empty()) remove_folder(path_);
    handle_signals(on_signal, SIG_DFL);
    close(signalled_[1]);
    if (waiting_.joinable()) waiting_.join();
    close(signalled_[0]);
}

}  // namespace sepal
