#include "results.h"

#include <utility>

namespace sepal {
namespace {

// The least median of those timed in the same cache state; 0 without one.
double least_median(const std::vector<Result> &all, CacheState cache, bool of_peers) {
    double least = 0;
    for (const Result &r : all)
        if (r.timed() && r.cache == cache && bool(r.candidate.peer) == of_peers && (least == 0 || r.milliseconds.median < least))
            least = r.milliseconds.median;
    return least;
}

void compare_with_peers(std::vector<Result> &all) {
    for (Result &r : all) {
        const double sepal = least_median(all, r.cache, false), peer = least_median(all, r.cache, true);
        if (r.timed() && sepal > 0) r.times_best_sepal = r.milliseconds.median / sepal;
        if (r.timed() && peer > 0) r.times_best_peer = r.milliseconds.median / peer;
    }
}

}  // namespace

Statistics in_milliseconds(std::vector<double> seconds) {
    for (double &s : seconds) s *= 1e3;
    return summarise(std::move(seconds));
}

std::vector<Result> make_results(const std::vector<Entry> &entries, const std::function<void(Result &, const Entry &)> &fill) {
    std::vector<Result> all;
    double first[2] = {0, 0};  // medians of the first timed candidate, warm and cold
    for (const Entry &e : entries)
        for (CacheState cache : {CacheState::warm, CacheState::cold}) {
            Result r;
            r.candidate = *e.candidate;
            r.cache = cache;
            r.check = e.check;
            r.check_message = e.message;
            if (const Peer *peer = e.candidate->peer) {
                r.peer_version = peer->version();
                r.peer_configuration = e.prepared.configuration;
                r.winograd = e.prepared.winograd;
            } else if (e.candidate->variant) {
                r.winograd = e.candidate->variant->is_winograd();
            }
            r.relative_error = e.relative_error;
            r.packed = e.packed;
            if (e.alive() && e.candidate->peer && cache == CacheState::cold) {
                r.check = "skipped: peers are measured with warm caches only, for theirs cannot be emptied from outside";
            } else if (e.alive()) {
                fill(r, e);
                double &median = first[cache == CacheState::cold];
                if (median == 0) median = r.milliseconds.median;
                r.speedup = median / r.milliseconds.median;
            }
            all.push_back(std::move(r));
        }
    compare_with_peers(all);
    return all;
}

}  // namespace sepal
