// A progress bar on stderr; nothing at all when stderr is no terminal.
#pragma once

#include <string>

namespace sepal {

// "[######..................]", `share` of it (0 to 1) filled.
std::string bar(double share);
// Columns that a line on stderr may take without wrapping.
size_t line_width();
constexpr double redraw_seconds = 0.1;  // between two drawings of what changes

class Progress {
public:
    // total_seconds: an estimate of the whole run, by which parts are weighed; 0 when the length is unknown.
    explicit Progress(double total_seconds);
    ~Progress();
    Progress(const Progress &) = delete;
    Progress &operator=(const Progress &) = delete;
    // A part of that many estimated seconds begins; the one before it is complete.
    void begin(double estimated_seconds);
    // What is under way, and which fraction of the part is done (0 to 1).
    void show(const std::string &what, double fraction);
    // Takes the bar off the screen, so that lines can be printed; the next show() brings it back.
    void clear();

private:
    bool terminal_;
    bool visible_ = false;
    double total_, done_ = 0, part_ = 0, start_, last_shown_ = 0;
};

}  // namespace sepal
