"""The functions of PyTorch that bench/peers uses on a GPU, over NumPy, with a device whose clock runs by what it computes: a test knows every
time beforehand. `fake` says what the device can do; the environment variable FAKE_TORCH, as JSON, changes it."""

import contextlib
import json
import math
import os
import types

import numpy as np

fake = {"cuda": "13.0", "available": True, "devices": 1, "graphs": True, "compile": True, "l2": 4096, "free": 1 << 30, "wrong": None,
        # Seconds of a layer.
        "channels_last": 4e-4, "nchw": 6e-4, "linear": 3e-4, "fused": 8e-4, "compiled": 5e-4, "autotuned": 4.5e-4}
fake.update(json.loads(os.environ.get("FAKE_TORCH", "{}")))
fake_device = types.SimpleNamespace(clock=0.0, capturing=None, compiled=None, seen=[])  # seen: the addresses of inputs, in order

__version__ = "2.99"
version = types.SimpleNamespace(cuda=fake["cuda"])
float16, float32, float64 = np.float16, np.float32, np.float64
channels_last, contiguous_format, preserve_format = "channels_last", "contiguous", "preserve"


def spend(seconds):
    if fake_device.capturing is not None:
        fake_device.capturing.seconds += seconds
    else:
        fake_device.clock += seconds


class Tensor:
    def __init__(self, array, form=None):
        self.array, self.form = np.asarray(array), form or contiguous_format

    shape = property(lambda self: self.array.shape)

    def reshape(self, *shape):
        return Tensor(self.array.reshape(*(shape[0] if isinstance(shape[0], tuple) else shape,)))

    def permute(self, *axes):
        axes = axes[0] if isinstance(axes[0], tuple) else axes
        return Tensor(self.array.transpose(axes), channels_last if axes == (0, 3, 1, 2) else None)

    def contiguous(self, memory_format=contiguous_format):
        return Tensor(np.ascontiguousarray(self.array), memory_format)

    def to(self, dtype=None, device=None):
        if isinstance(dtype, str):
            dtype, device = device, dtype
        return Tensor(self.array.astype(dtype or self.array.dtype), self.form)

    def clone(self, memory_format=preserve_format):
        return Tensor(self.array.copy(), self.form)

    def copy_(self, other):
        self.array[...] = other.array
        if isinstance(self.array, np.memmap):
            self.array.flush()
        return self

    def numel(self):
        return self.array.size

    def element_size(self):
        return self.array.itemsize

    def repeat_interleave(self, count, dim):
        return Tensor(np.repeat(self.array, count, axis=dim))

    def clamp(self, **limits):
        return Tensor(np.clip(self.array, limits.get("min", -math.inf), limits.get("max", math.inf)))

    def t(self):
        return Tensor(self.array.T)

    def abs(self):
        return Tensor(np.abs(self.array))

    def max(self):
        return Tensor(self.array.max())

    def __float__(self):
        return float(self.array)

    def __getitem__(self, key):
        return Tensor(self.array[key])

    def __setitem__(self, key, value):
        self.array[key] = value.array

    def __iadd__(self, other):
        self.array += other.array
        return self

    def _with(self, other, operate):
        return Tensor(operate(self.array, other.array if isinstance(other, Tensor) else other))

    __add__ = lambda self, other: self._with(other, np.add)
    __sub__ = lambda self, other: self._with(other, np.subtract)
    __mul__ = lambda self, other: self._with(other, np.multiply)
    __truediv__ = lambda self, other: self._with(other, np.divide)
    __matmul__ = lambda self, other: self._with(other, np.matmul)


def zeros(shape, dtype=float32, device=None):
    return Tensor(np.zeros(shape, dtype))


def from_file(path, shared, size, dtype):
    if shared:
        with open(path, "ab") as file:
            file.truncate(size * 4)
        return Tensor(np.memmap(path, dtype, "r+", shape=(size,)))
    array = np.fromfile(path, dtype)
    if array.size < size:
        raise RuntimeError(f"{path} is too short")
    return Tensor(array[:size])


