"""A model of ONNX as `sepal import` walks it: loaded, its dimensions settled, shapes inferred, and who makes and who reads each tensor."""

import math
import os

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from onnx import AttributeProto, helper, numpy_helper, shape_inference
from onnx.reference import ReferenceEvaluator

from files import BadInput

OLDEST_OPSET = 7  # Add and Mul broadcast as NumPy does since this one
MOST = 2**31 - 1  # of an extent, as in a problem
NAMELESS = ("", "?")  # of a symbolic dimension
STANDARD = ("", "ai.onnx")  # domains of ONNX's own operators
# What models compute sizes with, on how many elements at most.
SIZE_OPERATORS = {"Add", "Cast", "Ceil", "Concat", "ConstantOfShape", "Div", "Equal", "Floor", "Gather", "Max", "Min", "Mul", "Range",
                  "ReduceProd", "Reshape", "Slice", "Squeeze", "Sub", "Unsqueeze", "Where"}
MOST_SIZES = 64
# Operators whose inputs and attributes the import reads, beside all kinds of convolution.
READ_OPERATORS = {"Add", "BatchNormalization", "Clip", "Constant", "Div", "Dropout", "HardSigmoid", "Identity", "Mul", "Pad", "Relu", "Shape", "Sub", "Sum"}


def load(path, batch, sizes):
    """The Model of a file. `batch` is the size of symbolic batch dimensions, None for 1 where there are such; `sizes` those of other
    symbolic ones, by name."""
    try:
        with open(path, "rb") as file:
            data = file.read()
    except OSError as e:
        raise BadInput(f"{path}: cannot be read: {e.strerror}")
    model = onnx.ModelProto()
    try:
        model.ParseFromString(data)
    except DecodeError:
        raise BadInput(f"{path}: is no ONNX model, or one that is cut short: its bytes cannot be decoded")
    if not model.ir_version or not model.graph.node:
        raise BadInput(f"{path}: is no ONNX model, or an empty one: it holds no graph with nodes")
    opset = max((o.version for o in model.opset_import if o.domain in STANDARD), default=0)
    newest = onnx.defs.onnx_opset_version()
    if not OLDEST_OPSET <= opset <= newest:
        raise BadInput(f"{path}: is of ONNX opset {opset}; allowed: {OLDEST_OPSET} to {newest}, to which onnx.version_converter converts models")
    check_nodes(path, model)
    settle_inputs(path, model.graph, batch, sizes)
    try:
        if model.functions:
            model = onnx.inliner.inline_local_functions(model)
        forget_shapes(model.graph)
        model = shape_inference.infer_shapes(model, data_prop=True)
        while compute_sizes(model, opset):
            model = shape_inference.infer_shapes(model, data_prop=True)
    except Exception as e:  # onnx has no common class for what a model that contradicts itself raises
        raise BadInput(f"{path}: its shapes cannot be inferred: {one_line(e)}")
    return Model(model.graph, opset, os.path.dirname(path))


def check_nodes(path, model):
    """That what is read later is there."""
    graph = model.graph
    names = [name for node in graph.node for name in (node.name, node.op_type, node.domain, *node.input, *node.output, *(a.name for a in node.attribute))]
    names += [v.name for v in [*graph.input, *graph.output, *graph.initializer]] + [o.domain for o in model.opset_import]
    names += [d.dim_param for v in graph.input for d in v.type.tensor_type.shape.dim]
    if not all(isinstance(name, str) for name in names):
        raise BadInput(f"{path}: is no ONNX model, or a damaged one: it holds names that are not UTF-8")
    context = onnx.checker.C.CheckerContext()
    context.ir_version = model.ir_version
    context.opset_imports = {o.domain: o.version for o in model.opset_import}
    for node in graph.node:
        if node.domain in STANDARD and (node.op_type in READ_OPERATORS or "Conv" in node.op_type):
            try:
                onnx.checker.check_node(node, context)
            except onnx.checker.ValidationError as e:
                raise BadInput(f'{path}: node "{node.name}" is not valid: {one_line(e)}')


def one_line(e):
    return " ".join(str(e).split())[:300]


