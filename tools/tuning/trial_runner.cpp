#include "tools/tuning/trial_runner.h"

#include "bench/timer.h"

#include <fmt/format.h>

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace sepal {
namespace {

constexpr int tick_milliseconds = 100;
constexpr double end_seconds = 0.5;  // that a process is given to end after it has closed its output
constexpr size_t most_output = size_t(8) << 20, most_errors = 4096;

// A file descriptor, closed at the end and not inherited by programs that are started.
struct File {
    int fd = -1;
    File() = default;
    File(const File &) = delete;
    File &operator=(const File &) = delete;
    ~File() { close(); }
    void close() {
        if (fd >= 0) ::close(fd);
        fd = -1;
    }
};

[[noreturn]] void cannot(const std::string &what) {
    throw BadInput(fmt::format("a trial cannot be started: {}: {}", what, std::strerror(errno)));
}

// The request as a file in memory: no writer that could wait for a reader, or be ended by one that is gone.
void make_input(File &file, const std::string &text) {
    file.fd = memfd_create("trial", MFD_CLOEXEC);
    if (file.fd < 0) cannot("memory for its request");
    for (size_t done = 0; done < text.size();) {
        const ssize_t n = write(file.fd, text.data() + done, text.size() - done);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) cannot("memory for its request");
        done += size_t(n);
    }
    lseek(file.fd, 0, SEEK_SET);
}

void make_pipe(File &reader, File &writer) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) cannot("pipe");
    reader.fd = ends[0];
    writer.fd = ends[1];
}

// A child in a process group of its own, which is killed at the latest when this object ends.
class Child {
public:
    Child(const std::vector<std::string> &command, int in, int out, int err) {
        std::vector<char *> argv;
        for (const std::string &word : command) argv.push_back(const_cast<char *>(word.c_str()));
        argv.push_back(nullptr);
        const pid_t parent = getpid();
        pid_ = fork();
        if (pid_ < 0) cannot("fork");
        if (pid_ > 0) {
            setpgid(pid_, pid_);  // also done by the child: whoever comes first
            return;
        }
        setpgid(0, 0);
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent) _exit(127);
        dup2(in, STDIN_FILENO);
        dup2(out, STDOUT_FILENO);
        dup2(err, STDERR_FILENO);
        execv(argv[0], argv.data());
        dprintf(STDERR_FILENO, "%s: %s\n", argv[0], std::strerror(errno));
        _exit(127);
    }
    ~Child() {
        if (!ended_) end();
    }
    Child(const Child &) = delete;
    Child &operator=(const Child &) = delete;

    // Whether it has ended by itself.
    bool over() {
        if (!ended_) ended_ = waitpid(pid_, &status_, WNOHANG) == pid_;
        return ended_;
    }
    // The status as of waitpid, once it has ended by itself, which it may within `seconds`, or been killed with all its group.
    int end(double seconds = 0) {
        for (const double begin = now(); !over() && now() - begin < seconds;) usleep(10000);
        kill(-pid_, SIGKILL);
        while (!ended_ && waitpid(pid_, &status_, 0) < 0 && errno == EINTR) {}
        ended_ = true;
        return status_;
    }

private:
    pid_t pid_ = -1;
    int status_ = 0;
    bool ended_ = false;
};

// Appends what there is to read; false at the end of the stream. Of `most` bytes and more the last are kept, or none is added.
bool read_some(File &file, std::string &to, size_t most, bool keep_last) {
    char buffer[4096];
    const ssize_t n = read(file.fd, buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) return true;
    if (n <= 0) {
        file.close();
        return false;
    }
    if (!keep_last && to.size() >= most) return true;
    to.append(buffer, size_t(n));
    if (keep_last && to.size() > most) to.erase(0, to.size() - most);
    return true;
}

