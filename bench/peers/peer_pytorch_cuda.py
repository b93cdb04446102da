"""PyTorch on a CUDA device: the fastest of channels last and NCHW, eager mode and torch.compile, each replayed from a CUDA graph, with cuDNN
choosing its algorithms by trials. Needs PyTorch alone, without NumPy."""

import logging
import math
import os
import time
import warnings

import torch
import torch.nn.functional as functional

from runners import CannotDo, Runner

warnings.filterwarnings("ignore")
torch.set_grad_enabled(False)

ACTIVATIONS = {"none": None, "relu": functional.relu, "relu6": functional.relu6, "hardswish": functional.hardswish}
DTYPES = {"f32": torch.float32, "f16": torch.float16}
GRAPH_SECONDS = 3e-3       # that a graph takes, about, where MOST_LAUNCHES are enough for it
MOST_LAUNCHES = 100
TRIALS = 5                 # of a configuration, from which the fastest is chosen
AUTOTUNE = "max-autotune-no-cudagraphs"  # torch.compile's mode that tries many kernels, some 20 s for a problem
AUTOTUNE_SECONDS = float(os.environ.get("SEPAL_PEERS_AUTOTUNE_SECONDS", 40))  # that a process spends with it: the problems that come first
L2_BYTES = 64 << 20        # where PyTorch does not tell it
COLD_L2S = 4               # what a rotation of tensors takes, in L2 caches
MOST_SETS = 64


class TorchArrays:
    """What layers.load() reads tensors with."""

    @staticmethod
    def read(path, shape):
        return torch.from_file(path, shared=False, size=math.prod(shape), dtype=torch.float32).reshape(shape)

    @staticmethod
    def transposed(array, *axes):
        return array.permute(axes).contiguous()


def open_device(device):
    """Raises CannotDo where there is none."""
    if torch.version.cuda is None:
        raise CannotDo(f"this PyTorch ({torch.__version__}) is built without CUDA")
    if not torch.cuda.is_available():
        raise CannotDo("PyTorch finds no NVIDIA GPU here")
    index, count = int(device.split(":")[1]), torch.cuda.device_count()
    if index >= count:
        raise CannotDo(f"CUDA device {index} does not exist; PyTorch sees {count}")
    torch.cuda.set_device(index)


def give_back():
    """Memory of the device that nothing uses."""
    torch.cuda.empty_cache()


def version():
    return f"{torch.__version__}, CUDA {torch.version.cuda}, cuDNN {torch.backends.cudnn.version()}"


def l2_bytes(device):
    return getattr(torch.cuda.get_device_properties(device), "L2_cache_size", 0) or L2_BYTES


class Step:
    """One layer on the device."""

    def __init__(self, layer, device, dtype, memory_format):
        self.weight = layer.filter.to(device=device, dtype=dtype).contiguous(memory_format=memory_format)
        self.bias = None if layer.bias is None else layer.bias.to(device=device, dtype=dtype)
        top, left, bottom, right = layer.pad
        even = top == bottom and left == right
        self.padding = (top, left) if even else (0, 0)
        # PyTorch pads both sides alike; other zeros take a copy of the input.
        self.zeros = None if even else (left, right, top, bottom)
        self.stride, self.dilation, self.groups, self.activation = layer.stride, layer.dilation, layer.groups, ACTIVATIONS[layer.activation]
        self.is_relu = layer.activation == "relu"
        k, c, r, s = layer.filter.shape
        self.is_matrix = (r, s) == (1, 1) and self.stride == (1, 1) and layer.groups == 1 and not any(layer.pad)
        self.rows = self.weight.reshape(k, c) if self.is_matrix else None
        # Of such convolutions cuDNN knows one with fewer multiplications and rounding of its own, and does not tell whether it takes it.
        self.winograd = r > 1 and s > 1 and self.stride == (1, 1) and self.dilation == (1, 1) and layer.groups == 1

    def padded(self, x):
        return functional.pad(x, self.zeros) if self.zeros else x

    def plain(self, x):
        y = functional.conv2d(self.padded(x), self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups)
        return self.activation(y) if self.activation else y

    def matrix(self, x):
        if not self.is_matrix:
            return self.plain(x)
        y = functional.linear(x.permute(0, 2, 3, 1), self.rows, self.bias).permute(0, 3, 1, 2)
        return self.activation(y) if self.activation else y

    def fused(self, x):
        if not self.is_relu or self.groups > 1:
            return self.plain(x)
        return torch.cudnn_convolution_relu(self.padded(x), self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups)


