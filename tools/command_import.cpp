// sepal import: the convolutions of a model of ONNX as a file of problems, by tools/import_onnx.py.
#include "tools/command.h"
#include "tools/program.h"
#include "tools/python_script.h"
#include "tools/installed.h"

#include <CLI/CLI.hpp>
#include <fmt/format.h>


namespace sepal {
namespace {

struct Options {
    std::string model, output, batch, layout, weights;
    std::vector<std::string> dimensions;
    bool apart = false;
};

// The exit code of the script, which tells by itself what is wrong with the model or the options.
int import_model(const Options &o) {
    const PythonScript tools = find_script("sepal import: the", own_python(), own_script("import_onnx.py"), "SEPAL_IMPORT_SCRIPT", "tools/import_onnx.py");
    std::vector<std::string> words = {tools.python, tools.script, "--output=" + o.output};
    if (!o.batch.empty()) words.push_back("--batch=" + o.batch);
    for (const std::string &dimension : o.dimensions) words.push_back("--dim=" + dimension);
    if (!o.layout.empty()) words.push_back("--layout=" + o.layout);
    if (!o.weights.empty()) words.push_back("--weights=" + o.weights);
    if (o.apart) words.push_back("--no-fuse");
    words.insert(words.end(), {"--", o.model});
    const int status = run_program(words);
    if (status < 0)
        throw BadInput(fmt::format("the Python \"{}\" cannot be run; set the environment variable SEPAL_PYTHON to one that has onnx", tools.python));
    if (status != exit_ok && status != exit_bad_input && status != exit_interrupted)
        throw BadInput(fmt::format("{}: the import script failed", o.model));
    return status;
}

}  // namespace

void add_import_command(CLI::App &app, int &exit_code) {
    auto options = std::make_shared<Options>();
    CLI::App *command = app.add_subcommand("import", "Writes the convolutions of a model of ONNX as a file of problems");
    command->add_option("model", options->model, "The model, MODEL.onnx")->required();
    command->add_option("-o,--output", options->output, "The file of problems to write")->required();
    command->add_option("--batch", options->batch, "The size of the model's symbolic batch dimension (default: 1)");
    command->add_option("--dim", options->dimensions, "NAME=VALUE: the size of another symbolic dimension; can be given again")->allow_extra_args(false);
    command->add_option("--layout", options->layout, "Of the problems' tensors: nhwc (default), nchw");
    command->add_option("--weights", options->weights, "A folder to write the filters and biases of each problem to, as NumPy arrays for sepal run");
    command->add_flag("--no-fuse", options->apart, "Leave depthwise and pointwise convolutions apart instead of joining them to depsep");
    command->callback([options, &exit_code] { exit_code = import_model(*options); });
}

}  // namespace sepal
