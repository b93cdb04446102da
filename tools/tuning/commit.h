// Which Sepal this is.
#pragma once

namespace sepal {

// The commit that was built, shortened, with "-dirty" behind it where the sources differed from it; "unknown" outside a checkout.
const char *sepal_commit();

}  // namespace sepal
