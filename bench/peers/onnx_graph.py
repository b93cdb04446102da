"""A problem as an ONNX model, for the libraries that read one: NCHW, the filters as initializers."""

from onnx import TensorProto, helper, numpy_helper


def build(problem):
    """The model (onnx.ModelProto); its input is "x", its output "y"."""
    import numpy as np
    nodes, constants, current = [], [], "x"

    def constant(name, array):
        constants.append(numpy_helper.from_array(np.asarray(array, np.float32), name))
        return name

    for i, layer in enumerate(problem.layers):
        inputs = [current, constant(f"filter{i}", layer.filter)]
        if layer.bias is not None:
            inputs.append(constant(f"bias{i}", layer.bias))
        current = f"sum{i}"
        nodes.append(helper.make_node("Conv", inputs, [current], kernel_shape=layer.filter.shape[2:], strides=layer.stride, dilations=layer.dilation,
                                      pads=layer.pad, group=layer.groups))
        if layer.activation != "none":
            inputs = {"relu": [current], "hardswish": [current]}.get(layer.activation)
            if layer.activation == "relu6":
                inputs = [current, constant(f"zero{i}", 0), constant(f"six{i}", 6)]
            current = f"active{i}"
            nodes.append(helper.make_node({"relu": "Relu", "relu6": "Clip", "hardswish": "HardSwish"}[layer.activation], inputs, [current]))
    nodes[-1].output[0] = "y"

    def info(name, shape):
        n, h, w, c = shape
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, [n, c, h, w])
    graph = helper.make_graph(nodes, "problem", [info("x", problem.layers[0].input)], [info("y", problem.layers[-1].output)], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
