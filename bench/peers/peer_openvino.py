"""OpenVINO's CPU plugin, f32, tensors channels last at both ends."""

import numpy as np
import openvino
from openvino.preprocess import PrePostProcessor

import onnx_graph
from runners import Runner, aligned

core = openvino.Core()


def version():
    return openvino.__version__.split("-")[0]


def make(problem, threads):
    processor = PrePostProcessor(core.read_model(onnx_graph.build(problem).SerializeToString()))
    for end in (processor.input(), processor.output()):
        end.tensor().set_layout(openvino.Layout("NHWC"))
        end.model().set_layout(openvino.Layout("NCHW"))
    model = core.compile_model(processor.build(), "CPU", {
        "INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY", "NUM_STREAMS": "1", "INFERENCE_NUM_THREADS": threads, "ENABLE_CPU_PINNING": False})
    request = model.create_infer_request()
    source, result = aligned(problem.layers[0].input), aligned(problem.layers[-1].output)
    source[...] = problem.input
    # Shared memory is not owned by the request.
    request.set_input_tensor(openvino.Tensor(source, shared_memory=True))
    request.set_output_tensor(openvino.Tensor(result, shared_memory=True))
    kernels = [node.get_rt_info()["primitiveType"].astype(str) for node in model.get_runtime_model().get_ops()
               if node.get_rt_info()["layerType"].astype(str) == "Convolution"]
    return Runner(request.infer, lambda: result, f"nhwc ends: {' + '.join(kernels)}", keep=(model, source, result))
