#!/usr/bin/env python3
"""import_onnx.py MODEL.onnx -o PROBLEMS.json: the convolutions of a model of ONNX as a file of problems, and what was taken, folded, joined and left.
What `sepal import` runs.

Exit status 2, with one sentence on stderr, when the model is unusable or the output cannot be written."""

import argparse
import collections
import io
import json
import os
import re
import sys

sys.dont_write_bytecode = True  # this folder is part of the sources
from files import BadInput, write_file

MOST_NAMED = 4  # convolutions that one line names
LONGEST_NAME = 60  # of a model, within names of problems


class Arguments(argparse.ArgumentParser):
    def error(self, message):
        raise BadInput(f"{message}; --help tells what is allowed")


def arguments_from(words):
    parser = Arguments(prog="import_onnx.py", description="The convolutions of a model of ONNX as a file of problems.")
    parser.add_argument("model", metavar="MODEL.onnx")
    parser.add_argument("-o", "--output", required=True, metavar="PROBLEMS.json", help="the file of problems to write")
    parser.add_argument("--batch", metavar="N", help="the size of the model's symbolic batch dimension (default: 1)")
    parser.add_argument("--dim", action="append", default=[], metavar="NAME=VALUE", help="the size of another symbolic dimension")
    parser.add_argument("--layout", default="nhwc", metavar="LAYOUT", help="of the problems' tensors: nhwc (default), nchw")
    parser.add_argument("--weights", metavar="FOLDER", help="also write the filters and biases of each problem there, as NumPy arrays for sepal run")
    parser.add_argument("--no-fuse", action="store_true", help="leave depthwise and pointwise convolutions apart")
    a = parser.parse_args(words)
    if a.layout not in ("nhwc", "nchw"):
        raise BadInput(f'--layout is "{a.layout}"; allowed: nhwc, nchw')
    a.batch = None if a.batch is None else size_from("--batch", a.batch)
    sizes = {}
    for text in a.dim:
        name, equals, value = text.rpartition("=")
        if not equals or not name:
            raise BadInput(f'--dim is "{text}"; allowed: NAME=VALUE')
        if sizes.setdefault(name, size_from(f"--dim {name}", value)) != int(value):
            raise BadInput(f"--dim {name} is given twice, as {sizes[name]} and {value}")
    a.dim = sizes
    if os.path.realpath(a.output) == os.path.realpath(a.model):
        raise BadInput(f"{a.output}: is the model itself; give another file behind -o")
    return a


def size_from(option, text):
    if not re.fullmatch("[0-9]{1,10}", text) or not 1 <= int(text) < 2**31:
        raise BadInput(f'{option} is "{text}"; allowed: an integer from 1 to {2**31 - 1}')
    return int(text)


# ---- problems ----
def problem_of(layer, layout):
    """The fields of a problem file, those with their defaults left out; without name."""
    p = {"op": layer.op, "n": layer.n, "h": layer.h, "w": layer.w, "c": layer.c}
    last = layer.last()
    if layer.op != "depthwise":
        p["k"] = last.k
    if layer.op != "pointwise":
        p["r"], p["s"] = layer.r, layer.s
        if layer.stride != [1, 1]:
            p["stride"] = layer.stride
        if layer.dilation != [1, 1]:
            p["dilation"] = layer.dilation
        p["pad"] = layer.pad
    if layer.groups != 1:
        p["groups"] = layer.groups
    if layer.multiplier != 1:
        p["multiplier"] = layer.multiplier
    p["dtype"], p["layout"] = layer.dtype, layout
    if layer.second and layer.bias:
        p["mid_bias"] = True
    if layer.second and layer.activation != "none":
        p["mid_activation"] = layer.activation
    if last.bias:
        p["bias"] = True
    if last.residual:
        p["residual"] = True
    if last.activation != "none":
        p["activation"] = last.activation
    return p


def as_one(values):
    return str(values[0]) if values[0] == values[1] else "x".join(map(str, values))


def shape_of(layer):
    """As the suites name their problems, but fit for a C identifier once its dots are replaced."""
    taps, stride = f"{layer.r}x{layer.s}", f".s{as_one(layer.stride)}"
    dilation = f".d{as_one(layer.dilation)}" if layer.dilation != [1, 1] else ""
    multiplier = f".m{layer.multiplier}" if layer.multiplier != 1 else ""
    groups = f".g{layer.groups}" if layer.groups != 1 else ""
    kind = {"pointwise": "pointwise", "conv2d": f"conv{taps}{stride}{dilation}{groups}", "depthwise": f"dw{taps}{stride}{dilation}{multiplier}",
            "depsep": f"depsep{taps}{stride}{dilation}{multiplier}"}[layer.op]
    channels = f"{layer.c}" if layer.op == "depthwise" else f"{layer.c}_{layer.last().k}"
    return f"{layer.h}x{layer.w}.{channels}.{kind}"


