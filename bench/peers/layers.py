"""A problem as the layers that libraries know: one convolution each, with its bias and activation. A depsep problem is two."""

import dataclasses
import json
import os
import typing


@dataclasses.dataclass
class Layer:
    filter: typing.Any  # [output channels, input channels / groups, r, s], f32; an array of numpy or of what load() was given
    bias: typing.Any    # [output channels], f32; None without one
    groups: int
    stride: tuple       # (h, w), so are the next
    dilation: tuple     # 1 is dense
    pad: tuple          # zeros at (top, left, bottom, right)
    activation: str     # none, relu, relu6, hardswish: x * min(max(x + 3, 0), 6) / 6
    input: tuple        # (n, h, w, c)
    output: tuple       # (n, p, q, k)

    @property
    def multiplier(self):
        """Output channels of each input channel when every channel stands alone, else 0."""
        n, h, w, c = self.input
        return self.output[3] // c if self.groups == c and c > 1 else 0

    @property
    def tensorflow_padding(self):
        """"SAME" or "VALID" when TensorFlow's rule of that name gives these zeros, else "": the odd zero of SAME is at the bottom and right."""
        if not any(self.pad):
            return "VALID"
        same = [same_padding(*sizes) for sizes in zip(self.input[1:3], self.filter.shape[2:], self.stride, self.dilation)]
        whole = all(out == -(-size // stride) for size, out, stride in zip(self.input[1:3], self.output[1:3], self.stride))
        top, left, bottom, right = self.pad
        return "SAME" if whole and same == [(top, bottom), (left, right)] else ""


def same_padding(size, taps, stride, dilation):
    """The zeros before and after an extent of which "same" leaves size / stride, rounded up: the odd one is after it."""
    zeros = max((-(-size // stride) - 1) * stride + (taps - 1) * dilation + 1 - size, 0)
    return zeros // 2, zeros - zeros // 2


@dataclasses.dataclass
class Problem:
    input: typing.Any  # [n, h, w, c], f32
    layers: list
    dtype: str = "f32"  # of input, filters and output; biases are f32. Another type's tensors hold values that it has.
    layout: str = "nhwc"  # of the problem's input and output. The input here is in NHWC: a library takes what it likes best in any case.

    def in_layout(self, output):
        """The output [n, p, q, k] in the problem's layout."""
        output = output.reshape(self.layers[-1].output)
        return output.transpose(0, 3, 1, 2) if self.layout == "nchw" else output

    def nchw(self):
        return NumpyArrays.transposed(self.input, 0, 3, 1, 2)


class NumpyArrays:
    @staticmethod
    def read(path, shape):
        import numpy
        return numpy.fromfile(path, numpy.float32).reshape(shape)

    @staticmethod
    def transposed(array, *axes):
        import numpy
        return numpy.ascontiguousarray(array.transpose(axes))


def load(folder, arrays=NumpyArrays):
    """From problem.json (a problem of Sepal's files, with "pad" as four numbers) and the tensors beside it, raw f32 in the layouts of
    runtime/problem.h. Raises OSError or ValueError when a file is missing or too short. `arrays` reads and transposes the tensors."""
    with open(os.path.join(folder, "problem.json"), encoding="utf-8") as file:
        p = json.load(file)
    return from_tensors(p, lambda name, *shape: arrays.read(os.path.join(folder, name + ".f32"), shape), arrays)


def from_tensors(p, tensor, arrays):
    """Of the problem p, whose tensors tensor(name, *shape) gives."""
    n, h, w, c = p["n"], p["h"], p["w"], p["c"]
    r, s = p.get("r", 1), p.get("s", 1)
    stride, dilation = tuple(p.get("stride", (1, 1))), tuple(p.get("dilation", (1, 1)))
    pad = tuple(p["pad"]) if "pad" in p else (0, 0, 0, 0)
    op, m = p["op"], p.get("multiplier", 1)
    layers = []

    def add(weights, groups, has_bias, bias, activation, spatial=True):
        shape = layers[-1].output if layers else (n, h, w, c)
        k = weights.shape[0]
        if not spatial:
            layers.append(Layer(weights, tensor(bias, k) if has_bias else None, groups, (1, 1), (1, 1), (0, 0, 0, 0), activation, shape, (*shape[:3], k)))
            return
        size = [(extent + before + after - step * (taps - 1) - 1) // jump + 1 for extent, before, after, step, taps, jump in
                zip(shape[1:3], pad[:2], pad[2:], dilation, (r, s), stride)]
        layers.append(Layer(weights, tensor(bias, k) if has_bias else None, groups, stride, dilation, pad, activation, shape, (n, *size, k)))

    if op == "conv2d":
        groups = p.get("groups", 1)
        weights = tensor("filter", p["k"], r, s, c // groups)
        add(arrays.transposed(weights, 0, 3, 1, 2), groups, p.get("bias", False), "bias", p.get("activation", "none"))
    if op in ("depthwise", "depsep"):
        weights = arrays.transposed(tensor("filter", r, s, c, m), 2, 3, 0, 1).reshape(c * m, 1, r, s)
        bias, activation = ("mid_bias", "mid_activation") if op == "depsep" else ("bias", "activation")
        add(weights, c, p.get(bias, False), bias, p.get(activation, "none"))
    if op in ("pointwise", "depsep"):
        weights = tensor("filter" if op == "pointwise" else "pointwise_filter", p["k"], layers[-1].output[3] if layers else c, 1, 1)
        add(weights, 1, p.get("bias", False), "bias", p.get("activation", "none"), spatial=False)
    layout = p.get("layout", "nhwc")
    source = tensor("input", n, h, w, c) if layout == "nhwc" else arrays.transposed(tensor("input", n, c, h, w), 0, 2, 3, 1)
    return Problem(source, layers, p.get("dtype", "f32"), layout)
