#include "tools/tuning/commit.h"

namespace sepal {

const char *sepal_commit() {
    return
#include "sepal_commit.inc"
        ;
}

}  // namespace sepal
