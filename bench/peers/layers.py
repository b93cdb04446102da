"""A problem as the layers that libraries know: one convolution each, with its bias and activation. A depsep problem is two."""

import dataclasses
import json
import os

import numpy as np


@dataclasses.dataclass
class Layer:
    filter: np.ndarray  # [output channels, input channels / groups, r, s], f32
    bias: np.ndarray    # [output channels], f32; None without one
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
        same = []
        for size, out, taps, stride, dilation in zip(self.input[1:3], self.output[1:3], self.filter.shape[2:], self.stride, self.dilation):
            zeros = max((-(-size // stride) - 1) * stride + (taps - 1) * dilation + 1 - size, 0)
            same.append((zeros // 2, zeros - zeros // 2) if out == -(-size // stride) else None)
        top, left, bottom, right = self.pad
        return "SAME" if same == [(top, bottom), (left, right)] else ""


@dataclasses.dataclass
class Problem:
    input: np.ndarray  # [n, h, w, c], f32
    layers: list

    def nchw(self):
        return np.ascontiguousarray(self.input.transpose(0, 3, 1, 2))


def load(folder):
    """From problem.json (a problem of Sepal's files, with "pad" as four numbers) and the tensors beside it, raw f32 in the layouts of
    runtime/problem.h. Raises OSError or ValueError when a file is missing or too short."""
    with open(os.path.join(folder, "problem.json"), encoding="utf-8") as file:
        p = json.load(file)

    def tensor(name, *shape):
        return np.fromfile(os.path.join(folder, name + ".f32"), np.float32).reshape(shape)

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
        weights = tensor("filter", p["k"], r, s, c // p["groups"]).transpose(0, 3, 1, 2)
        add(np.ascontiguousarray(weights), p["groups"], p["bias"], "bias", p["activation"])
    if op in ("depthwise", "depsep"):
        weights = np.ascontiguousarray(tensor("filter", r, s, c, m).transpose(2, 3, 0, 1)).reshape(c * m, 1, r, s)
        middle = op == "depsep"
        add(weights, c, p["mid_bias" if middle else "bias"], "mid_bias" if middle else "bias", p["mid_activation" if middle else "activation"])
    if op in ("pointwise", "depsep"):
        weights = tensor("filter" if op == "pointwise" else "pointwise_filter", p["k"], layers[-1].output[3] if layers else c, 1, 1)
        add(weights, 1, p["bias"], "bias", p["activation"], spatial=False)
    return Problem(tensor("input", n, h, w, c), layers)