def chain(functions):
    def run(x):
        for function in functions:
            x = function(x)
        return x
    return run


def configurations(problem, device):
    """(label, what makes a function of x, memory format, whether it is AUTOTUNE) of each way to compute the problem, and whether one of its layers
    may be computed by Winograd's algorithm."""
    dtype = DTYPES[problem.dtype]
    found = []

    def add(label, memory_format, way, *mode):
        def make():
            function = chain([getattr(Step(layer, device, dtype, memory_format), way) for layer in problem.layers])
            if not mode:
                return function
            logging.getLogger("torch").setLevel(logging.ERROR)
            torch._dynamo.reset()
            return torch.compile(function, mode=mode[0], dynamic=False)
        found.append((label, make, memory_format, AUTOTUNE in mode))

    steps = [Step(layer, "cpu", torch.float32, torch.contiguous_format) for layer in problem.layers]
    add("channels last, eager", torch.channels_last, "plain")
    if any(step.is_matrix for step in steps):
        add("channels last, eager, pointwise by linear", torch.channels_last, "matrix")
    if any(step.is_relu and step.groups == 1 for step in steps):
        add("channels last, eager, cuDNN's convolution with relu", torch.channels_last, "fused")
    add("NCHW, eager", torch.contiguous_format, "plain")
    add("channels last, compiled", torch.channels_last, "plain", None)
    add("channels last, compiled (max-autotune)", torch.channels_last, "plain", AUTOTUNE)
    return found, any(step.winograd for step in steps)


class Timed:
    """A function with sets of tensors, and its launches in a CUDA graph."""

    def __init__(self, function, source):
        self.function, self.sources = function, [source]
        self.device = source.device
        self.graphs, self.why_no_graph = {}, ""
        self.result = function(source)
        function(source)
        torch.cuda.synchronize()
        once = self.events(lambda: function(source))
        self.launches = max(1, min(MOST_LAUNCHES, int(GRAPH_SECONDS / max(once, 1e-7))))

    def events(self, work):
        """Seconds that the device takes for what `work` queues."""
        before, after = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        before.record()
        work()
        after.record()
        after.synchronize()
        return before.elapsed_time(after) / 1e3

    def sets(self, cold):
        """As many inputs as with their outputs exceed L2 by far, one when not `cold`."""
        if not cold:
            return self.sources[:1]
        tensors = [self.sources[0], self.result]
        each = sum(t.numel() * t.element_size() for t in tensors)
        free = torch.cuda.mem_get_info(self.device)[0]
        count = max(1, min(MOST_SETS, math.ceil(COLD_L2S * l2_bytes(self.device) / each), 1 + int(free / 2 / each)))
        while len(self.sources) < count:
            self.sources.append(self.sources[0].clone(memory_format=torch.preserve_format))
        return self.sources[:count]

    def queue(self, cold):
        """What queues some launches, and how many they are. An output lives until its set is used again, so that none takes the memory of one
        that is still in L2."""
        if cold in self.graphs:
            return self.graphs[cold]
        sources = self.sets(cold)
        launches = math.ceil(self.launches / len(sources)) * len(sources)

        def work():
            results = []
            for i in range(launches):
                result = self.function(sources[i % len(sources)])
                if cold:
                    results = (results + [result])[-len(sources):]
            self.result = result
        if not self.why_no_graph:
            try:
                side = torch.cuda.Stream()  # a graph is captured after a run on another stream than the default one
                side.wait_stream(torch.cuda.current_stream())
                with torch.cuda.stream(side):
                    self.function(sources[0])
                torch.cuda.current_stream().wait_stream(side)
                torch.cuda.synchronize()
                graph = torch.cuda.CUDAGraph()
                with torch.cuda.graph(graph):
                    work()
                graph.replay()
                torch.cuda.synchronize()
                self.graphs[cold] = graph.replay, launches
                return self.graphs[cold]
            except RuntimeError as e:
                self.why_no_graph = " ".join(str(e).split())[:100]
                torch.cuda.synchronize()
        self.graphs[cold] = work, launches
        return self.graphs[cold]

    def seconds(self, runs, cold):
        """Mean of one of at least `runs` in a row."""
        queue, launches = self.queue(cold)
        times = math.ceil(runs / launches)

        def work():
            for _ in range(times):
                queue()
        return self.events(work) / (times * launches)


