#include "tools/program.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>

extern char **environ;

namespace sepal {

namespace {

// Starts a program with what `files` says of its descriptors. 0, or -1 with errno.
int start(const std::vector<std::string> &words, posix_spawn_file_actions_t &files, pid_t &child) {
    std::vector<char *> argv;
    for (const std::string &w : words) argv.push_back(const_cast<char *>(w.c_str()));
    argv.push_back(nullptr);
    const int error = posix_spawnp(&child, argv[0], &files, nullptr, argv.data(), environ);
    posix_spawn_file_actions_destroy(&files);
    errno = error;
    return error ? -1 : 0;
}

int status_of(pid_t child) {
    int status = 0;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {}
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

}  // namespace

int run_program(const std::vector<std::string> &words, bool quiet) {
    posix_spawn_file_actions_t files;
    posix_spawn_file_actions_init(&files);
    if (quiet) {
        posix_spawn_file_actions_addopen(&files, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
        posix_spawn_file_actions_adddup2(&files, STDOUT_FILENO, STDERR_FILENO);
    }
    pid_t child = 0;
    return start(words, files, child) < 0 ? -1 : status_of(child);
}

int run_program(const std::vector<std::string> &words, std::string &printed) {
    int channel[2];
    if (pipe2(channel, O_CLOEXEC) != 0) return -1;
    posix_spawn_file_actions_t files;
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_adddup2(&files, channel[1], STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&files, channel[1], STDERR_FILENO);
    pid_t child = 0;
    const int started = start(words, files, child), error = errno;
    close(channel[1]);
    printed.clear();
    char buffer[4096];
    for (ssize_t n; started == 0 && ((n = read(channel[0], buffer, sizeof buffer)) > 0 || (n < 0 && errno == EINTR));)
        if (n > 0) printed.append(buffer, size_t(n));
    close(channel[0]);
    errno = error;
    return started < 0 ? -1 : status_of(child);
}

}  // namespace sepal
