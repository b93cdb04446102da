"""oneDNN by its C API: convolution primitives, filters packed into the layout that the library asks for. Activations are either channels
last throughout or in the layout that the library picks for each layer, whichever is faster; the input is put there before the timing."""

import ctypes
import glob
import os
import sys
from ctypes import POINTER, byref, c_char_p, c_float, c_int, c_int64, c_void_p

import numpy as np

from runners import CannotDo, Runner, aligned, fastest

# Of oneapi/dnnl/dnnl_types.h, version 3.
CPU, IN_ORDER, F32, FORWARD_INFERENCE, DIRECT = 1, 1, 3, 96, 1
QUERY_NAME, QUERY_SRC, QUERY_WEIGHTS, QUERY_DST = 8, 129, 131, 133
ANY, X, NHWC, NCHW, OIHW, GOIHW = 1, 2, 22, 5, 5, 6
SRC, DST, WEIGHTS, BIAS = 1, 17, 33, 41
ELTWISE = {"relu": (32, 0, 0), "relu6": (46, 0, 6), "hardswish": (52, 1 / 6, 0.5)}  # algorithm, alpha, beta


class Argument(ctypes.Structure):
    _fields_ = [("arg", c_int), ("memory", c_void_p)]


class Version(ctypes.Structure):
    _fields_ = [("major", c_int), ("minor", c_int), ("patch", c_int)]


def load():
    found = sorted(glob.glob(os.path.join(sys.prefix, "lib", "libdnnl.so.3*")))
    if not found:
        raise ImportError(f"no libdnnl.so.3 in {os.path.join(sys.prefix, 'lib')}")
    return ctypes.CDLL(found[0])


dnnl = load()
dnnl.dnnl_version.restype = POINTER(Version)
dnnl.dnnl_primitive_desc_query_md.restype = c_void_p
dnnl.dnnl_memory_desc_get_size.restype = ctypes.c_size_t
dnnl.dnnl_memory_desc_get_size.argtypes = [c_void_p]
dnnl.dnnl_memory_desc_equal.argtypes = [c_void_p, c_void_p]
dnnl.dnnl_primitive_desc_query_md.argtypes = [c_void_p, c_int, c_int]
dnnl.dnnl_primitive_execute.argtypes = [c_void_p, c_void_p, c_int, POINTER(Argument)]
dnnl.dnnl_stream_wait.argtypes = [c_void_p]


def version():
    v = dnnl.dnnl_version().contents
    return f"{v.major}.{v.minor}.{v.patch}"


def call(function, *arguments):
    status = getattr(dnnl, "dnnl_" + function)(*arguments)
    if status == 3:  # dnnl_unimplemented
        raise CannotDo(f"oneDNN has no implementation ({function})")
    if status != 0:
        raise RuntimeError(f"dnnl_{function} returned status {status}")


def made(function, *arguments):
    handle = c_void_p()
    call(function, byref(handle), *arguments)
    return handle


engine = made("engine_create", c_int(CPU), ctypes.c_size_t(0))
stream = made("stream_create", engine, c_int(IN_ORDER))


def dims(*values):
    return (c_int64 * len(values))(*values)


def describe(shape, tag):
    return made("memory_desc_create_with_tag", c_int(len(shape)), dims(*shape), c_int(F32), c_int(tag))