def settle_inputs(path, graph, batch, sizes):
    """Gives each symbolic dimension of the model's inputs its size. One without a name is called INPUT[AXIS]."""
    weights = {t.name for t in graph.initializer}
    dimensions = []  # (name, input, axis, dimension)
    inputs = []
    for value in graph.input:
        if value.name in weights or not value.type.tensor_type.HasField("shape"):
            continue
        shape = value.type.tensor_type.shape.dim
        inputs.append(f'"{value.name}" is [{", ".join(str(d.dim_value) if d.dim_value > 0 else d.dim_param or "?" for d in shape)}]')
        for axis, dim in enumerate(shape):
            if dim.dim_value <= 0:
                dimensions.append((f"{value.name}[{axis}]" if dim.dim_param in NAMELESS else dim.dim_param, value.name, axis, dim))
    names = list(dict.fromkeys(name for name, *_ in dimensions))
    for name in sizes:
        if name not in names:
            raise BadInput(f'--dim {name}={sizes[name]}: the model has no such symbolic dimension; allowed: {", ".join(names) or "none"}')
    batches = {name for name, _, axis, _ in dimensions if axis == 0 and name not in sizes}
    if batch is not None and not batches:
        raise BadInput(f'--batch {batch}: the model has no symbolic batch dimension left to set: input {", ".join(inputs)}')
    missing = {}
    for name, value, axis, dim in dimensions:
        size = sizes.get(name) or (name in batches and (batch or 1))
        if size:
            dim.dim_value = size
        else:
            missing.setdefault(name, f'"{name}" (axis {axis} of input "{value}")')
    if missing:
        several = len(missing) > 1
        raise BadInput(f'{path}: dimension{"s" if several else ""} {" and ".join(missing.values())} {"have" if several else "has"} no size; '
                       f'give {"them" if several else "it"} by {" ".join(f"--dim {name}=VALUE" for name in missing)}')


def forget_shapes(graph):
    """Drops what the exporter wrote of shapes that are inferred anew, since it may speak of other sizes."""
    foreign = {name for node in graph.node if node.domain not in STANDARD for name in node.output}
    kept = [v for v in graph.value_info if v.name in foreign]
    del graph.value_info[:]
    graph.value_info.extend(kept)
    for value in graph.output:
        if value.name not in foreign and value.type.HasField("tensor_type"):
            value.type.tensor_type.ClearField("shape")


def compute_sizes(model, opset):
    """Makes what a model computes of known shapes constants, which shape inference by itself loses at a Cast or a Slice. Whether there was any."""
    graph = model.graph
    values = {t.name: numpy_helper.to_array(t) for t in graph.initializer if math.prod(t.dims) <= MOST_SIZES and t.data_location != t.EXTERNAL}
    types = {v.name: v.type.tensor_type for v in [*graph.input, *graph.value_info]}
    kept = []
    for node in graph.node:
        result = None
        if node.op_type == "Constant" and node.domain in STANDARD:
            values.update((node.output[0], numpy_helper.to_array(t)) for t in constant_tensors(attributes_of(node)) if math.prod(t.dims) <= MOST_SIZES)
        elif node.op_type == "Shape" and node.input[0] in types and types[node.input[0]].HasField("shape"):
            sizes = [d.dim_value for d in types[node.input[0]].shape.dim]
            attributes = attributes_of(node)
            if all(sizes):
                result = np.array(sizes[attributes.get("start", 0):attributes.get("end")], np.int64)
        elif node.op_type in SIZE_OPERATORS and node.domain in STANDARD and all(name in values for name in node.input if name):
            names = [name for name in dict.fromkeys(node.input) if name]
            one = helper.make_graph([node], "one", [helper.make_empty_tensor_value_info(name) for name in names],
                                    [helper.make_empty_tensor_value_info(node.output[0])])
            try:
                result = np.asarray(ReferenceEvaluator(one, opsets={"": opset}).run(None, {name: values[name] for name in names})[0])
            except Exception:  # then it stays as it is: of unknown value, as without this
                pass
        if result is None or result.size > MOST_SIZES:
            kept.append(node)
            continue
        values[node.output[0]] = result
        graph.initializer.append(numpy_helper.from_array(result, node.output[0]))
    if len(kept) == len(graph.node):
        return False
    kept = [onnx.NodeProto.FromString(node.SerializeToString()) for node in kept]
    del graph.node[:]
    graph.node.extend(kept)
    return True


def attributes_of(proto):
    return {a.name: helper.get_attribute_value(a) for a in proto.attribute}


class Node:
    def __init__(self, index, proto, resolve):
        self.index = index
        self.op = proto.op_type if proto.domain in STANDARD else f"{proto.domain}.{proto.op_type}"
        self.inputs = [resolve(name) for name in proto.input]
        self.outputs = list(proto.output) or [""]
        self.name = proto.name or self.outputs[0]
        self.attributes = attributes_of(proto)
        self.bodies = bodies_of(proto)

    def input(self, i):
        """The name of an input; empty where it is left out."""
        return self.inputs[i] if i < len(self.inputs) else ""

    def text(self, attribute):
        return self.attributes.get(attribute, b"").decode(errors="replace")