class Generator:
    def manual_seed(self, seed):
        self.random = np.random.default_rng(seed)
        return self


def randint(low, high, shape, generator):
    return Tensor(generator.random.integers(low, high, shape))


def set_grad_enabled(on):
    assert not on


def convolve(x, weight, bias, stride, padding, dilation, groups):
    w, (k, each, r, s) = weight.array.astype(np.float64), weight.shape
    (top, left), (down, across), (dy, dx) = padding, stride, dilation
    padded = np.pad(x.array.astype(np.float64), ((0, 0), (0, 0), (top, top), (left, left)))
    p, q = (padded.shape[2] - dy * (r - 1) - 1) // down + 1, (padded.shape[3] - dx * (s - 1) - 1) // across + 1
    y = np.zeros((x.shape[0], k, p, q))
    for out in range(k):
        first = out // (k // groups) * each
        for c in range(each):
            for i in range(r):
                for j in range(s):
                    taps = padded[:, first + c, i * dy:i * dy + (p - 1) * down + 1:down, j * dx:j * dx + (q - 1) * across + 1:across]
                    y[:, out] += taps * w[out, c, i, j]
        y[:, out] += 0 if bias is None else bias.array[out]
    if fake["wrong"] == x.form:
        y[-1, -1, -1, -1] += 1
    fake_device.seen.append(id(x.array))
    return Tensor(y.astype(x.array.dtype), x.form)


def cudnn_convolution_relu(x, weight, bias, stride, padding, dilation, groups):
    spend(fake["fused"])
    y = convolve(x, weight, bias, stride, padding, dilation, groups)
    return Tensor(np.maximum(y.array, 0), y.form)


def compile(function, mode, dynamic):  # pylint: disable=redefined-builtin
    assert mode in (None, "max-autotune-no-cudagraphs") and dynamic is False
    if not fake["compile"]:
        raise RuntimeError("no\ncompiler")

    def run(x):
        fake_device.compiled = "autotuned" if mode else "compiled"
        try:
            return function(x)
        finally:
            fake_device.compiled = None
    return run


_dynamo = types.SimpleNamespace(reset=lambda: None)


class Event:
    def __init__(self, enable_timing):
        assert enable_timing

    def record(self):
        assert fake_device.capturing is None
        self.at = fake_device.clock

    def synchronize(self):
        pass

    def elapsed_time(self, end):
        return (end.at - self.at) * 1e3


class CUDAGraph:
    seconds = 0.0

    def replay(self):
        spend(self.seconds)


@contextlib.contextmanager
def capture(graph):
    if not fake["graphs"]:
        raise RuntimeError("operation not permitted when stream is capturing")
    fake_device.capturing = graph
    try:
        yield
    finally:
        fake_device.capturing = None


cuda = types.SimpleNamespace(
    is_available=lambda: fake["available"], device_count=lambda: fake["devices"], set_device=lambda index: None, get_device_name=lambda: "Fake GPU",
    get_device_properties=lambda device: types.SimpleNamespace(L2_cache_size=fake["l2"]), synchronize=lambda: None, empty_cache=lambda: None,
    mem_get_info=lambda device: (fake["free"], 1 << 31), Event=Event, CUDAGraph=CUDAGraph, graph=capture,
    Stream=lambda: types.SimpleNamespace(wait_stream=lambda other: None), current_stream=lambda: types.SimpleNamespace(wait_stream=lambda other: None),
    stream=lambda stream: contextlib.nullcontext())
backends = types.SimpleNamespace(cudnn=types.SimpleNamespace(benchmark=False, allow_tf32=None, version=lambda: 91900),
                                 cuda=types.SimpleNamespace(matmul=types.SimpleNamespace(allow_tf32=None)))
Tensor.device = "cuda:0"