def identifier(path):
    """The name of a file without its ending, of letters, digits and underscores."""
    name = re.sub("[^A-Za-z0-9_]+", "_", os.path.splitext(os.path.basename(path))[0]).strip("_")[:LONGEST_NAME]
    return name if name and not name[0].isdigit() else "model" + ("_" + name if name else "")


def merged(layers, model_name, layout):
    """(problem, its layers) of each distinct one, in the order of the model."""
    groups = {}
    for layer in layers:
        p = problem_of(layer, layout)
        groups.setdefault(json.dumps({**p, "pad": layer.zeros}), (p, []))[1].append(layer)
    return [({"name": f"{model_name}.{same[0].order}.{shape_of(same[0])}", **p, "occurs": len(same)}, same) for p, same in groups.values()]


def file_text(title, description, problems):
    lines = ",\n".join("    " + json.dumps(p, ensure_ascii=False) for p in problems)
    return (f'{{\n  "title": {json.dumps(title, ensure_ascii=False)},\n  "description": {json.dumps(description, ensure_ascii=False)},\n'
            f'  "problems": [\n{lines}\n  ]\n}}\n')


def weight_files(model, problems, folder):
    """(path, bytes) of each array; of convolutions that are the same problem those of the first."""
    import numpy as np
    from onnx_layers import Cannot, weights_of
    files = []
    for p, same in problems:
        try:
            arrays = weights_of(model, same[0])
        except Cannot as e:
            raise BadInput(f"--weights {folder}: {e}")
        for name, values in arrays.items():
            data = io.BytesIO()
            np.save(data, values)
            files.append((os.path.join(folder, f'{p["name"]}.{name}.npy'), data.getvalue()))
    return files


# ---- what is told ----
def visible(text):
    """Without control characters, and with what is no Unicode replaced."""
    return "".join(c if c.isprintable() else "?" for c in text)


def counted(number, what, several=None):
    return f"{number} {what if number == 1 else several or what + 's'}"


def named(names):
    names = [visible(name) for name in names]
    return ", ".join(names[:MOST_NAMED]) + (f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else "")


def grouped(pairs):
    """{first: the seconds} in the order of the firsts."""
    groups = {}
    for first, second in pairs:
        groups.setdefault(first, []).append(second)
    return groups


def what_it_does(p):
    parts = [f'{p["h"]}x{p["w"]}, {p["c"]}' + (f' -> {p["k"]}' if "k" in p else "")]
    if p["n"] != 1:
        parts.insert(0, f'n {p["n"]}')
    if "r" in p:
        parts.append(f'{p["r"]}x{p["s"]}')
    if "stride" in p:
        parts.append(f'stride {as_one(p["stride"])}')
    if "dilation" in p:
        parts.append(f'dilation {as_one(p["dilation"])}')
    if "pad" in p:
        parts.append("pad " + (p["pad"] if isinstance(p["pad"], str) else ",".join(map(str, p["pad"]))))
    parts += [f"{field} {p[field]}" for field in ("groups", "multiplier") if field in p]
    middle = ["bias"] * p.get("mid_bias", False) + [p.get("mid_activation")]
    end = ["bias"] * p.get("bias", False) + ["residual"] * p.get("residual", False) + [p.get("activation")]
    for behind, fused in (("between", middle), ("behind", end)):
        if any(fused):
            parts.append(("" if p["op"] != "depsep" else behind + " ") + "+".join(filter(None, fused)))
    return ", ".join(parts)


def table(problems):
    rows = [("problem", "op", "what", "occurs", "MFLOP each", "first convolution")]
    rows += [(p["name"], p["op"], what_it_does(p), str(p["occurs"]), f"{same[0].flops() / 1e6:.2f}", visible(same[0].node.name)) for p, same in problems]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return ["  ".join(cell.rjust(width) if i in (3, 4) else cell.ljust(width) for i, (cell, width) in enumerate(zip(row, widths))).rstrip() for row in rows]


def left_lines(found):
    kinds = {}
    for operator, name, why, flops in found.left:
        kinds.setdefault((operator, why), []).append((name, flops))
    return [f"  {len(all)} x {operator}: {why}" + (f"; {sum(f or 0 for _, f in all) / 1e6:.2f} MFLOP" if any(f for _, f in all) else "") +
            f" ({named([name for name, _ in all])})" for (operator, why), all in kinds.items()]


