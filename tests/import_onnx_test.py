"""tools/import_onnx.py: what it makes of each pattern of a model, what it leaves and says, and what it says of unusable models. With SEPAL_COMMAND, the command
`sepal`, also that it reads the files and passes everything on."""

import contextlib
import io
import json
import os
import re
import subprocess
import sys
import tempfile
import unittest

TESTS = os.path.dirname(os.path.abspath(__file__))
TOOLS = os.path.join(os.path.dirname(TESTS), "tools")
SCRIPT = os.path.join(TOOLS, "import_onnx.py")
SEPAL = os.environ.get("SEPAL_COMMAND", "")
sys.dont_write_bytecode = True
sys.path.insert(0, TOOLS)

try:
    import onnx
except ImportError:
    print(f"[SKIP] the import of models is not tested: the Python {sys.executable} has no onnx (tools/setup.sh installs it in build/venv)")
    sys.exit(0)

import numpy as np
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

import import_onnx
from files import BadInput


class Net:
    """A model under construction. Tensors are named as their operators: conv1, relu2, ..."""

    def __init__(self, opset=17, element=np.float32, **inputs):
        self.opset, self.element = opset, element
        self.nodes, self.weights, self.random = [], [], np.random.default_rng(1)
        kind = helper.np_dtype_to_tensor_dtype(np.dtype(element))
        self.inputs = [helper.make_tensor_value_info(name, kind, shape) for name, shape in (inputs or {"x": [1, 8, 14, 14]}).items()]

    def constant(self, values):
        name = f"w{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.asarray(values), name))
        return name

    def random_constant(self, *shape):
        return self.constant(self.random.uniform(0.5, 1.5, shape).astype(self.element))

    def scalar(self, value):
        return self.constant(np.array(value, self.element))

    def op(self, kind, *inputs, **attributes):
        name = f"{kind.lower()}{len(self.nodes) + 1}"
        self.nodes.append(helper.make_node(kind, inputs, [name], name=name, **attributes))
        return name

    def conv(self, x, *filters, bias=False, **attributes):
        return self.op("Conv", x, self.random_constant(*filters), *([self.random_constant(filters[0])] if bias else []), **attributes)

    def norm(self, x, channels, **attributes):
        return self.op("BatchNormalization", x, *(self.random_constant(channels) for _ in range(4)), **attributes)

    def model(self, *outputs):
        known = {v.name for v in self.inputs}
        graph = helper.make_graph(self.nodes, "g", self.inputs, [helper.make_empty_tensor_value_info(o) for o in outputs or [self.nodes[-1].output[0]] if o not in known],
                                  self.weights)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opset), helper.make_opsetid("com.microsoft", 1)], ir_version=8)


def problem(op, h, w, c, k=None, r=None, s=None, **fields):
    """As the import writes it, without name; "occurs" 1."""
    p = {"op": op, "n": 1, "h": h, "w": w, "c": c}
    p.update({name: value for name, value in (("k", k), ("r", r), ("s", s)) if value})
    return {**p, "dtype": "f32", "layout": "nhwc", "occurs": 1, **fields}


def conv(h, c, k, r, **fields):
    return problem("conv2d", h, h, c, k, r, r, **{"pad": "valid", **fields})


def pointwise(h, c, k, **fields):
    return problem("pointwise", h, h, c, k, **fields)


def depthwise(h, c, r, **fields):
    return problem("depthwise", h, h, c, None, r, r, **{"pad": "valid", **fields})


def depsep(h, c, k, r, **fields):
    return problem("depsep", h, h, c, k, r, r, **{"pad": "valid", **fields})


ONES = {"pads": [1, 1, 1, 1]}
PADDED = {"pad": [1, 1, 1, 1]}


