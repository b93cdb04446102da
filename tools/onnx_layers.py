"""The convolutions of a model of ONNX as layers of Sepal: what is folded into each, what follows it, and what cannot be taken and why."""

import math

import numpy as np
from onnx import TensorProto

from onnx_model import MOST, nodes_inside

DTYPES = {TensorProto.FLOAT: "f32", TensorProto.FLOAT16: "f16"}
DIMENSIONS = {3: "1-D", 4: "2-D", 5: "3-D"}  # by the rank of a filter
DEPTHWISE = ("depthwise", "depsep")  # operators whose own filter is of one channel each
PADDINGS = ("", "NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER")
PRODUCTS = ("Gemm", "MatMul", "MatMulInteger", "QLinearMatMul")
FILTER_INPUT = {"QLinearConv": 3}  # of the other kinds of convolution it is 1
OTHER_ACTIVATIONS = ("Celu", "Clip", "Elu", "Gelu", "HardSigmoid", "LeakyRelu", "Mish", "PRelu", "Selu", "Sigmoid", "Softplus", "Softsign", "Swish", "Tanh",
                     "ThresholdedRelu", "com.microsoft.Gelu", "com.microsoft.QuickGelu")  # which the format does not have
ELEMENTWISE = (*OTHER_ACTIVATIONS, "Relu", "Add", "Sub", "Mul", "Div", "Erf", "Exp", "Pow")
LONGEST_GATE = 5  # operators between x and the product of x * g(x)


class Cannot(Exception):
    """Why a convolution is left."""


