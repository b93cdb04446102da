#include "progress.h"

#include "report.h"
#include "timer.h"

#include <fmt/format.h>

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

namespace sepal {

std::string bar(double share) {
    constexpr int cells = 24;
    const int filled = int(std::clamp(share, 0.0, 1.0) * cells);
    return fmt::format("[{}{}]", std::string(size_t(filled), '#'), std::string(size_t(cells - filled), '.'));
}

size_t line_width() {
    struct winsize size;
    return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1 ? size.ws_col - 1 : 79;
}

Progress::Progress(double total_seconds) : terminal_(isatty(STDERR_FILENO)), total_(total_seconds), start_(now()) {}
Progress::~Progress() { clear(); }

void Progress::begin(double estimated_seconds) {
    done_ += part_;
    part_ = estimated_seconds;
}

void Progress::show(const std::string &what, double fraction) {
    if (!terminal_ || now() - last_shown_ < redraw_seconds) return;
    last_shown_ = now();
    std::string text = what;
    if (total_ > 0) {
        const double share = std::clamp((done_ + part_ * fraction) / total_, 0.0, 1.0);
        // The pace so far tells the time left; before there is one, the estimate does.
        const double elapsed = now() - start_;
        const double left = share > 0.02 ? elapsed / share * (1 - share) : total_ * (1 - share);
        text = fmt::format("{} {:3.0f} %  {} left  {}", bar(share), 100 * share, duration(left), what);
    }
    if (const size_t width = line_width(); text.size() > width) text.resize(width);
    fmt::print(stderr, "\r{}\033[K", text);
    std::fflush(stderr);
    visible_ = true;
}

void Progress::clear() {
    if (!visible_) return;
    fmt::print(stderr, "\r\033[K");
    std::fflush(stderr);
    visible_ = false;
}

}  // namespace sepal
