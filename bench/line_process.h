// A child process that is asked and answers in lines of text.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

namespace sepal {

class LineProcess {
public:
    // Starts words[0] (searched on PATH when it has no slash) without a shell, on the given CPUs. What it writes to stderr is kept, its
    // last line for messages. It ends when this process does, however that ends. Throws std::runtime_error with one sentence when it
    // cannot be started.
    LineProcess(const std::vector<std::string> &words, const std::vector<int> &cpus);
    // Kills it and all processes of its group.
    ~LineProcess();
    LineProcess(const LineProcess &) = delete;
    LineProcess &operator=(const LineProcess &) = delete;

    // Writes `request` (no newline in it; empty: nothing is written) and waits for a line. Nothing when the process has ended, or has not
    // answered in `seconds`, after which it is killed: error() then tells which, in a phrase such as "was killed by signal 11
    // (Segmentation fault); its last words: ...".
    std::optional<std::string> ask(const std::string &request, double seconds);
    const std::string &error() const { return error_; }

    // Takes it off the CPUs with all its threads, also those that wait by spinning, until the next ask().
    void suspend();

private:
    std::optional<std::string> fail(const std::string &what);
    std::string how_it_ended();
    std::string last_words() const;
    void end();

    pid_t child_ = -1;
    int to_ = -1, from_ = -1, stderr_ = -1;
    bool suspended_ = false;
    std::string received_, error_;
};

}  // namespace sepal
