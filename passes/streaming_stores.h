// stream_stores: an edit of the LLVM IR that Halide emits, for an output that will not stay in the caches.
#pragma once

#include <string>

namespace sepal {

// Halide has no directive for streaming (non-temporal) stores, which send whole lines to memory without reading them first. But its IR
// says of each store to which Func it goes, by the metadata of type-based alias analysis: a tag !tbaa that leads to a node with the name.
struct StreamedIr {
    std::string text;
    int stores = 0;  // that are marked
};

// The IR `text` with every store to `func` marked as non-temporal, and a store fence at the end of each function that has such stores
// (of every task of a parallel loop, that is), since streaming stores are not ordered with others: whoever is told that the function is done
// sees them. Throws std::runtime_error where a store to `func` could not be streamed: a masked one, one of no whole vector, or one that is
// not aligned to its vector, of which LLVM would make a plain store without a word; and where there is no store to it.
StreamedIr stream_stores(const std::string &text, const std::string &func);

}  // namespace sepal
