#include "tools/tuning/database.h"

#include <iterator>

namespace sepal {
namespace {

struct EmbeddedRecords {
    const char *name, *text;
};
// The last row is there so that the list is never empty.
constexpr EmbeddedRecords files[] = {
#include "sepal_tuning.inc"
    {"none", ""}};

}  // namespace

const TuningDatabase &builtin_tuning() {
    static const TuningDatabase database = [] {
        TuningDatabase all;
        for (const EmbeddedRecords &file : files) {
            TuningDatabase one = parse_tuning_records(file.text, file.name);
            std::move(one.records.begin(), one.records.end(), std::back_inserter(all.records));
            std::move(one.complaints.begin(), one.complaints.end(), std::back_inserter(all.complaints));
        }
        return all;
    }();
    return database;
}

}  // namespace sepal
