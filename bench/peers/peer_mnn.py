"""MNN's CPU backend, f32 ("precision": "high"). The input is copied in again before each run, untimed, for MNN uses its memory for other
tensors. No module of MNN.tools is imported, for those install packages by themselves."""

import os
import tempfile

import MNN
import numpy as np
import _tools as mnn_tools

import onnx_graph
from runners import Runner, fastest


def version():
    return MNN.version()


def convert(problem, keep_format):
    with tempfile.TemporaryDirectory() as folder:
        source, target = os.path.join(folder, "model.onnx"), os.path.join(folder, "model.mnn")
        with open(source, "wb") as file:
            file.write(onnx_graph.build(problem).SerializeToString())
        mnn_tools.mnnconvert(["mnnconvert", "-f", "ONNX", "--modelFile", source, "--MNNModel", target, "--bizCode", "problem",
                              "--keepInputFormat", "1" if keep_format else "0"])
        return MNN.Interpreter(target)


def make(problem, threads):
    def runner(keep_format):
        net = convert(problem, keep_format)
        session = net.createSession({"backend": "CPU", "precision": "high", "numThread": threads, "memory": "normal", "power": "high"})
        inside, data = net.getSessionInput(session), problem.nchw()
        outside = MNN.Tensor(data.shape, MNN.Halide_Type_Float, data, MNN.Tensor_DimensionType_Caffe)
        n, p, q, k = problem.layers[-1].output

        def output():
            result = np.zeros((n, k, p, q), np.float32)
            tensor = MNN.Tensor(result.shape, MNN.Halide_Type_Float, result, MNN.Tensor_DimensionType_Caffe)
            net.getSessionOutput(session).copyToHostTensor(tensor)
            return tensor.getNumpyData().reshape(result.shape).transpose(0, 2, 3, 1).copy()  # the tensor's memory ends with it
        label = "channels first ends" if keep_format else "input packed by 4 channels"
        return Runner(lambda: net.runSession(session), output, label, before=lambda: inside.copyFrom(outside), winograd=may_use_winograd(problem),
                      keep=(net, session, data, outside))
    return fastest([lambda: runner(True), lambda: runner(False)])


def may_use_winograd(problem):
    return any(max(layer.filter.shape[2:]) > 1 and layer.stride == (1, 1) and layer.dilation == (1, 1) and not layer.multiplier for layer in problem.layers)