def bodies_of(proto):
    """The graphs that an operator such as If holds."""
    return [g for a in proto.attribute for g in ([a.g] if a.type == AttributeProto.GRAPH else a.graphs)]


def nodes_inside(graph):
    for node in graph.node:
        yield node
        for body in bodies_of(node):
            yield from nodes_inside(body)


class Model:
    def __init__(self, graph, opset, folder):
        self.opset = opset
        self.folder = folder  # where tensors outside the model's file are
        self.tensors = {t.name: t for t in graph.initializer}
        self.constants = {"", *self.tensors, *(t.values.name for t in graph.sparse_initializer)}  # names of what no input changes
        self.types = {}  # name -> (element type, shape with None for what is not known, or None)
        for v in [*graph.input, *graph.value_info, *graph.output]:
            if v.type.HasField("tensor_type"):
                t = v.type.tensor_type
                self.types[v.name] = (t.elem_type, [d.dim_value if d.HasField("dim_value") else None for d in t.shape.dim] if t.HasField("shape") else None)
        for t in graph.initializer:
            self.types[t.name] = (t.data_type, list(t.dims))

        # A tensor that only has another name is that other one.
        same = {}
        def resolve(name):
            return same.get(name, name)
        self.nodes = []
        self.producers = {}  # name -> Node
        self.users = {}      # name -> the Nodes that read it, once for each time
        for proto in graph.node:
            node = Node(len(self.nodes), proto, resolve)
            if node.op == "Identity" or (node.op == "Dropout" and not node.input(2)):
                same[node.outputs[0]] = node.inputs[0]
                continue
            self.nodes.append(node)
            self.producers.update((name, node) for name in node.outputs if name)
            read = node.inputs + [resolve(name) for body in node.bodies for inner in nodes_inside(body) for name in inner.input]
            for name in read:
                self.users.setdefault(name, []).append(node)
            if node.op == "Constant":
                self.tensors.update((node.outputs[0], tensor) for tensor in constant_tensors(node.attributes))
                self.constants.add(node.outputs[0])
            elif node.inputs and not node.bodies and all(name in self.constants for name in node.inputs):
                self.constants.update(node.outputs)
        self.outputs = {resolve(v.name) for v in graph.output}

    def shape(self, name):
        """Its extents; None where not all are known."""
        shape = self.types.get(name, (0, None))[1]
        return None if shape is None or None in shape else shape

    def element(self, name):
        return self.types.get(name, (0, None))[0]

    def element_name(self, name):
        return onnx.TensorProto.DataType.Name(self.element(name)).lower()

    def values(self, name):
        """A constant as an array; None where it is computed or cannot be read."""
        try:
            return numpy_helper.to_array(self.tensors[name], self.folder)
        except (KeyError, OSError, ValueError, onnx.checker.ValidationError):
            return None

    def scalar(self, name):
        """The value of a constant of one element; NaN, which is equal to nothing, where it is none."""
        values = self.values(name)
        return float(values.reshape(-1)[0]) if values is not None and values.size == 1 and values.dtype.kind in "iuf" else math.nan

    def only_user(self, name):
        """The Node that alone reads a tensor, which nobody else does nor sees; None where there is none."""
        users = self.users.get(name, [])
        return users[0] if len(users) == 1 and name not in self.outputs else None

    def made_at(self, name):
        """The place of its Node in the order of the graph; -1 for an input or a weight."""
        return self.producers[name].index if name in self.producers else -1

    def computed_by(self, name):
        """The names of the operators that compute a constant; of another tensor the last one."""
        node = self.producers.get(name)
        if not node or node.op == "Constant":
            return set()
        return {node.op}.union(*map(self.computed_by, node.inputs if name in self.constants else []))


def constant_tensors(attributes):
    """Of a Constant."""
    for name, value in attributes.items():
        if name == "value":
            yield value
        elif name == "value_float":
            yield helper.make_tensor("", onnx.TensorProto.FLOAT, [], [value])
        elif name == "value_int":
            yield helper.make_tensor("", onnx.TensorProto.INT64, [], [value])
        elif name == "value_floats":
            yield helper.make_tensor("", onnx.TensorProto.FLOAT, [len(value)], value)
        elif name == "value_ints":
            yield helper.make_tensor("", onnx.TensorProto.INT64, [len(value)], value)