// The last line that holds something, cut to a length that a sentence can carry; with ": " before it unless it is empty.
std::string last_words(const std::string &text) {
    const size_t end = text.find_last_not_of(" \n\r\t");
    if (end == std::string::npos) return {};
    const size_t before = text.find_last_of('\n', end);
    const size_t begin = before == std::string::npos ? 0 : before + 1;
    std::string line = text.substr(begin, end + 1 - begin);
    for (char &c : line)
        if (static_cast<unsigned char>(c) < ' ') c = ' ';
    return ": " + line.substr(0, 200);
}

TrialAnswer all(size_t schedules, Verdict verdict, const std::string &error) {
    TrialAnswer answer;
    answer.timings.assign(schedules, Timing{verdict, error, {}});
    return answer;
}

}  // namespace

TrialRunner::TrialRunner(std::vector<std::string> command, std::function<bool()> stop) : command_(std::move(command)), stop_(std::move(stop)) {}

TrialAnswer TrialRunner::run(const TrialRequest &request, const TrialLimits &limits) const {
    const size_t schedules = request.schedules.size();
    File in, out, out_writer, err, err_writer;
    make_input(in, to_json(request));
    make_pipe(out, out_writer);
    make_pipe(err, err_writer);
    Child child(command_, in.fd, out_writer.fd, err_writer.fd);
    out_writer.close();
    err_writer.close();

    const std::string mark = std::string(trial_compiled_line) + "\n";
    std::string output, errors;
    bool compiled = false;
    double limit = limits.compile_seconds * double(schedules), since = now();
    // An answer ends the trial, whatever the process or one that it started still holds open.
    const auto answered = [&] { return compiled && std::count(output.begin(), output.end(), '\n') >= 2; };
    while (out.fd >= 0 && !answered()) {
        pollfd files[2] = {{out.fd, POLLIN, 0}, {err.fd, POLLIN, 0}};
        const int ready = poll(files, 2, tick_milliseconds);
        if (ready < 0 && errno != EINTR) cannot("poll");
        if (stop_ && stop_()) {
            TrialAnswer answer = all(schedules, Verdict::crashed, "given up");
            answer.interrupted = true;
            return answer;
        }
        if (ready == 0 && child.over()) break;  // what it started may still hold its output open
        if (ready > 0 && files[1].revents) read_some(err, errors, most_errors, true);
        if (ready > 0 && files[0].revents) read_some(out, output, most_output, false);
        if (!compiled && output.compare(0, mark.size(), mark) == 0) {
            compiled = true;
            limit = limits.run_seconds;
            since = now();
        }
        if (now() - since > limit && !answered())
            return all(schedules, Verdict::timed_out,
                       fmt::format("{} took longer than {:.3g} s", compiled ? "checking and timing it" : "compiling it", limit));
    }
    if (answered()) {
        const size_t end = output.find('\n', mark.size());
        try {
            return trial_answer_from_json(output.substr(mark.size(), end - mark.size()), schedules);
        } catch (const BadInput &e) {
            return all(schedules, Verdict::crashed, fmt::format("the trial's answer is not understood: {}", e.what()));
        }
    }
    // Standard output is at its end without an answer; so is the process, or it will not say anything any more.
    for (const double begin = now(); err.fd >= 0 && now() - begin < end_seconds;) {
        pollfd file = {err.fd, POLLIN, 0};
        const int ready = poll(&file, 1, tick_milliseconds);
        if (ready > 0) read_some(err, errors, most_errors, true);
        if (ready == 0 && child.over()) break;
    }
    const int status = child.end(end_seconds);
    if (WIFSIGNALED(status))
        return all(schedules, Verdict::crashed, fmt::format("the trial was ended by signal {} ({}){}", WTERMSIG(status),
                                                            strsignal(WTERMSIG(status)), last_words(errors)));
    if (WEXITSTATUS(status) != 0)
        return all(schedules, Verdict::crashed, fmt::format("the trial ended with exit code {}{}", WEXITSTATUS(status), last_words(errors)));
    return all(schedules, Verdict::crashed, fmt::format("the trial ended without an answer{}", last_words(output)));
}

// The link still leads to this program when its file has been replaced meanwhile.
std::vector<std::string> own_trial_command() { return {"/proc/self/exe", "tune-trial"}; }

}  // namespace sepal
