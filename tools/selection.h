// What a command works on: problems and variants picked by the user's options.
#pragma once

#include "runtime/registry.h"
#include "tools/problem_file.h"

#include <string>
#include <vector>

namespace sepal {

// Shell patterns (*, ?, [...]) against the whole text.
bool matches(const std::string &glob, const std::string &text);

bool names_a_variant(const Registry &registry, const std::string &glob);

// Those of the registry whose names match, in its order. Throws BadInput when there is none.
std::vector<const Variant *> variants_matching(const Registry &registry, const std::string &glob);
// Those of them that are for the processor's backend; how many of others there are is in `others`. Throws BadInput when all are of others.
std::vector<const Variant *> variants_matching(const Registry &registry, const std::string &glob, const Processor &processor, size_t &others);

// The problems (with all that the set holds beside them) of the file or of the suite, whichever is not empty, whose names match. Throws
// BadInput when none does.
ProblemSet problems_matching(const std::string &file, const std::string &suite, const std::string &glob);

// In a few words why the registry has no variant for a problem that none takes on this CPU, or a GPU.
std::string why_none(const ConvProblem &problem, const Registry &registry, const Processor &processor);

// Why the variant cannot run there: it was not built, is for another backend, or the CPU lacks its ISA. Empty when it can.
std::string why_not_runnable(const Variant &variant, const Processor &processor);

// The text as one word for a POSIX shell.
std::string shell_quote(const std::string &text);

// A bash command that checks the variant on the problem, whatever file that came from. device: as --device has it; empty: the first one that
// runs the variant.
std::string check_command(const Variant &variant, const ConvProblem &problem, int threads, const std::string &device = "");

}  // namespace sepal
