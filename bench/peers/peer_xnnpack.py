"""XNNPACK as LiteRT (TensorFlow Lite) carries it: the interpreter with its default delegate, NHWC."""

import importlib.metadata

from ai_edge_litert.interpreter import Interpreter

import tflite_graph
from runners import CannotDo, Runner


def version():
    return "LiteRT " + importlib.metadata.version("ai-edge-litert")


def make(problem, threads):
    model = tflite_graph.build(problem)
    interpreter = Interpreter(model_content=model, num_threads=threads)
    interpreter.allocate_tensors()
    # The delegate's node is behind those that it took.
    operators = [operator["op_name"] for operator in interpreter._get_ops_details()]
    if "DELEGATE" not in operators:
        raise CannotDo("XNNPACK does not take it, and LiteRT's own kernels are not meant to be fast")
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], problem.input)
    result = interpreter.get_output_details()[0]["index"]
    return Runner(interpreter.invoke, lambda: interpreter.get_tensor(result), "nhwc", keep=(interpreter, model))
