#include "line_process.h"

#include "timer.h"

#include <fmt/format.h>

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <stdexcept>

namespace sepal {
namespace {

constexpr size_t longest_line = 1 << 20, longest_words = 300;
constexpr double tick_seconds = 0.1;

// In the child: only calls that are safe between fork and exec.
[[noreturn]] void become(char *const *argv, const cpu_set_t &cpus, pid_t parent, int channel, int errors, int failed) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(127);  // it ended in between
    setpgid(0, 0);
    (void)sched_setaffinity(0, sizeof cpus, &cpus);
    // dup2 takes the close-on-exec flag off; the channel is never one of the first three.
    if (dup2(channel, STDIN_FILENO) >= 0 && dup2(channel, STDOUT_FILENO) >= 0 && dup2(errors, STDERR_FILENO) >= 0) execvp(argv[0], argv);
    const int reason = errno;
    (void)!write(failed, &reason, sizeof reason);
    _exit(127);
}

// One line, at most `longest_words` bytes of it, without control characters.
std::string printable(std::string text) {
    for (char &c : text)
        if (static_cast<unsigned char>(c) < ' ' || c == 127) c = ' ';
    return text.size() > longest_words ? text.substr(0, longest_words) + "..." : text;
}

}  // namespace

LineProcess::LineProcess(const std::vector<std::string> &words, const std::vector<int> &cpus, std::function<bool()> stop) : stop_(std::move(stop)) {
    int channel[2], failed[2];
    stderr_ = memfd_create("stderr", MFD_CLOEXEC);
    // A socket, so that writing to a process that has ended is an error and not a signal.
    if (stderr_ < 0 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, channel) != 0) {
        const std::string why = std::strerror(errno);
        end();
        throw std::runtime_error(fmt::format("\"{}\" cannot be started: {}", words.front(), why));
    }
    to_ = from_ = channel[0];
    if (pipe2(failed, O_CLOEXEC) != 0) failed[0] = failed[1] = -1;
    std::vector<char *> argv;
    for (const std::string &w : words) argv.push_back(const_cast<char *>(w.c_str()));
    argv.push_back(nullptr);
    cpu_set_t set;
    CPU_ZERO(&set);
    for (int cpu : cpus) CPU_SET(cpu, &set);
    const pid_t parent = getpid();
    child_ = fork();
    if (child_ == 0) become(argv.data(), set, parent, channel[1], stderr_, failed[1]);
    int reason = child_ < 0 ? errno : 0;
    close(channel[1]);
    close(failed[1]);
    if (child_ > 0 && read(failed[0], &reason, sizeof reason) != sizeof reason) reason = 0;  // closed by exec
    close(failed[0]);
    if (reason != 0) {
        end();
        throw std::runtime_error(fmt::format("\"{}\" cannot be started: {}", words.front(), std::strerror(reason)));
    }
}

LineProcess::~LineProcess() { end(); }

void LineProcess::end() {
    if (child_ > 0) {
        kill(-child_, SIGKILL);
        kill(child_, SIGKILL);
        while (waitpid(child_, nullptr, 0) < 0 && errno == EINTR) {}
    }
    child_ = -1;
    if (to_ >= 0) close(to_);
    if (stderr_ >= 0) close(stderr_);
    to_ = from_ = stderr_ = -1;
}

std::string LineProcess::last_words() const {
    std::string text(4096, '\0');
    const off_t size = lseek(stderr_, 0, SEEK_END);
    const ssize_t got = size > 0 ? pread(stderr_, text.data(), text.size(), std::max<off_t>(0, size - off_t(text.size()))) : 0;
    text.resize(size_t(std::max<ssize_t>(0, got)));
    while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.pop_back();
    return printable(text.substr(text.rfind('\n') + 1));
}

bool LineProcess::has_ended() const {
    siginfo_t info = {};
    return waitid(P_PID, id_t(child_), &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == child_;
}

std::string LineProcess::how_it_ended() {
    int status = 0;
    pid_t ended = 0;
    // The line is closed before the process can be waited for.
    for (int i = 0; i < 100 && (ended = waitpid(child_, &status, WNOHANG)) == 0; i++) usleep(10000);
    if (ended != child_) return "closed its end of the line";
    kill(-child_, SIGKILL);  // what it started itself
    child_ = -1;
    if (WIFSIGNALED(status)) return fmt::format("was killed by signal {} ({})", WTERMSIG(status), strsignal(WTERMSIG(status)));
    return fmt::format("ended with status {}", WEXITSTATUS(status));
}

std::optional<std::string> LineProcess::fail(const std::string &what) {
    const std::string words = last_words();
    error_ = what + (words.empty() ? "" : "; its last words: " + words);
    end();
    return std::nullopt;
}

std::optional<std::string> LineProcess::ask(const std::string &request, double seconds) {
    if (child_ < 0) return std::nullopt;
    if (suspended_) kill(-child_, SIGCONT);
    suspended_ = false;
    const double deadline = now() + seconds;
    const std::string line = request.empty() ? "" : request + "\n";
    for (size_t sent = 0; sent < line.size();) {
        const ssize_t n = send(to_, line.data() + sent, line.size() - sent, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) break;  // it has closed its end; what it said before is still to be read
        sent += size_t(n);
    }
    for (;;) {
        if (const size_t newline = received_.find('\n'); newline != std::string::npos) {
            const std::string answer = received_.substr(0, newline);
            received_.erase(0, newline + 1);
            return answer;
        }
        if (received_.size() > longest_line) return fail("answered with an endless line");
        given_up_ = stop_ && stop_();
        if (given_up_) return fail("was given up");
        const double left = deadline - now();
        timed_out_ = left <= 0;
        if (timed_out_) return fail(fmt::format("gave no answer in {:.4g} s and was stopped", seconds));
        const bool ended = has_ended();
        pollfd ready{from_, POLLIN, 0};
        const int count = poll(&ready, 1, int(std::min(left, tick_seconds) * 1e3) + 1);
        if (count == 0 && ended) return fail(how_it_ended());  // what it started may still hold its end of the line
        if (count <= 0) continue;
        char bytes[4096];
        const ssize_t n = read(from_, bytes, sizeof bytes);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return fail(how_it_ended());
        received_.append(bytes, size_t(n));
    }
}

void LineProcess::suspend() {
    if (child_ > 0 && !suspended_) suspended_ = kill(-child_, SIGSTOP) == 0;
}

}  // namespace sepal
