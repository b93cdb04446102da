// A child process that is asked and answers in lines of text.
#pragma once

#include <sys/types.h>

#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace sepal {

class LineProcess {
public:
    // Starts words[0] (searched on PATH when it has no slash) without a shell, on the given CPUs. What it writes to stderr is kept, its
    // last line for messages. It ends when this process does, however that ends. `stop` is asked ten times a second while an answer is
    // waited for, whether to give up; it may draw a display meanwhile. Throws std::runtime_error with one sentence when the process cannot
    // be started.
    LineProcess(const std::vector<std::string> &words, const std::vector<int> &cpus, std::function<bool()> stop = {});
    // Kills it and all processes of its group.
    ~LineProcess();
    LineProcess(const LineProcess &) = delete;
    LineProcess &operator=(const LineProcess &) = delete;

    // Writes `request` (no newline in it; empty: nothing is written) and waits for a line. Nothing when the process has ended, or when it
    // has not answered in `seconds` or `stop` said so, after which it is killed: error() then tells which, in a phrase such as "was killed
    // by signal 11 (Segmentation fault); its last words: ...".
    std::optional<std::string> ask(const std::string &request, double seconds);
    const std::string &error() const { return error_; }
    bool timed_out() const { return timed_out_; }
    bool given_up() const { return given_up_; }

    // Takes it off the CPUs with all its threads, also those that wait by spinning, until the next ask().
    void suspend();

private:
    std::optional<std::string> fail(const std::string &what);
    bool has_ended() const;
    std::string how_it_ended();
    std::string last_words() const;
    void end();

    pid_t child_ = -1;
    int to_ = -1, from_ = -1, stderr_ = -1;
    bool suspended_ = false, timed_out_ = false, given_up_ = false;
    std::function<bool()> stop_;
    std::string received_, error_;
};

}  // namespace sepal