class Import(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def path(self, name):
        return os.path.join(self.folder, name)

    def save(self, net, *outputs, name="net.onnx"):
        with open(self.path(name), "wb") as file:
            file.write((net.model(*outputs) if isinstance(net, Net) else net).SerializeToString())
        return self.path(name)

    def run_import(self, model, *words):
        """What was printed, and the problems of the file."""
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            import_onnx.main([model, "-o", self.path("out.json"), *words])
        with open(self.path("out.json"), encoding="utf-8") as file:
            problems = json.load(file)["problems"]
        if SEPAL:
            self.check_with_sepal(self.path("out.json"), problems)
        return out.getvalue(), problems

    def check_with_sepal(self, path, problems):
        done = subprocess.run([SEPAL, "list", "--problems", path, "--json"], capture_output=True, text=True)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertEqual([p["problem"] for p in json.loads(done.stdout)["problems"]], [p["name"] for p in problems])

    def check(self, net, *problems, outputs=(), words=(), says=()):
        """That exactly these problems come of a model, and lines of what is printed."""
        printed, found = self.run_import(self.save(net, *outputs), *words)
        for p in found:
            self.assertRegex(p.pop("name"), r"^net\.[0-9]+\.[A-Za-z0-9_.]+$")
        self.assertEqual(found, list(problems))
        for line in says:
            self.assertIn(line, printed)
        return printed

    def refused(self, sentence, model, *words):
        with self.assertRaises(BadInput) as caught:
            self.run_import(model, *words)
        self.assertEqual(str(caught.exception), sentence)
        self.assertFalse(os.path.exists(self.path("out.json")))

    # ---- shapes ----
    def test_attributes(self):
        for attributes, fields in (({}, {"pad": "valid"}), ({"strides": [2, 2]}, {"stride": [2, 2], "pad": "valid"}), ({"dilations": [2, 1]}, {"dilation": [2, 1], "pad": "valid"}),
                                   ({"pads": [1, 2, 3, 0]}, {"pad": [1, 2, 3, 0]}), ({"pads": [0, 0, 0, 0]}, {"pad": "valid"}), ({"auto_pad": "VALID"}, {"pad": "valid"}),
                                   ({"auto_pad": "SAME_UPPER"}, {"pad": "same"}), ({"group": 2, **ONES}, {"groups": 2, **PADDED}),
                                   # 14 pixels by 2: 7 outputs, one zero in all, which comes first.
                                   ({"auto_pad": "SAME_LOWER", "strides": [2, 2]}, {"stride": [2, 2], "pad": [1, 1, 0, 0]}),
                                   ({"auto_pad": "SAME_LOWER", "dilations": [1, 2]}, {"dilation": [1, 2], "pad": [1, 2, 1, 2]})):
            with self.subTest(attributes):
                net = Net()
                net.conv("x", 6, 8 // attributes.get("group", 1), 3, 3, **attributes)
                self.check(net, problem("conv2d", 14, 14, 8, 6, 3, 3, **fields))

    def test_operators(self):
        for filters, attributes, expected in (((6, 8, 1, 1), {}, pointwise(14, 8, 6)), ((6, 8, 1, 1), {"dilations": [2, 2]}, pointwise(14, 8, 6)),
                                              ((6, 8, 1, 1), {"auto_pad": "SAME_UPPER"}, pointwise(14, 8, 6)), ((6, 8, 1, 1), {"strides": [2, 2]}, conv(14, 8, 6, 1, stride=[2, 2])),
                                              ((6, 8, 1, 1), ONES, conv(14, 8, 6, 1, **PADDED)), ((6, 4, 1, 1), {"group": 2}, conv(14, 8, 6, 1, groups=2)),
                                              ((6, 8, 1, 3), {"dilations": [5, 2]}, problem("conv2d", 14, 14, 8, 6, 1, 3, dilation=[1, 2], pad="valid")),
                                              ((8, 1, 3, 3), {"group": 8, **ONES}, depthwise(14, 8, 3, **PADDED)),
                                              ((16, 1, 5, 5), {"group": 8}, depthwise(14, 8, 5, multiplier=2)), ((8, 1, 1, 1), {"group": 8}, depthwise(14, 8, 1))):
            with self.subTest(f"{filters} {attributes}"):
                net = Net()
                net.conv("x", *filters, **attributes)
                self.check(net, expected)
        net = Net(x=[1, 1, 14, 14])
        net.conv("x", 4, 1, 3, 3)  # of one channel: nothing to group
        self.check(net, conv(14, 1, 4, 3))

    def test_half_precision_and_layout(self):
        net = Net(element=np.float16)
        net.op("Clip", net.norm(net.conv("x", 6, 8, 1, 1), 6), net.scalar(0), net.scalar(6))
        self.check(net, pointwise(14, 8, 6, dtype="f16", bias=True, activation="relu6"))
        net = Net()
        net.conv("x", 6, 8, 1, 1)
        self.check(net, pointwise(14, 8, 6, layout="nchw"), words=["--layout", "nchw"])

    def test_batch_and_symbolic_dimensions(self):
        net = Net(x=["batch", 8, "height", "width"], mask=["batch", 8, "height", None], y=[1, 2])
        net.conv(net.op("Mul", "x", "mask"), 6, 8, 1, 1)
        sizes = ["--dim", "height=10", "--dim", "width=12", "--dim", "mask[3]=12"]
        self.check(net, problem("pointwise", 10, 12, 8, 6), words=sizes)
        self.check(net, problem("pointwise", 10, 12, 8, 6, n=4), words=["--batch", "4", *sizes])
        self.check(net, problem("pointwise", 10, 12, 8, 6, n=3), words=["--dim", "batch=3", *sizes])
        os.unlink(self.path("out.json"))
        path = self.save(net)
        self.refused(f'{path}: dimensions "height" (axis 2 of input "x") and "mask[3]" (axis 3 of input "mask") have no size; give them by --dim height=VALUE '
                     "--dim mask[3]=VALUE", path, "--dim", "width=12")
        self.refused(f'{path}: dimension "width" (axis 3 of input "x") has no size; give it by --dim width=VALUE', path, "--dim", "height=10", "--dim", "mask[3]=12")
        self.refused("--dim depth=3: the model has no such symbolic dimension; allowed: batch, height, width, mask[3]", path, *sizes, "--dim", "depth=3")
        self.refused('--batch 2: the model has no symbolic batch dimension left to set: input "x" is [batch, 8, height, width], "mask" is [batch, 8, height, ?], "y" is [1, 2]',
                     path, "--batch", "2", "--dim", "batch=3", *sizes)
        for text, sentence in (("height", '--dim is "height"; allowed: NAME=VALUE'), ("=3", '--dim is "=3"; allowed: NAME=VALUE'),
                               ("height=0", '--dim height is "0"; allowed: an integer from 1 to 2147483647'), ("height=1e2", '--dim height is "1e2"; allowed: an integer from 1 to 2147483647'),
                               ("width=13", "--dim width is given twice, as 12 and 13")):
            self.refused(sentence, path, *sizes[2:], "--dim", text)

    def test_shapes_that_the_model_computes(self):
        net = Net(x=["n", 8, 6, 10])
        size = net.op("Cast", net.op("Shape", "x"), to=TensorProto.INT32)
        rows = net.op("Cast", net.op("Slice", size, *(net.constant(np.array([i])) for i in (2, 3, 0))), to=TensorProto.INT64)
        wide = net.op("Reshape", "x", net.op("Concat", net.constant(np.array([1, 16])), rows, net.constant(np.array([-1])), axis=0))
        net.conv(wide, 4, 16, 1, 1)
        self.check(net, problem("pointwise", 6, 5, 16, 4))

    # ---- what is folded ----
    def test_zeros_in_front(self):
        def padded(amounts, value=None, axes=None, **attributes):
            net = Net()
            inputs = ["x", net.constant(np.array(amounts))] + ([net.scalar(value)] if value is not None else [""] * (axes is not None)) + ([net.constant(np.array(axes))] if axes else [])
            net.opset = 18
            net.conv(net.op("Pad", *inputs, **attributes.pop("mode", {})), 6, 8, 3, 3, strides=[2, 2], **attributes)
            return net
        stride = {"stride": [2, 2]}
        told = ["Folded into padding, filters and biases: 1 x Pad\n"]
        self.check(padded([0, 0, 0, 1, 0, 0, 2, 3]), conv(14, 8, 6, 3, **stride, pad=[0, 1, 2, 3]), says=told)
        self.check(padded([0, 0, 0, 1, 0, 0, 2, 3], value=0, **ONES), conv(14, 8, 6, 3, **stride, pad=[1, 2, 3, 4]), says=told)
        self.check(padded([1, 2, 3, 4], axes=[-1, 2], auto_pad="VALID"), conv(14, 8, 6, 3, **stride, pad=[2, 1, 4, 3]), says=told)
        net = Net(opset=9)
        net.conv(net.op("Pad", "x", pads=[0, 0, 0, 0, 0, 0, 1, 1]), 6, 8, 3, 3)
        self.check(net, conv(14, 8, 6, 3, pad=[0, 0, 1, 1]), says=told)
        kept = ["Folded into padding, filters and biases: nothing\n"]
        for other in (padded([0, 0, 1, 1, 0, 0, 1, 1], value=2), padded([0, 0, 1, 1, 0, 0, 1, 1], mode={"mode": "reflect"})):
            self.check(other, problem("conv2d", 16, 16, 8, 6, 3, 3, **stride, pad="valid"), says=kept)
        self.check(padded([0, 0, 1, 1, 0, 0, 1, 1], auto_pad="SAME_UPPER"), problem("conv2d", 16, 16, 8, 6, 3, 3, **stride, pad="same"), says=kept)
        self.check(padded([0, 0, -1, 0, 0, 0, 0, 0]), problem("conv2d", 13, 14, 8, 6, 3, 3, **stride, pad="valid"), says=kept)
        net = padded([0, 0, 1, 1, 0, 0, 1, 1])
        self.check(net, problem("conv2d", 16, 16, 8, 6, 3, 3, **stride, pad="valid"), outputs=(net.nodes[-1].output[0], net.nodes[-2].output[0]), says=kept)

    def test_batch_norm_and_constants_for_each_channel(self):
        cases = (("bias", lambda n, y: y, True), ("batch-norm", lambda n, y: n.norm(y, 6), True), ("Mul", lambda n, y: n.op("Mul", y, n.random_constant(6, 1, 1)), False),
                 ("Div", lambda n, y: n.op("Div", y, n.scalar(2)), False), ("Add", lambda n, y: n.op("Add", n.random_constant(1, 6, 1, 1), y), True),
                 ("Sub", lambda n, y: n.op("Sub", y, n.random_constant(6, 1, 1)), True), ("Identity", lambda n, y: n.norm(n.op("Identity", y), 6), True),
                 ("all", lambda n, y: n.op("Add", n.op("Mul", n.norm(y, 6), n.scalar(2)), n.scalar(1)), True))
        for name, behind, bias in cases:
            with self.subTest(name):
                net = Net()
                net.op("Relu", behind(net, net.conv("x", 6, 8, 1, 1, bias=name == "bias")))
                self.check(net, pointwise(14, 8, 6, **({"bias": True} if bias else {}), activation="relu"))
        net = Net()
        net.op("Add", net.op("Mul", net.norm(net.conv("x", 6, 8, 1, 1), 6), net.scalar(2)), net.scalar(1))
        self.check(net, pointwise(14, 8, 6, bias=True), says=["Folded into padding, filters and biases: 1 x BatchNormalization, 1 x Mul, 1 x Add\n"])

    def test_what_is_not_folded(self):
        cases = (("other reader", lambda n, y: (n.op("Relu", n.norm(y, 6)), y)), ("for each column", lambda n, y: n.op("Relu", n.op("Add", y, n.random_constant(14)))),
                 ("from a constant", lambda n, y: n.op("Relu", n.op("Sub", n.scalar(1), y))), ("by the input", lambda n, y: n.op("Relu", n.op("Mul", y, "scale"))),
                 ("training", lambda n, y: n.op("Relu", n.norm(y, 6, training_mode=1))), ("output", lambda n, y: (n.op("Relu", y), y)),
                 ("more images", lambda n, y: n.op("Relu", n.op("Mul", y, n.random_constant(3, 6, 1, 1)))))
        for name, behind in cases:
            with self.subTest(name):
                net = Net(x=[1, 8, 14, 14], scale=[1, 6, 1, 1])
                ends = behind(net, net.conv("x", 6, 8, 1, 1))
                self.check(net, pointwise(14, 8, 6), outputs=ends if isinstance(ends, tuple) else (ends,), says=["Folded into padding, filters and biases: nothing\n", "Fused behind them: nothing\n"])

    # ---- activations ----
    def test_activations(self):
        def swish(net, y, *steps):
            z = net.op("Add", y, net.scalar(3))
            z = net.op("Clip", z, net.scalar(0), net.scalar(6))
            for step in steps:
                z = {"div": lambda: net.op("Div", z, net.scalar(6)), "sixth": lambda: net.op("Mul", net.scalar(1 / 6), z), "times": lambda: net.op("Mul", y, z)}[step]()
            return z
        cases = (("relu", lambda n, y: n.op("Relu", y)), ("relu6", lambda n, y: n.op("Clip", y, n.scalar(0), n.scalar(6))), ("relu", lambda n, y: n.op("Clip", y, n.scalar(0))),
                 ("relu", lambda n, y: n.op("Clip", y, n.op("Constant", value_float=0.0))), ("hardswish", lambda n, y: n.op("HardSwish", y)),
                 ("hardswish", lambda n, y: n.op("Mul", n.op("HardSigmoid", y, alpha=1 / 6), y)), ("hardswish", lambda n, y: swish(n, y, "div", "times")),
                 ("hardswish", lambda n, y: swish(n, y, "sixth", "times")), ("hardswish", lambda n, y: swish(n, y, "times", "div")),
                 ("hardswish", lambda n, y: swish(n, y, "times", "sixth")))
        for i, (name, behind) in enumerate(cases):
            with self.subTest(f"{i} {name}"):
                net = Net()
                net.op("MaxPool", behind(net, net.norm(net.conv("x", 6, 8, 1, 1), 6)), kernel_shape=[2, 2])
                self.check(net, pointwise(14, 8, 6, bias=True, activation=name), says=[f"Fused behind them: 1 x {name}\n"])
        net = Net(opset=9)
        net.op("Clip", net.conv("x", 6, 8, 1, 1), min=0.0, max=6.0)
        self.check(net, pointwise(14, 8, 6, activation="relu6"))

    def test_activations_that_the_format_has_not(self):
        cases = (("Sigmoid", lambda n, y: n.op("Sigmoid", y)), ("SiLU, x * Sigmoid(x)", lambda n, y: n.op("Mul", y, n.op("Sigmoid", y))),
                 ("LeakyRelu", lambda n, y: n.op("LeakyRelu", y)), ("PRelu", lambda n, y: n.op("PRelu", y, n.random_constant(6, 1, 1))), ("Clip to 0 to 1", lambda n, y: n.op("Clip", y, n.scalar(0), n.scalar(1))),
                 ("x * HardSigmoid(x)", lambda n, y: n.op("Mul", y, n.op("HardSigmoid", y))), ("x * Tanh(Softplus(x))", lambda n, y: n.op("Mul", y, n.op("Tanh", n.op("Softplus", y)))),
                 ("x * Clip(Add(x))", lambda n, y: n.op("Mul", y, n.op("Clip", n.op("Add", y, n.scalar(3)), n.scalar(0), n.scalar(6)))))
        for what, behind in cases:
            with self.subTest(what):
                net = Net()
                behind(net, net.conv("x", 6, 8, 1, 1))
                self.check(net, pointwise(14, 8, 6), says=[f"Behind a convolution, but not part of its problem:\n  1 x {what} (conv1)\n"])

    # ---- residuals ----
    def test_residuals(self):
        net = Net()
        net.op("Relu", net.op("Add", "x", net.norm(net.conv("x", 8, 8, 3, 3, **ONES), 8)))
        self.check(net, conv(14, 8, 8, 3, **PADDED, bias=True, residual=True, activation="relu"), says=["Fused behind them: 1 x relu, 1 x residual\n"])
        net = Net()  # two convolutions: the later one takes it, once
        net.op("Relu", net.op("Sum", net.conv("x", 8, 8, 1, 1), net.conv("x", 8, 8, 3, 3, **ONES)))
        self.check(net, pointwise(14, 8, 8), conv(14, 8, 8, 3, **PADDED, residual=True, activation="relu"))
        net = Net()  # a linear bottleneck
        y = net.op("Relu", net.conv("x", 16, 8, 1, 1))
        net.op("Add", "x", net.conv(net.op("Relu", net.conv(y, 16, 1, 3, 3, group=16, **ONES)), 8, 16, 1, 1))
        self.check(net, pointwise(14, 8, 16, activation="relu"), depsep(14, 16, 8, 3, **PADDED, mid_activation="relu", residual=True))

    def test_additions_that_are_no_residual(self):
        cases = (("Add behind a depthwise convolution", lambda n: n.op("Add", "x", n.conv("x", 8, 1, 3, 3, group=8, **ONES)), depthwise(14, 8, 3, **PADDED)),
                 ("Add of a tensor of another shape", lambda n: n.op("Add", n.op("GlobalAveragePool", "x"), n.conv("x", 8, 8, 1, 1)), pointwise(14, 8, 8)),
                 ("Add of a tensor that is made later", lambda n: n.op("Add", n.conv("x", 8, 8, 1, 1), n.op("Neg", "x")), pointwise(14, 8, 8)))
        for why, make, expected in cases:
            with self.subTest(why):
                net = Net()
                net.op("Relu", make(net))
                self.check(net, expected, says=[f"Behind a convolution, but not part of its problem:\n  1 x {why} (conv"])
        net = Net()
        y = net.conv("x", 8, 8, 1, 1)
        net.op("Add", y, y)
        self.check(net, pointwise(14, 8, 8))
        net = Net()
        y = net.conv("x", 8, 8, 1, 1)
        self.check(net, pointwise(14, 8, 8), outputs=(net.op("Add", y, "x"), net.op("Neg", y)))

    # ---- pairs ----
    def test_depthwise_and_pointwise_are_one(self):
        def pair(**second):
            net = Net()
            y = net.op("HardSwish", net.norm(net.conv("x", 16, 1, 5, 5, group=8, strides=[2, 2], auto_pad="SAME_UPPER"), 16))
            net.op("Relu", net.conv(y, 24, 16, 1, 1, bias=True, **second))
            return net
        shared = {"stride": [2, 2], "pad": "same", "multiplier": 2}
        one, other = {"bias": True, "activation": "hardswish"}, {"bias": True, "activation": "relu"}
        self.check(pair(), depsep(14, 8, 24, 5, **shared, mid_bias=True, mid_activation="hardswish", **other),
                   says=["2 of 2 convolutions taken, as 1 layer, 1 distinct\n", "Joined to depsep: 1 depthwise convolution with the pointwise one behind\n"])
        self.check(pair(), depthwise(14, 8, 5, **shared, **one), pointwise(7, 16, 24, **other), words=["--no-fuse"], says=["2 of 2 convolutions taken, as 2 layers, 2 distinct\n"])
        self.check(pair(strides=[2, 2]), depthwise(14, 8, 5, **shared, **one), conv(7, 16, 24, 1, stride=[2, 2], **other),
                   says=["Depthwise convolutions that stay apart:\n  1: the convolution behind it is no pointwise one that is taken (conv1)\n"])

    def test_pairs_that_stay_apart(self):
        def excited(n, y):
            gate = n.op("Relu", n.conv(n.op("GlobalAveragePool", y), 2, 8, 1, 1))
            return n.op("Mul", y, n.op("HardSigmoid", n.conv(gate, 8, 2, 1, 1)))
        gate = [pointwise(1, 8, 2, activation="relu"), pointwise(1, 2, 8)]
        cases = (("its output has 2 readers: MaxPool, Conv", lambda n, y: (n.op("MaxPool", y, kernel_shape=[2, 2]), y)[1], [], {}),
                 ("a squeeze-and-excite block stands between", excited, gate, {}), ("MaxPool stands between", lambda n, y: n.op("MaxPool", y, kernel_shape=[1, 1]), [], {}),
                 ("LeakyRelu stands between, an activation that the format does not have", lambda n, y: n.op("LeakyRelu", y), [], {}),
                 ("its output is one of the model", lambda n, y: y, [], {"output": True}))
        for why, between, inner, options in cases:
            with self.subTest(why):
                net = Net()
                y = net.conv("x", 8, 1, 3, 3, group=8, **ONES)
                end = net.conv(between(net, y), 6, 8, 1, 1)
                self.check(net, depthwise(14, 8, 3, **PADDED), *inner, pointwise(14, 8, 6), outputs=(end, y) if options else (end,),
                           says=[f"Depthwise convolutions that stay apart:\n  1: {why} (conv1)\n"])

    # ---- what is left ----
    def left(self, net, line, *more, taken=pointwise(14, 8, 6), outputs=()):
        """Beside a convolution that is taken."""
        self.check(net, taken, outputs=(net.conv("x", 6, 8, 1, 1), *(outputs or (net.nodes[-1].output[0],))) if taken else outputs, says=[f"Left:\n  {line}", *more])

    def test_convolutions_that_are_left(self):
        net = Net(x=[1, 8, 14, 14], t=[1, 8, 20])
        self.left(net, "1 x Conv: it is a 1-D convolution; 0.01 MFLOP (conv1)\n", "\nTotal: 0.02 MFLOP, 76.6 % of the model's convolutions\n", outputs=(net.conv("t", 6, 8, 3, pads=[1, 1]),),
                  taken=pointwise(14, 8, 6))
        net = Net(x=[1, 8, 14, 14], t=[1, 2, 4, 5, 6])
        self.left(net, "1 x Conv: it is a 3-D convolution; 0.00 MFLOP (conv1)\n", outputs=(net.conv("t", 4, 2, 1, 1, 1),))
        net = Net()
        self.left(net, "1 x ConvTranspose: the format has no such operator; 0.06 MFLOP (convtranspose1)\n", "\nTotal: 0.02 MFLOP, 25.0 % of",
                  outputs=(net.op("ConvTranspose", "x", net.random_constant(8, 2, 3, 3), group=1),))
        net = Net(x=[1, 8, 14, 14], f=[6, 8, 3, 3])
        self.left(net, "1 x Conv: its filter depends on the model's input; 0.12 MFLOP (conv1)\n", outputs=(net.op("Conv", "x", "f"),))
        net = Net()
        gemm = net.op("Gemm", net.op("Flatten", net.op("GlobalAveragePool", "x")), net.random_constant(8, 4))
        self.left(net, "1 x Gemm: it is no convolution (gemm3)\n  1 x MatMul: it is no convolution (matmul4)\n", "\nTotal: 0.02 MFLOP, 100.0 % of",
                  outputs=(net.op("MatMul", gemm, net.random_constant(4, 4)),))
        net = Net()
        self.left(net, "1 x com.microsoft.FusedConv: it is no operator of ONNX itself (fusedconv1)\n", "1 convolution of unknown FLOPs not counted\n",
                  outputs=(net.op("FusedConv", "x", net.random_constant(6, 8, 3, 3), domain="com.microsoft", activation="Relu"),))
        net = Net()
        self.left(net, "1 x Conv: the shape of its input is not known (conv2)\n", outputs=(net.conv(net.op("Unknown", "x", domain="com.microsoft"), 6, 8, 3, 3),))
        net = Net(x=[1, 8, 14, 14], a=[2])
        squeezed = net.op("Compress", "x", net.op("Greater", "a", net.scalar(0)), axis=2)
        self.left(net, "1 x Conv: the shape of its input is not known (conv3)\n", outputs=(net.conv(squeezed, 6, 8, 1, 1),))

    def test_quantised_convolutions_are_left(self):
        net = Net()
        scale, zero = net.scalar(0.1), net.constant(np.uint8(0))
        quantised = net.op("QuantizeLinear", "x", scale, zero)
        filters = net.constant(np.ones((6, 8, 3, 3), np.uint8))
        q = net.op("QLinearConv", quantised, scale, zero, filters, scale, zero, scale, zero)
        i = net.op("ConvInteger", quantised, filters)
        d = net.op("Conv", "x", net.op("DequantizeLinear", filters, scale, zero))
        self.left(net, "1 x QLinearConv: it is quantised; 0.12 MFLOP (qlinearconv2)\n  1 x ConvInteger: it is quantised; 0.12 MFLOP (convinteger3)\n"
                       "  1 x Conv: it is quantised: its filter comes from DequantizeLinear; 0.12 MFLOP (conv5)\n", outputs=(q, i, d))

    def test_elements_of_other_types_are_left(self):
        net = Net()
        wide = net.op("Cast", "x", to=TensorProto.DOUBLE)
        self.left(net, "1 x Conv: its elements are double; 0.12 MFLOP (conv2)\n", outputs=(net.op("Conv", wide, net.constant(np.ones((6, 8, 3, 3)))),))

    def test_bodies_are_told(self):
        inner = Net()
        inner.conv("x", 6, 8, 3, 3)
        body = inner.model().graph
        del body.input[:]
        net = Net()
        condition = net.constant(np.array(True))
        self.left(net, "2 x Conv: it is in a body of If, which are not walked (conv1, conv1)\n", "2 convolutions of unknown FLOPs not counted\n",
                  outputs=(net.op("If", condition, then_branch=body, else_branch=body),))

    # ---- the file ----
    def test_the_same_problem_is_written_once(self):
        net = Net()
        y = "x"
        for attributes in (ONES, {"auto_pad": "SAME_UPPER"}, {"auto_pad": "SAME_LOWER"}):
            y = net.op("Relu", net.conv(y, 8, 8, 3, 3, **attributes))
        net.op("Relu", net.conv(y, 8, 8, 3, 3, bias=True, **ONES))
        self.check(net, conv(14, 8, 8, 3, **PADDED, activation="relu", occurs=3), conv(14, 8, 8, 3, **PADDED, bias=True, activation="relu"))

    def test_the_file_and_what_is_told(self):
        net = Net()
        y = net.op("Relu", net.conv("x", 8, 8, 3, 3, strides=[2, 1], dilations=[2, 2], **ONES))
        y = net.conv(net.conv(y, 16, 1, 3, 3, group=8, **ONES), 4, 16, 1, 1, bias=True)
        net.conv(y, 4, 2, 1, 1, group=2)
        printed, _ = self.run_import(self.save(net, name="my-net 2.onnx"))
        self.assertEqual(printed, f"""{self.path("my-net 2.onnx")}: 4 of 4 convolutions taken, as 3 layers, 3 distinct

problem                               op      what                                                           occurs  MFLOP each  first convolution
my_net_2.1.14x14.8_8.conv3x3.s2x1.d2  conv2d  14x14, 8 -> 8, 3x3, stride 2x1, dilation 2, pad 1,1,1,1, relu       1        0.08  conv1
my_net_2.2.6x12.8_4.depsep3x3.s1.m2   depsep  6x12, 8 -> 4, 3x3, pad 1,1,1,1, multiplier 2, behind bias           1        0.03  conv3
my_net_2.4.6x12.4_4.conv1x1.s1.g2     conv2d  6x12, 4 -> 4, 1x1, pad valid, groups 2                              1        0.00  conv5

Folded into padding, filters and biases: nothing
Fused behind them: 1 x relu
Joined to depsep: 1 depthwise convolution with the pointwise one behind

Total: 0.11 MFLOP, 100.0 % of the model's convolutions
written: {self.path("out.json")}
""")
        with open(self.path("out.json"), encoding="utf-8") as file:
            self.assertEqual(file.read(), """{
  "title": "The convolutions of my-net 2.onnx",
  "description": "Imported from my-net 2.onnx: 4 of its 4 convolutions, those of a depsep counted as two; 0.1 M multiply-adds in all. Batch-norm is folded into biases.",
  "problems": [
    {"name": "my_net_2.1.14x14.8_8.conv3x3.s2x1.d2", "op": "conv2d", "n": 1, "h": 14, "w": 14, "c": 8, "k": 8, "r": 3, "s": 3, "stride": [2, 1], "dilation": [2, 2], "pad": [1, 1, 1, 1], "dtype": "f32", "layout": "nhwc", "activation": "relu", "occurs": 1},
    {"name": "my_net_2.2.6x12.8_4.depsep3x3.s1.m2", "op": "depsep", "n": 1, "h": 6, "w": 12, "c": 8, "k": 4, "r": 3, "s": 3, "pad": [1, 1, 1, 1], "multiplier": 2, "dtype": "f32", "layout": "nhwc", "bias": true, "occurs": 1},
    {"name": "my_net_2.4.6x12.4_4.conv1x1.s1.g2", "op": "conv2d", "n": 1, "h": 6, "w": 12, "c": 4, "k": 4, "r": 1, "s": 1, "pad": "valid", "groups": 2, "dtype": "f32", "layout": "nhwc", "occurs": 1}
  ]
}
""")

    def test_names_fit_for_identifiers(self):
        for name, begins in (("a.b-c.onnx", "a_b_c."), ("3d.onnx", "model_3d."), ("\u00fc.onnx", "model."), ("x" * 90 + ".onnx", "x" * 60 + ".")):
            net = Net()
            net.conv("x", 6, 8, 1, 1)
            self.assertEqual(self.run_import(self.save(net, name=name))[1][0]["name"], begins + "1.14x14.8_6.pointwise")

    def test_weights(self):
        def made(*words, **run):
            path = self.save(net)
            self.run_import(path, "--weights", self.path("w"), *words)
            with open(self.path("out.json"), encoding="utf-8") as file:
                problems = json.load(file)["problems"]
            self.assertEqual(len(problems), 1)
            name = problems[0]["name"] + "."
            return {f[len(name):-4]: np.load(self.path("w/" + f)) for f in os.listdir(self.path("w")) if f.startswith(name)}
        def direct(x, filters, bias, group):  # filters [r, s, channels of a group, of the output], input of NCHW without padding
            r, s = filters.shape[:2]
            p, q = x.shape[2] - r + 1, x.shape[3] - s + 1
            taps = np.array([[x[0, :, i:i + p, j:j + q] for j in range(s)] for i in range(r)]).reshape(r, s, group, -1, p, q)
            return np.einsum("rsgcpq,rscgk->gkpq", taps, filters.reshape(r, s, filters.shape[2], group, -1)).reshape(-1, p, q) + bias[:, None, None]
        x = np.random.default_rng(2).normal(size=(1, 8, 14, 14)).astype(np.float32)
        def expected():
            return ReferenceEvaluator(net.model()).run(None, {"x": x})[0][0]
        def near(found):
            self.assertLess(abs(found - expected()).max() / abs(expected()).max(), 1e-5)

        net = Net()  # conv2d: the constants of everything that is folded
        y = net.op("Div", net.op("Sub", net.norm(net.conv("x", 6, 4, 3, 3, group=2, bias=True), 6, epsilon=0.1), net.random_constant(6, 1, 1)), net.random_constant(1, 6, 1, 1))
        net.op("Add", net.op("Mul", y, net.scalar(3)), net.scalar(0.25))
        arrays = made()
        self.assertEqual({name: a.shape for name, a in arrays.items()}, {"filter": (6, 3, 3, 4), "bias": (6,)})
        near(direct(x, arrays["filter"].transpose(1, 2, 3, 0), arrays["bias"], 2))

        net = Net()  # depsep with a multiplier
        net.norm(net.conv(net.norm(net.conv("x", 16, 1, 3, 2, group=8), 16), 5, 16, 1, 1, bias=True), 5)
        arrays = made()
        self.assertEqual({name: a.shape for name, a in arrays.items()}, {"filter": (3, 2, 8, 2), "mid_bias": (16,), "pointwise_filter": (5, 16), "bias": (5,)})
        middle = direct(x, arrays["filter"].reshape(3, 2, 1, 16), arrays["mid_bias"], 8)
        near(np.einsum("kc,cpq->kpq", arrays["pointwise_filter"], middle) + arrays["bias"][:, None, None])

        net = Net()
        net.conv("x", 6, 8, 1, 1)
        self.assertEqual({name: a.shape for name, a in made().items()}, {"filter": (6, 8)})
        net = Net()
        net.op("Conv", "x", net.op("ConstantOfShape", net.constant(np.array([60, 8, 1, 1]))))
        os.unlink(self.path("out.json"))
        self.refused(f'--weights {self.path("w")}: "constantofshape1" of conv2 is computed, or cannot be read', self.save(net), "--weights", self.path("w"))

    # ---- what cannot be used ----
    def test_unusable_models(self):
        def file(name, data):
            with open(self.path(name), "wb") as f:
                f.write(data)
            return self.path(name)
        net = Net()
        net.conv("x", 6, 8, 3, 3)
        whole = net.model().SerializeToString()
        self.refused(f'{self.path("none.onnx")}: cannot be read: No such file or directory', self.path("none.onnx"))
        self.refused(f"{self.folder}: cannot be read: Is a directory", self.folder)
        for name, data in (("cut.onnx", whole[:-100]), ("other.onnx", b"this is no model\n")):
            self.refused(f"{self.path(name)}: is no ONNX model, or one that is cut short: its bytes cannot be decoded", file(name, data))
        self.refused(f'{self.path("empty.onnx")}: is no ONNX model, or an empty one: it holds no graph with nodes', file("empty.onnx", b""))
        newest = onnx.defs.onnx_opset_version()
        for opset in (6, newest + 1):
            net.opset = opset
            path = self.save(net)
            self.refused(f"{path}: is of ONNX opset {opset}; allowed: 7 to {newest}, to which onnx.version_converter converts models", path)
        net = Net()
        net.op("Relu", "x")
        path = self.save(net)
        self.refused(f"{path}: has no convolution", path)
        damaged = net.model()
        damaged.graph.node.add(op_type="Conv", name="c", input=["x"], output=["y"])
        path = self.save(damaged)
        self.refused(f'{path}: node "c" is not valid: Node(c) with schema(::Conv:11) has input size 1 not in range [min=2, max=3].', path)
        path = file("names.onnx", net.model().SerializeToString().replace(b"relu1", b"rel\xff1"))
        self.refused(f"{path}: is no ONNX model, or a damaged one: it holds names that are not UTF-8", path)
        damaged = net.model()
        damaged.graph.initializer.add(name="d", data_type=TensorProto.FLOAT, dims=[3], raw_data=b"1234")
        path = self.save(damaged)
        with self.assertRaisesRegex(BadInput, f"^{re.escape(path)}: its shapes cannot be inferred: .+$"):
            self.run_import(path)
        net = Net(x=[1, 8, 20])
        net.conv(net.conv("x", 6, 8, 3), 4, 6, 3)
        path = self.save(net)
        self.refused(f"{path}: none of its 2 convolutions can be taken: 2 x Conv: it is a 1-D convolution", path)

    def test_unusable_options_and_outputs(self):
        net = Net()
        net.conv("x", 6, 8, 3, 3)
        path = self.save(net)
        for words, sentence in ((["--batch", "0"], '--batch is "0"; allowed: an integer from 1 to 2147483647'), (["--layout", "chwn"], '--layout is "chwn"; allowed: nhwc, nchw'),
                                (["--batch", "4"], '--batch 4: the model has no symbolic batch dimension left to set: input "x" is [1, 8, 14, 14]'),
                                (["--dim", "w=3"], "--dim w=3: the model has no such symbolic dimension; allowed: none"),
                                (["--depth"], "unrecognized arguments: --depth; --help tells what is allowed")):
            self.refused(sentence, path, *words)
        with self.assertRaisesRegex(BadInput, "required: -o/--output; --help tells what is allowed$"):
            import_onnx.main([path])
        nowhere = self.path("none/out.json")
        for output, sentence in ((nowhere, f"{nowhere}: cannot be written: No such file or directory"), (self.folder, f"{self.folder}: cannot be written: it is not a regular file"),
                                 ("/dev/full", "/dev/full: cannot be written: it is not a regular file"), (path, f"{path}: is the model itself; give another file behind -o")):
            before = sorted(os.listdir(self.folder))
            with self.assertRaises(BadInput) as caught, contextlib.redirect_stdout(io.StringIO()):
                import_onnx.main([path, "-o", output])
            self.assertEqual(str(caught.exception), sentence)
            self.assertEqual(sorted(os.listdir(self.folder)), before)

    def run_script(self, *words, **environment):
        return subprocess.run([sys.executable, SCRIPT, *words], capture_output=True, text=True, env={**os.environ, **environment})

    def test_exit_codes(self):
        net = Net()
        net.conv("x", 6, 8, 3, 3)
        path = self.save(net)
        done = self.run_script(path, "-o", self.path("a.json"))
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        done = self.run_script(self.path("none"), "-o", self.path("b.json"))
        self.assertEqual((done.returncode, done.stdout, done.stderr), (2, "", f'sepal: {self.path("none")}: cannot be read: No such file or directory\n'))
        with open("/dev/full", "w") as full:
            done = subprocess.run([sys.executable, SCRIPT, path, "-o", self.path("c.json")], stdout=full, stderr=subprocess.PIPE, text=True)
        self.assertEqual((done.returncode, done.stderr), (2, "sepal: standard output cannot be written\n"))

    def test_without_onnx(self):
        os.mkdir(self.path("onnx"))
        with open(self.path("onnx/__init__.py"), "w") as file:
            file.write("raise ImportError\n")
        done = self.run_script("m.onnx", "-o", self.path("a.json"), PYTHONPATH=self.folder)
        self.assertEqual((done.returncode, done.stdout), (2, ""))
        self.assertEqual(done.stderr, f"sepal: the Python {sys.executable} has no onnx; install it there (tools/setup.sh does so in build/venv), or set the environment "
                                      "variable SEPAL_PYTHON to one that has it\n")

    @unittest.skipUnless(SEPAL, "[SKIP] SEPAL_COMMAND, the command, is not set")
    def test_the_command(self):
        net = Net(x=["n", 8, "h", "w"])
        net.conv(net.conv("x", 8, 1, 3, 3, group=8), 6, 8, 1, 1)
        path = self.save(net)
        words = ["--batch", "2", "--dim", "h=10", "--dim", "w=12", "--layout", "nhwc", "--no-fuse", "--weights", self.path("w")]
        printed, problems = self.run_import(path, *words)
        done = subprocess.run([SEPAL, "import", path, "-o", self.path("out.json"), *words], capture_output=True, text=True, env={**os.environ, "SEPAL_PYTHON": sys.executable})
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, printed, ""))
        with open(self.path("out.json"), encoding="utf-8") as file:
            self.assertEqual(json.load(file)["problems"], problems)
        for words, environment, sentence in ((["-o", "a"], {}, "model is required"), ([path], {}, "--output is required"), ([path, "-o", "a", "--dim", "h=0"], {}, '--dim h is "0"'),
                                             ([path, "-o", "a"], {"SEPAL_PYTHON": "/nowhere/python3"}, 'the Python "/nowhere/python3" cannot be run; set the environment variable SEPAL_PYTHON'),
                                             ([path, "-o", "a"], {"SEPAL_PYTHON": "false"}, f"{path}: the import script failed"),
                                             ([path, "-o", "a"], {"SEPAL_IMPORT_SCRIPT": "/nowhere/i.py"}, 'sepal import: the script "/nowhere/i.py" cannot be read; set the environment')):
            done = subprocess.run([SEPAL, "import", *words], capture_output=True, text=True, env={**os.environ, "SEPAL_PYTHON": sys.executable, **environment}, cwd=self.folder)
            self.assertEqual((done.returncode, done.stdout), (2, ""))
            self.assertIn("sepal: " + sentence, done.stderr)
            self.assertEqual(done.stderr.count("\n"), 1)


if __name__ == "__main__":
    unittest.main()
