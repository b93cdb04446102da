// What a command works on: problems and variants picked by the user's options.
#pragma once

#include "runtime/registry.h"
#include "tools/problem_file.h"

#include <string>
#include <vector>

namespace sepal {

// Shell patterns (*, ?, [...]) against the whole text.
bool matches(const std::string &glob, const std::string &text);

// Those of the registry whose names match, in its order. Throws BadInput when there is none.
std::vector<const Variant *> variants_matching(const Registry &registry, const std::string &glob);

// The problems (with all that the set holds beside them) of the file or of the suite, whichever is not empty, whose names match. Throws
// BadInput when none does.
ProblemSet problems_matching(const std::string &file, const std::string &suite, const std::string &glob);

// In a few words why the registry has no variant for a problem that none takes on this CPU.
std::string why_none(const ConvProblem &problem, const Registry &registry, const Cpu &cpu);

// Why the variant cannot run here: it was not built, or the CPU lacks its ISA. Empty when it can.
std::string why_not_runnable(const Variant &variant, const Cpu &cpu);

// The text as one word for a POSIX shell.
std::string shell_quote(const std::string &text);

// A bash command that checks the variant on the problem, whatever file that came from.
std::string check_command(const Variant &variant, const ConvProblem &problem, int threads);

}  // namespace sepal