class Layer:
    """A convolution that is taken, or two as a depsep, with what is computed in one go with it."""

    def __init__(self, model, node, order):
        self.node = node
        self.order = order       # among all convolutions of the model, from 1
        self.output = node.outputs[0]
        self.folded = []         # Nodes of batch-norms and of arithmetic with a constant for each channel
        self.bias = bool(node.input(2))
        self.residual = None     # the Node that adds another tensor
        self.activation = "none"
        self.other = ""          # an activation right behind that the format does not have
        self.second = None       # the Layer of the pointwise half of a depsep

        outer = zeros_before(model, node)
        self.before = model.producers[node.inputs[0]] if outer else None  # the Node that adds zeros around the input
        self.n, self.c, self.h, self.w = model.shape(self.before.inputs[0] if outer else node.inputs[0])
        self.k, _, self.r, self.s = model.shape(node.inputs[1])
        _, _, self.p, self.q = model.shape(self.output)
        self.dtype = DTYPES[model.element(node.inputs[0])]
        self.groups = node.attributes.get("group", 1)
        self.stride = list(node.attributes.get("strides", [1, 1]))
        # Between the taps of a single one there is nothing.
        self.dilation = [d if taps > 1 else 1 for d, taps in zip(node.attributes.get("dilations", [1, 1]), (self.r, self.s))]
        self.pad, self.zeros = self.padding(outer or [0] * 4)
        self.multiplier = 1
        if self.groups == self.c > 1:
            self.op, self.multiplier, self.groups = "depthwise", self.k // self.c, 1
        elif self.r == self.s == self.groups == 1 and self.stride == [1, 1] and not any(self.zeros):
            self.op = "pointwise"
        else:
            self.op = "conv2d"

    def padding(self, outer):
        """As the problem says it, and as zeros at top, left, bottom and right; `outer` are those of a Pad in front."""
        mode = self.node.text("auto_pad") or "NOTSET"
        if mode in ("NOTSET", "VALID"):
            own = self.node.attributes.get("pads", [0] * 4) if mode == "NOTSET" else [0] * 4
            zeros = [a + b for a, b in zip(own, outer)]
            return zeros if any(zeros) else "valid", zeros
        before, after = [], []
        for size, taps, stride, dilation in zip((self.h, self.w), (self.r, self.s), self.stride, self.dilation):
            total = max(0, (-(-size // stride) - 1) * stride + dilation * (taps - 1) + 1 - size)
            before.append(-(-total // 2) if mode == "SAME_LOWER" else total // 2)
            after.append(total - before[-1])
        return "same" if mode == "SAME_UPPER" else before + after, before + after

    def last(self):
        """What ends it: itself, or the second half of a depsep."""
        return self.second or self

    def flops(self):
        """As ConvProblem counts them."""
        each = self.r * self.s * self.k * (1 if self.op in DEPTHWISE else self.c // self.groups)
        return 2 * self.n * self.p * self.q * each + (self.second.flops() if self.second else 0)

    def nodes(self):
        """How many convolutions of the model it is."""
        return 2 if self.second else 1


class Layers:
    """What is taken of a model, in the order of its graph, and what is left."""

    def __init__(self, model, fuse):
        self.model = model
        self.taken = []
        self.left = []      # (operator, name, why, FLOPs: 0 of what is no convolution, None where they are not known)
        self.joined = []    # depthwise Layers that have a second half
        self.apart = []     # (depthwise Layer, why it is not joined)
        self.outside = []   # (what, name of the convolution) of activations and additions that are not part of a problem
        refused = {}        # the place of an addition -> (why it is part of no problem, a convolution in front of it)
        for node in model.nodes:
            self.look_at(node)
        for layer in self.taken:
            self.follow(layer, refused)
        added = {layer.residual.index for layer in self.taken if layer.residual}
        self.outside += [entry for index, entry in refused.items() if index not in added]
        if fuse:
            self.join()

    def look_at(self, node):
        base = node.op.rpartition(".")[2]
        for body in node.bodies:
            for inner in nodes_inside(body):
                if "Conv" in inner.op_type:
                    self.left.append((inner.op_type, inner.name or inner.output[0], f"it is in a body of {node.op}, which are not walked", None))
        if base in PRODUCTS:
            self.left.append((node.op, node.name, "it is no convolution", 0))
        elif "Conv" in base:
            try:
                self.check(node)
                self.taken.append(Layer(self.model, node, self.convolutions() + 1))
            except Cannot as e:
                self.left.append((node.op, node.name, str(e), self.flops_of_left(node, base)))

    def convolutions(self):
        """How many the model has."""
        return sum(layer.nodes() for layer in self.taken) + sum(flops != 0 for *_, flops in self.left)

    def check(self, node):
        model = self.model
        if node.op != "Conv":
            quantised = any(word in node.op for word in ("QLinear", "Integer", "Quant"))
            raise Cannot("it is quantised" if quantised else "the format has no such operator" if "." not in node.op else "it is no operator of ONNX itself")
        filters = node.inputs[1]
        if "DequantizeLinear" in model.computed_by(filters):
            raise Cannot("it is quantised: its filter comes from DequantizeLinear")
        if filters not in model.constants:
            raise Cannot("its filter depends on the model's input")
        shapes = {"filter": model.shape(filters), "input": model.shape(node.inputs[0]), "output": model.shape(node.outputs[0])}
        for what, shape in shapes.items():
            if shape is not None and len(shape) != 4:
                raise Cannot(f"it is a {DIMENSIONS[len(shape)]} convolution" if len(shape) in DIMENSIONS else f"its {what} has {len(shape)} dimensions")
        for what, shape in shapes.items():
            if shape is None:
                raise Cannot(f"the shape of its {what} is not known")
            if min(shape) < 1 or math.prod(shape) > MOST:
                raise Cannot(f"its {what} has {math.prod(shape)} elements; allowed: 1 to {MOST}")
        if model.element(node.inputs[0]) not in DTYPES:
            raise Cannot(f"its elements are {model.element_name(node.inputs[0])}")
        if node.attributes.get("kernel_shape", shapes["filter"][2:]) != shapes["filter"][2:]:
            raise Cannot(f'its kernel_shape is {node.attributes["kernel_shape"]}, its filter is {shapes["filter"]}')
        group = node.attributes.get("group", 1)
        if shapes["filter"][1] * group != shapes["input"][1] or shapes["filter"][0] % group:
            raise Cannot("its filter does not fit its input")
        if min(node.attributes.get("pads", [0])) < 0:
            raise Cannot("its padding is negative")
        if node.text("auto_pad") not in PADDINGS:
            raise Cannot(f'its auto_pad is "{node.text("auto_pad")}"')

    def flops_of_left(self, node, base):
        """Where filter and output of a convolution are known; of a transposed one the input."""
        filters = self.model.shape(node.input(FILTER_INPUT.get(base, 1)))
        pixels = self.model.shape(node.input(0) if base == "ConvTranspose" else node.outputs[0])
        return 2 * math.prod(pixels) // pixels[1] * math.prod(filters) if filters and pixels and len(pixels) > 2 and pixels[1] else None

    def follow(self, layer, refused):
        """Goes down from a convolution as long as each tensor has one reader: constants for each channel, an addition, an activation."""
        model = self.model
        while (node := model.only_user(layer.output)) and self.is_linear(node, layer):
            layer.folded.append(node)
            layer.bias |= node.op in ("BatchNormalization", "Add", "Sub")
            layer.output = node.outputs[0]
        node = model.only_user(layer.output)
        if node and node.op in ("Add", "Sum") and len(node.inputs) == 2:
            why = self.why_no_residual(node, layer)
            if why:
                refused[node.index] = (why, layer.node.name)
            else:
                layer.residual, layer.output = node, node.outputs[0]
        layer.activation, layer.output, layer.other = activation_after(model, layer.output)
        if layer.other:
            self.outside.append((layer.other, layer.node.name))

    def is_linear(self, node, layer):
        """Whether it scales or shifts each channel of the layer's output by constants."""
        model = self.model
        if node.op == "BatchNormalization":
            return (node.inputs[0] == layer.output and all(name in model.constants and model.shape(name) == [layer.k] for name in node.inputs[1:])
                    and not node.attributes.get("training_mode") and not any(model.users.get(name) for name in node.outputs[1:]))
        if node.op not in ("Add", "Mul", "Sub", "Div"):
            return False
        first = node.inputs[0] == layer.output
        other = node.inputs[1] if first else node.inputs[0]
        shape = model.shape(other)
        if other not in model.constants or shape is None or len(shape) > 4 or not (first or node.op in ("Add", "Mul")):
            return False
        one, channels, *pixel = [1] * (4 - len(shape)) + list(shape)
        return one == 1 and channels in (1, layer.k) and pixel == [1, 1]

    def why_no_residual(self, node, layer):
        """Why an addition is not the layer's residual; empty where it is."""
        other = node.inputs[1] if node.inputs[0] == layer.output else node.inputs[0]
        if self.model.shape(other) != self.model.shape(layer.output):
            return f"{node.op} of a tensor of another shape"
        if layer.op == "depthwise":
            return f"{node.op} behind a depthwise convolution"
        if self.model.made_at(other) > self.model.made_at(layer.output):
            return f"{node.op} of a tensor that is made later"
        return ""

    def join(self):
        """Makes a depthwise convolution and the pointwise one that alone reads it to a depsep."""
        by_node = {layer.node.index: layer for layer in self.taken}
        seconds = set()
        for layer in self.taken:
            if layer.op != "depthwise":
                continue
            node = self.model.only_user(layer.output)
            second = by_node.get(node.index) if node else None
            if second and second.op == "pointwise" and second.node.inputs[0] == layer.output and not layer.other:
                layer.op, layer.second = "depsep", second
                seconds.add(second)
                self.joined.append(layer)
            else:
                self.apart.append((layer, self.why_apart(layer)))
        self.taken = [layer for layer in self.taken if layer not in seconds]

    def why_apart(self, layer):
        users = self.model.users.get(layer.output, [])
        operators = {node.op for node in users}
        if layer.other:
            return f"{layer.other} stands between, an activation that the format does not have"
        if "Mul" in operators and operators & {"GlobalAveragePool", "ReduceMean"}:
            return "a squeeze-and-excite block stands between"
        if layer.output in self.model.outputs:
            return "its output is one of the model"
        if len(users) > 1:
            return f"its output has {len(users)} readers: {', '.join(node.op for node in users)}"
        if not users:
            return "nothing reads its output"
        return "the convolution behind it is no pointwise one that is taken" if users[0].op == "Conv" else f"{users[0].op} stands between"


def zeros_before(model, node):
    """The zeros at top, left, bottom and right of a Pad that only this convolution reads; None where there is none, or one that does something else."""
    pad = model.producers.get(node.inputs[0])
    if not pad or pad.op != "Pad" or pad.text("mode") not in ("", "constant"):
        return None
    if model.only_user(node.inputs[0]) is not node or "SAME" in node.text("auto_pad"):
        return None
    if model.opset < 11:
        amounts, value = pad.attributes.get("pads", []), pad.attributes.get("value", 0)
    else:
        amounts, value = model.values(pad.input(1)), model.scalar(pad.input(2)) if pad.input(2) else 0
    axes = model.values(pad.input(3)) if pad.input(3) else range(4)
    shape = model.shape(pad.inputs[0])
    if value != 0 or amounts is None or axes is None or shape is None or len(shape) != 4 or len(amounts) != 2 * len(axes):
        return None
    zeros = [0] * 8
    for i, axis in enumerate(axes):
        zeros[axis % 4], zeros[axis % 4 + 4] = int(amounts[i]), int(amounts[i + len(axes)])
    images_and_channels, outer = zeros[0:2] + zeros[4:6], zeros[2:4] + zeros[6:8]
    return outer if not any(images_and_channels) and min(outer) >= 0 else None


def activation_after(model, tensor):
    """What is done to each element of a tensor: its name in the format, the tensor behind it and nothing; or, of an activation that the format does not
    have, "none", the tensor itself and what it is."""
    users = model.users.get(tensor, [])
    if tensor in model.outputs:
        return "none", tensor, ""
    if len(users) == 2:
        return gate_after(model, tensor, users)
    if len(users) != 1:
        return "none", tensor, ""
    node = users[0]
    limits = clip_limits(model, node) if node.op == "Clip" else None
    name = {"Relu": "relu", "HardSwish": "hardswish"}.get(node.op) or {(0, 6): "relu6", (0, math.inf): "relu"}.get(limits)
    if name:
        return name, node.outputs[0], ""
    return "none", tensor, f"Clip to {limits[0]:g} to {limits[1]:g}" if limits else node.op if node.op in OTHER_ACTIVATIONS else ""


def gate_after(model, x, users):
    """x * g(x), as activation_after() tells it."""
    product = next((node for node in users if node.op == "Mul"), None)
    node = next((node for node in users if node is not product), None)
    steps, inputs, text = [], [x], "x"
    while product and node and node is not product and node.op in ELEMENTWISE and len(steps) < LONGEST_GATE:
        steps.append(node)
        inputs.append(node.outputs[0])
        text = f"{node.op}({text})"
        node = model.only_user(inputs[-1])
    if not steps or node is not product:
        return "none", x, ""
    if len(steps) == 1 and steps[0].op == "HardSigmoid":
        alpha, beta = (steps[0].attributes.get(name, default) for name, default in (("alpha", 0.2), ("beta", 0.5)))
        if close(alpha, 1 / 6) and close(beta, 0.5):
            return "hardswish", product.outputs[0], ""
    if len(steps) in (2, 3) and close(by_scalar(model, steps[0], x, "Add"), 3) and steps[1].op == "Clip" and clip_limits(model, steps[1]) == (0, 6):
        after = model.only_user(product.outputs[0])
        if len(steps) == 3 and is_sixth(model, steps[2], inputs[2]):
            return "hardswish", product.outputs[0], ""
        if len(steps) == 2 and after and is_sixth(model, after, product.outputs[0]):
            return "hardswish", after.outputs[0], ""
    return "none", x, f"SiLU, x * {text}" if text == "Sigmoid(x)" else f"x * {text}"


def close(a, b):
    return abs(a - b) < 1e-4


def by_scalar(model, node, tensor, operator):
    """The constant that an operator applies to a tensor as its second operand; NaN where it is none."""
    if node.op != operator or tensor not in node.inputs:
        return math.nan
    first = node.inputs[0] == tensor
    return model.scalar(node.inputs[1 if first else 0]) if first or operator in ("Add", "Mul") else math.nan


def is_sixth(model, node, tensor):
    return close(by_scalar(model, node, tensor, "Div"), 6) or close(by_scalar(model, node, tensor, "Mul"), 1 / 6)


def clip_limits(model, node):
    """Least and largest value that Clip lets through; NaN where it is computed."""
    if model.opset < 11:
        limits = node.attributes.get("min", -math.inf), node.attributes.get("max", math.inf)
    else:
        limits = [model.scalar(node.input(i)) if node.input(i) else none for i, none in ((1, -math.inf), (2, math.inf))]
    return tuple(math.copysign(math.inf, v) if abs(v) > 3.4e38 else v for v in limits)


# ---- weights ----
def weights_of(model, layer):
    """{array of `sepal run`: its values}, in the layouts of ConvProblem, with all that is folded."""
    filters, bias = folded_weights(model, layer)
    k, r, s = layer.k, layer.r, layer.s
    if layer.op in DEPTHWISE:
        arrays = {"filter": filters.reshape(layer.c, layer.multiplier, r, s).transpose(2, 3, 0, 1)}
    elif layer.op == "pointwise":
        arrays = {"filter": filters.reshape(k, layer.c)}
    else:
        arrays = {"filter": filters.transpose(0, 2, 3, 1)}
    if layer.second:
        second = weights_of(model, layer.second)
        arrays["pointwise_filter"] = second.pop("filter")
        arrays.update(second)
    if layer.bias:
        arrays["mid_bias" if layer.second else "bias"] = bias
    return {name: np.ascontiguousarray(values, np.float32) for name, values in arrays.items()}


def folded_weights(model, layer):
    def values(name):
        found = model.values(name)
        if found is None:
            raise Cannot(f'"{name}" of {layer.node.name} is computed, or cannot be read')
        return found.astype(np.float64)

    node = layer.node
    filters, scale = values(node.inputs[1]), np.ones(layer.k)
    shift = values(node.input(2)) if node.input(2) else np.zeros(layer.k)
    for step in layer.folded:
        if step.op == "BatchNormalization":
            gamma, beta, mean, variance = map(values, step.inputs[1:5])
            by = gamma / np.sqrt(variance + step.attributes.get("epsilon", 1e-5))
            scale, shift = scale * by, (shift - mean) * by + beta
            continue
        constant = values(next(name for name in step.inputs if name in model.constants)).reshape(-1)
        if step.op in ("Add", "Sub"):
            shift = shift + constant if step.op == "Add" else shift - constant
        else:
            by = constant if step.op == "Mul" else 1 / constant
            scale, shift = scale * by, shift * by
    return filters * scale[:, None, None, None], shift
