// The main program of every test executable. A run in which no test matches the command line fails.
#if __has_include(<catch2/catch_all.hpp>)
#include <catch2/catch_all.hpp>

int main(int argc, char **argv) { return Catch::Session().run(argc, argv); }
#else
#define CATCH_CONFIG_RUNNER
#include <catch2/catch.hpp>

int main(int argc, char **argv) {
    Catch::Session session;
    if (const int wrong = session.applyCommandLine(argc, argv)) return wrong;
    session.configData().warnings = Catch::WarnAbout::What(session.configData().warnings | Catch::WarnAbout::NoTests);
    return session.run();
}
#endif
