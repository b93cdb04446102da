"""PyTorch, channels last: the faster of eager mode and torch.compile with frozen, prepacked filters. Of a problem in NCHW also eager in NCHW."""

import logging
import warnings

import torch
import torch.nn.functional as functional

from runners import Runner, fastest

warnings.filterwarnings("ignore")
torch.set_grad_enabled(False)


def version():
    return torch.__version__


class Model(torch.nn.Module):
    def __init__(self, problem):
        super().__init__()
        self.layers, self.pads, self.activations = torch.nn.ModuleList(), [], []
        for layer in problem.layers:
            k, c_each, r, s = layer.filter.shape
            top, left, bottom, right = layer.pad
            even = top == bottom and left == right
            convolution = torch.nn.Conv2d(c_each * layer.groups, k, (r, s), layer.stride, (top, left) if even else 0, layer.dilation, layer.groups,
                                          layer.bias is not None)
            convolution.weight.copy_(torch.from_numpy(layer.filter))
            if layer.bias is not None:
                convolution.bias.copy_(torch.from_numpy(layer.bias))
            self.layers.append(convolution)
            # PyTorch pads both sides alike; other zeros take a copy of the input.
            self.pads.append(None if even else (left, right, top, bottom))
            self.activations.append({"none": None, "relu": functional.relu, "relu6": functional.relu6, "hardswish": functional.hardswish}[layer.activation])

    def forward(self, x):
        for layer, pad, activation in zip(self.layers, self.pads, self.activations):
            x = layer(functional.pad(x, pad) if pad else x)
            x = activation(x) if activation else x
        return x


def make(problem, threads):
    torch.set_num_threads(threads)
    source = torch.from_numpy(problem.input).permute(0, 3, 1, 2)  # channels last in memory as it is
    model = Model(problem).eval().to(memory_format=torch.channels_last)
    copied = ", zeros added by a copy" if any(model.pads) else ""

    def runner(function, label, source=source):
        result = []

        def run():
            result[:] = [function(source)]
        return Runner(run, lambda: result[0].permute(0, 2, 3, 1).contiguous().numpy(), label + copied, keep=(model, problem, source))

    def compiled():
        import torch._inductor.config
        logging.getLogger("torch").setLevel(logging.ERROR)
        torch._inductor.config.freezing = True
        torch._dynamo.reset()
        return runner(torch.compile(model), "channels last, compiled, frozen")
    ways = [lambda: runner(model, "channels last, eager"), compiled]
    if problem.layout == "nchw":
        ways.append(lambda: runner(Model(problem).eval(), "NCHW, eager", torch.from_numpy(problem.nchw())))
    return fastest(ways)