spent = {"autotune": 0.0}  # seconds of this process


def median(values):
    return sorted(values)[len(values) // 2]


def trials(problem, device, tf32):
    """The fastest configuration as (label, Timed), and what became of each: {"configuration", "seconds"} or {"configuration", "why_not"}."""
    if problem.dtype not in DTYPES:
        raise CannotDo(f"it is not measured on {problem.dtype}")
    if tf32 and problem.dtype != "f32":
        raise CannotDo(f"TF32 is a way to compute f32 problems, this one is {problem.dtype}")
    torch.backends.cudnn.benchmark = True
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = tf32
    source = problem.input.to(device=device, dtype=DTYPES[problem.dtype]).permute(0, 3, 1, 2)  # channels last in memory as it is
    best, told, first_error = None, [], None
    ways, _ = configurations(problem, device)
    for label, make, memory_format, autotune in ways:
        if autotune and spent["autotune"] >= AUTOTUNE_SECONDS:
            told.append({"configuration": label, "why_not": f"SEPAL_PEERS_AUTOTUNE_SECONDS, {AUTOTUNE_SECONDS:g} s, were over"})
            continue
        start = time.perf_counter()
        try:
            timed = Timed(make(), source.contiguous(memory_format=memory_format))
            timed.seconds(1, False)
            seconds = median([timed.seconds(1, False) for _ in range(TRIALS)])
        except Exception as e:  # a library may raise anything
            first_error = first_error or e
            told.append({"configuration": label, "why_not": f"{type(e).__name__}: {' '.join(str(e).split())[:200]}"})
            continue
        finally:
            spent["autotune"] += time.perf_counter() - start if autotune else 0
        told.append({"configuration": label, "seconds": seconds})
        if best is None or seconds < best[2]:
            best = label, timed, seconds
        del timed
        torch.cuda.empty_cache()
    if best is None:
        raise first_error
    return best[0], best[1], told


def make(problem, device, tf32):
    label, timed, told = trials(problem, device, tf32)
    _, winograd = configurations(problem, device)
    label += ", in a CUDA graph" if not timed.why_no_graph else f", queued (no CUDA graph: {timed.why_no_graph})"
    if problem.dtype == "f32":
        label += ", TF32 on" if tf32 else ", TF32 off"
    left_out = [t["configuration"] for t in told if "why_not" in t]
    if left_out:
        label += f"; not measured: {'; '.join(left_out)}"

    def write(path):
        result = timed.result.permute(0, 2, 3, 1).to(device="cpu", dtype=torch.float32).contiguous().reshape(-1)
        torch.from_file(path, shared=True, size=result.numel(), dtype=torch.float32).copy_(result)

    def run():
        timed.result = timed.function(timed.sources[0])
        torch.cuda.synchronize()
    return Runner(run, None, label, winograd=winograd, write=write, timed=timed.seconds)