class Memory:
    """A tensor: its descriptor, its bytes (of this object, or of a NumPy array that it keeps)."""

    def __init__(self, description, array=None):
        self.description = description
        self.array = aligned((max(1, dnnl.dnnl_memory_desc_get_size(description) // 4),)) if array is None else array
        self.handle = made("memory_create", description, engine, c_void_p(self.array.ctypes.data))

    def __del__(self):
        if hasattr(self, "handle"):
            dnnl.dnnl_memory_destroy(self.handle)


def execute(primitive, arguments):
    call("primitive_execute", primitive, stream, len(arguments), arguments)
    call("stream_wait", stream)


def pack(arguments):
    return (Argument * len(arguments))(*[Argument(k, m.handle.value) for k, m in arguments.items()])


def reordered(memory, description):
    """The same tensor in another layout; `memory` itself when that is its own."""
    if dnnl.dnnl_memory_desc_equal(memory.description, description):
        return memory
    out = Memory(description)
    primitive = made("primitive_create", made("reorder_primitive_desc_create", memory.description, engine, description, engine, None))
    execute(primitive, pack({SRC: memory, DST: out}))
    dnnl.dnnl_primitive_destroy(primitive)
    return out


def attributes(activation):
    if activation == "none":
        return None
    algorithm, alpha, beta = ELTWISE[activation]
    operations, attribute = made("post_ops_create"), made("primitive_attr_create")
    call("post_ops_append_eltwise", operations, c_int(algorithm), c_float(alpha), c_float(beta))
    call("primitive_attr_set_post_ops", attribute, operations)
    return attribute


def nchw(shape):
    n, h, w, c = shape
    return n, c, h, w


class Chain:
    """The layers one after the other. Every middle tensor is in the layout that the layer before it writes and the one behind it reads."""

    def __init__(self, problem, tag, label):
        self.steps, self.keep, names = [], [], []
        current = Memory(describe(nchw(problem.layers[0].input), NHWC), problem.input)
        for layer in problem.layers:
            k, c_each, r, s = layer.filter.shape
            source = describe(nchw(layer.input), tag) if not self.steps or tag == NHWC else current.description
            grouped = layer.groups > 1
            shape = (layer.groups, k // layer.groups, c_each, r, s) if grouped else layer.filter.shape
            bias = describe((k,), X) if layer.bias is not None else None
            top, left, bottom, right = layer.pad
            primitive_description = made(
                "convolution_forward_primitive_desc_create", engine, c_int(FORWARD_INFERENCE), c_int(DIRECT), source, describe(shape, ANY), bias,
                describe(nchw(layer.output), tag), dims(*layer.stride), dims(*(d - 1 for d in layer.dilation)), dims(top, left), dims(bottom, right),
                attributes(layer.activation))

            def asked(what):
                return c_void_p(dnnl.dnnl_primitive_desc_query_md(primitive_description, what, 0))

            if self.steps and not dnnl.dnnl_memory_desc_equal(current.description, asked(QUERY_SRC)):
                raise CannotDo("oneDNN would change the layout between the layers")
            current = reordered(current, asked(QUERY_SRC))
            arguments = {SRC: current, WEIGHTS: reordered(Memory(describe(shape, GOIHW if grouped else OIHW), layer.filter), asked(QUERY_WEIGHTS))}
            if bias:
                arguments[BIAS] = Memory(bias, layer.bias)
            current = arguments[DST] = Memory(asked(QUERY_DST))
            self.steps.append((made("primitive_create", primitive_description), pack(arguments), len(arguments)))
            self.keep.append(arguments)
            text = c_char_p()
            call("primitive_desc_query", primitive_description, c_int(QUERY_NAME), c_int(0), byref(text))
            names.append(text.value.decode())
        self.last, self.shape = current, problem.layers[-1].output
        self.configuration = f"{label}: {' + '.join(names)}"

    def run(self, execute=dnnl.dnnl_primitive_execute, wait=dnnl.dnnl_stream_wait):
        for primitive, arguments, count in self.steps:
            if execute(primitive, stream, count, arguments):
                raise RuntimeError("dnnl_primitive_execute failed")
        wait(stream)

    def output(self):
        out = reordered(self.last, describe(nchw(self.shape), NHWC)).array
        return out[:int(np.prod(self.shape))].reshape(self.shape)

    def __del__(self):
        for primitive, _, _ in self.steps:
            dnnl.dnnl_primitive_destroy(primitive)


def make(problem, threads):
    def runner(tag, label):
        chain = Chain(problem, tag, label)
        return Runner(chain.run, chain.output, chain.configuration, keep=(chain, problem))
    return fastest([lambda: runner(NHWC, "nhwc"), lambda: runner(ANY, "its own layout")])