def report(path, found, problems, output):
    taken = found.taken
    lines = [f"{visible(path)}: {sum(layer.nodes() for layer in taken)} of {counted(found.convolutions(), 'convolution')} taken, as "
             f"{counted(len(taken), 'layer')}, {len(problems)} distinct", ""] + table(problems)

    every = [layer for one in taken for layer in (one, one.second) if layer]
    folded = collections.Counter(node.op for layer in every for node in [layer.before] * (layer.before is not None) + layer.folded)
    activations = collections.Counter(layer.activation for layer in every if layer.activation != "none")
    residuals = sum(layer.residual is not None for layer in every)
    lines += ["", "Folded into padding, filters and biases: " + (", ".join(f"{n} x {op}" for op, n in folded.items()) or "nothing"),
              "Fused behind them: " + (", ".join([f"{n} x {a}" for a, n in activations.items()] + [f"{residuals} x residual"] * (residuals > 0)) or "nothing")]
    if found.joined:
        lines.append(f"Joined to depsep: {counted(len(found.joined), 'depthwise convolution')} with the pointwise one behind")
    if found.apart:
        lines.append("Depthwise convolutions that stay apart:")
        lines += [f"  {len(names)}: {why} ({named(names)})" for why, names in grouped((why, layer.node.name) for layer, why in found.apart).items()]
    if found.outside:
        lines.append("Behind a convolution, but not part of its problem:")
        lines += [f"  {len(names)} x {visible(what)} ({named(names)})" for what, names in grouped(found.outside).items()]
    if found.left:
        lines += ["Left:"] + left_lines(found)

    mine, left = sum(layer.flops() for layer in taken), sum(flops or 0 for *_, flops in found.left)
    unknown = sum(flops is None for *_, flops in found.left)
    lines += ["", f"Total: {mine / 1e6:.2f} MFLOP, {100 * mine / (mine + left):.1f} % of the model's convolutions" +
              (f", {counted(unknown, 'convolution')} of unknown FLOPs not counted" if unknown else ""), f"written: {visible(output)}"]
    return "\n".join(lines) + "\n"


def main(words):
    a = arguments_from(words)
    try:
        import onnx
    except ImportError:
        raise BadInput(f"the Python {sys.executable} has no onnx; install it there (tools/setup.sh does so in build/venv), or set the environment variable "
                       "SEPAL_PYTHON to one that has it")
    from onnx_layers import Layers
    from onnx_model import load

    model = load(a.model, a.batch, a.dim)
    found = Layers(model, not a.no_fuse)
    if not found.convolutions():
        raise BadInput(f"{a.model}: has no convolution")
    if not found.taken:
        reasons = grouped((f"{operator}: {why}", 0) for operator, _, why, flops in found.left if flops != 0)
        raise BadInput(f"{a.model}: none of its {counted(found.convolutions(), 'convolution')} can be taken: " +
                       "; ".join(f"{len(n)} x {why}" for why, n in reasons.items()))
    problems = merged(found.taken, identifier(a.model), a.layout)
    file_name = visible(os.path.basename(a.model))[:200]
    count, flops = sum(layer.nodes() for layer in found.taken), sum(layer.flops() for layer in found.taken)
    description = (f"Imported from {file_name}: {count} of its {found.convolutions()} convolutions, those of a depsep counted as two; "
                   f"{flops / 2e6:.1f} M multiply-adds in all. Batch-norm is folded into biases.")
    written = [a.output]
    if a.weights is not None:
        arrays = weight_files(model, problems, a.weights)
        try:
            os.makedirs(a.weights, exist_ok=True)
        except OSError as e:
            raise BadInput(f"--weights {a.weights}: cannot be made: {e.strerror}")
        for file, data in arrays:
            write_file(file, data)
        written.append(f"{counted(len(arrays), 'array')} in {a.weights}")
    told = report(a.model, found, problems, ", ".join(written))
    write_file(a.output, file_text(f"The convolutions of {file_name}", description, [p for p, _ in problems]))
    try:
        sys.stdout.write(told)
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # so that nothing is written once more at the end
        raise BadInput("standard output cannot be written")


if __name__ == "__main__":
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")
    try:
        main(sys.argv[1:])
    except BadInput as e:
        print("sepal: " + " ".join(str(e).split()), file=sys.stderr)
        sys.exit(2)
    except MemoryError:
        print("sepal: there is not enough memory for this", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
