"""ONNX Runtime's CPU provider: the best of its plain NCHW kernels, its blocked ones (NCHWc) with a change of layout at both ends as the
product has it, and the blocked ones alone on tensors that are in that layout already."""

import os
import tempfile

import numpy as np
import onnx
import onnxruntime as ort

import onnx_graph
from runners import CannotDo, Runner, aligned, fastest

BLOCKED = "com.microsoft.nchwc"


def version():
    return ort.__version__


def session(model, level, threads, optimised_path=""):
    options = ort.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.graph_optimization_level = level
    options.log_severity_level = 3  # errors only: saving a blocked model is warned about, for it fits one kind of CPU
    if optimised_path:
        options.optimized_model_filepath = optimised_path
    return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def bound(session, source, result):
    binding = session.io_binding()
    values = ort.OrtValue.ortvalue_from_numpy(source), ort.OrtValue.ortvalue_from_numpy(result)
    binding.bind_ortvalue_input("x", values[0])
    binding.bind_ortvalue_output("y", values[1])
    return (lambda: session.run_with_iobinding(binding)), values


def blocked_model(model, threads):
    """The model as ONNX Runtime optimises it, without the changes of layout at its ends, and the channels of a block."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "optimised.onnx")
        session(model, ort.GraphOptimizationLevel.ORT_ENABLE_ALL, threads, path)
        optimised = onnx.load(path)
    graph = optimised.graph
    first, *middle, last = graph.node
    if len(graph.node) < 3 or first.op_type != "ReorderInput" or last.op_type != "ReorderOutput" or any(n.domain != BLOCKED for n in middle):
        raise CannotDo("ONNX Runtime has no blocked kernel for some part of it")
    for node in middle:
        node.input[:] = ["x" if name == first.output[0] else name for name in node.input]
        node.output[:] = ["y" if name == last.input[0] else name for name in node.output]
    graph.node.remove(first)
    graph.node.remove(last)
    del graph.value_info[:]
    return optimised


def make(problem, threads):
    model = onnx_graph.build(problem)
    plain_model = model.SerializeToString()
    n, p, q, k = problem.layers[-1].output
    levels = ort.GraphOptimizationLevel

    def plain(level, label):
        source, result = problem.nchw(), np.zeros((n, k, p, q), np.float32)
        run, values = bound(session(plain_model, level, threads), source, result)
        return Runner(run, lambda: values[1].numpy().transpose(0, 2, 3, 1), label, keep=(source, result, values))

    def blocked():
        _, h, w, c = problem.layers[0].input
        block = block_size(threads)
        if c % block or k % block:
            raise CannotDo("its channels do not fill blocks")
        optimised = blocked_model(plain_model, threads)
        source, result = aligned((n, c, h, w)), aligned((n, k, p, q))
        source.reshape(n, c // block, h, w, block)[...] = problem.input.reshape(n, h, w, c // block, block).transpose(0, 3, 1, 2, 4)
        run, values = bound(session(optimised.SerializeToString(), levels.ORT_DISABLE_ALL, threads), source, result)

        def output():
            return values[1].numpy().reshape(n, k // block, p, q, block).transpose(0, 2, 3, 1, 4).reshape(n, p, q, k)
        return Runner(run, output, f"nchw{block}c ends", keep=(source, result, values))

    return fastest([lambda: plain(levels.ORT_ENABLE_ALL, "nchw ends, blocked inside"), lambda: plain(levels.ORT_ENABLE_EXTENDED, "nchw"), blocked])


def block_size(threads):
    """Channels of a block on this CPU: those that ONNX Runtime pads a single output channel to."""
    from layers import Layer, Problem
    one = Layer(np.ones((1, 64, 3, 3), np.float32), None, 1, (1, 1), (1, 1), (0, 0, 0, 0), "none", (1, 8, 8, 64), (1, 6, 6, 1))
    optimised = blocked_model(onnx_graph.build(Problem(np.zeros(one.input, np.float32), [one])).SerializeToString(), threads)
    return max(constant.dims[0] for constant in optimised.graph.initializer)
