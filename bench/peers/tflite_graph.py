"""A problem as a TensorFlow Lite model, written without TensorFlow: NHWC, the filters as constants."""

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

FUSED = {"none": schema.ActivationFunctionType.NONE, "relu": schema.ActivationFunctionType.RELU, "relu6": schema.ActivationFunctionType.RELU6,
         "hardswish": schema.ActivationFunctionType.NONE}


class Writer:
    def __init__(self):
        self.tensors, self.operators, self.codes = [], [], []
        self.buffers = [schema.BufferT()]  # 0: of what is computed

    def tensor(self, shape, array=None, integer=False):
        tensor = schema.TensorT()
        tensor.shape, tensor.name = np.array(shape, np.int32), f"t{len(self.tensors)}"
        tensor.type = schema.TensorType.INT32 if integer else schema.TensorType.FLOAT32
        tensor.buffer = 0
        if array is not None:
            buffer = schema.BufferT()
            buffer.data = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
            tensor.buffer = len(self.buffers)
            self.buffers.append(buffer)
        self.tensors.append(tensor)
        return len(self.tensors) - 1

    def operator(self, code, version, kind, options, inputs, shape):
        """Returns its output, a tensor of that shape."""
        if code not in [c.builtinCode for c in self.codes]:
            new = schema.OperatorCodeT()
            new.builtinCode, new.deprecatedBuiltinCode, new.version = code, code, version
            self.codes.append(new)
        operator = schema.OperatorT()
        operator.opcodeIndex = [c.builtinCode for c in self.codes].index(code)
        operator.builtinOptionsType, operator.builtinOptions = kind, options
        output = self.tensor(shape)
        operator.inputs, operator.outputs = np.array(inputs, np.int32), np.array([output], np.int32)
        self.operators.append(operator)
        return output

    def finish(self, source, result):
        graph = schema.SubGraphT()
        graph.tensors, graph.operators = self.tensors, self.operators
        graph.inputs, graph.outputs = np.array([source], np.int32), np.array([result], np.int32)
        model = schema.ModelT()
        model.version, model.subgraphs, model.buffers, model.operatorCodes, model.description = 3, [graph], self.buffers, self.codes, "problem"
        builder = flatbuffers.Builder(sum(len(b.data) for b in self.buffers if b.data is not None) + (1 << 16))
        builder.Finish(model.Pack(builder), b"TFL3")
        return bytes(builder.Output())


def convolution(writer, layer, current):
    k, c_each, r, s = layer.filter.shape
    depthwise = layer.multiplier > 0
    options = schema.DepthwiseConv2DOptionsT() if depthwise else schema.Conv2DOptionsT()
    padding = layer.tensorflow_padding
    if not padding:  # XNNPACK makes one operator of the two
        n, h, w, c = layer.input
        top, left, bottom, right = layer.pad
        amounts = writer.tensor((4, 2), np.array([[0, 0], [top, bottom], [left, right], [0, 0]], np.int32), integer=True)
        current = writer.operator(schema.BuiltinOperator.PAD, 1, schema.BuiltinOptions.PadOptions, schema.PadOptionsT(), [current, amounts],
                                  (n, h + top + bottom, w + left + right, c))
    options.padding = schema.Padding.SAME if padding == "SAME" else schema.Padding.VALID
    options.strideH, options.strideW = layer.stride
    options.dilationHFactor, options.dilationWFactor = layer.dilation
    options.fusedActivationFunction = FUSED[layer.activation]
    weights = layer.filter.transpose(1, 2, 3, 0) if depthwise else layer.filter.transpose(0, 2, 3, 1)  # [1, r, s, k] and [k, r, s, c / groups]
    bias = layer.bias if layer.bias is not None else np.zeros(k, np.float32)  # which is what XNNPACK adds without one
    inputs = [current, writer.tensor(weights.shape, weights), writer.tensor((k,), bias)]
    if depthwise:
        options.depthMultiplier = layer.multiplier
        return writer.operator(schema.BuiltinOperator.DEPTHWISE_CONV_2D, 2, schema.BuiltinOptions.DepthwiseConv2DOptions, options, inputs, layer.output)
    return writer.operator(schema.BuiltinOperator.CONV_2D, 1, schema.BuiltinOptions.Conv2DOptions, options, inputs, layer.output)


def build(problem):
    """The model's bytes."""
    writer = Writer()
    source = current = writer.tensor(problem.layers[0].input)
    for layer in problem.layers:
        current = convolution(writer, layer, current)
        if layer.activation == "hardswish":
            current = writer.operator(schema.BuiltinOperator.HARD_SWISH, 1, schema.BuiltinOptions.HardSwishOptions, schema.HardSwishOptionsT(), [current],
                                      layer.output)
    return writer.finish(source, current)
