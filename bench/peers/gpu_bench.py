"""gpu_bench.py --suite FILE [--device cuda:INDEX] [--name PATTERN] [--dtype f16|f32] [--json FILE] ...: measures a suite's problems through
PyTorch on an NVIDIA GPU, alone: it needs a Python with PyTorch and nothing else.

Each problem is computed by every configuration that peer_pytorch_cuda.py knows; the fastest is checked against sums in f64 and timed in turns,
warm (the same tensors again and again) and cold (a rotation of tensors that L2 does not hold). f32 problems are measured with TF32 off and
on. FLOPs: 2 for each multiply-add. Exit codes: 0; 1 when a result is wrong; 2 when nothing can be measured.
"""

import argparse
import fnmatch
import gc
import json
import math
import re
import sys
import time

sys.dont_write_bytecode = True  # this folder is part of the sources


def stop(sentence):
    print(f"gpu_bench: {sentence}", file=sys.stderr)
    sys.exit(2)


def read_suite(path, pattern, dtype):
    try:
        with open(path, encoding="utf-8") as file:
            suite = json.load(file)
    except OSError as e:
        stop(f"--suite: {path} cannot be read: {e.strerror}")
    except ValueError as e:
        stop(f"--suite: {path} is no JSON: {e}")
    problems = [p for p in suite.get("problems", []) if fnmatch.fnmatchcase(p["name"], pattern)]
    if not problems:
        stop(f'{path} has no problem whose name matches "{pattern}"')
    for p in problems:
        if p.get("layout", "nhwc") != "nhwc":
            stop(f'{path}: problem "{p["name"]}" has layout {p["layout"]}; allowed: nhwc')
    return [{**p, "dtype": dtype or p.get("dtype", "f32")} for p in problems]


def pair(value):
    return tuple(value) if isinstance(value, list) else (value, value)


def with_numbers(p):
    """The problem with its padding as four numbers, as serve.py gets it."""
    from layers import same_padding
    stride, dilation = pair(p.get("stride", 1)), pair(p.get("dilation", 1))
    pad = p.get("pad", "same")
    if pad == "valid" or p["op"] == "pointwise":
        pad = [0, 0, 0, 0]
    if pad == "same":
        (top, bottom), (left, right) = (same_padding(*sizes) for sizes in zip((p["h"], p["w"]), (p.get("r", 1), p.get("s", 1)), stride, dilation))
        pad = [top, left, bottom, right]
    return {"n": 1, "groups": 1, "multiplier": 1, **p, "pad": pad, "stride": stride, "dilation": dilation}


def exact_problem(p):
    """Layers whose sums are exact: all values are -1, 0 or 1."""
    import layers
    import torch
    from peer_pytorch_cuda import TorchArrays
    generator = torch.Generator().manual_seed(1)

    def tensor(name, *shape):
        return torch.randint(-1, 2, shape, generator=generator).to(torch.float32)
    return layers.from_tensors(p, tensor, TorchArrays)


def flops(problem):
    return sum(2 * math.prod(layer.output) * math.prod(layer.filter.shape[1:]) for layer in problem.layers)


def reference(problem, image, device):
    """[p, q, k] of one image in f64, by shifted products, rounded to the problem's type after each layer."""
    import torch
    from peer_pytorch_cuda import DTYPES
    x = problem.input[image].to(device=device, dtype=torch.float64)
    for layer in problem.layers:
        top, left, bottom, right = layer.pad
        _, p, q, k = layer.output
        h, w, c = x.shape
        padded = torch.zeros((h + top + bottom, w + left + right, c), dtype=torch.float64, device=device)
        padded[top:top + h, left:left + w] = x
        weights = layer.filter.to(device=device, dtype=torch.float64)
        inputs, outputs = c // layer.groups, k // layer.groups
        y = torch.zeros((p, q, k), dtype=torch.float64, device=device)
        for i in range(weights.shape[2]):
            for j in range(weights.shape[3]):
                (down, across), (dy, dx) = layer.stride, layer.dilation
                taps = padded[i * dy:i * dy + (p - 1) * down + 1:down, j * dx:j * dx + (q - 1) * across + 1:across]
                if inputs == 1:
                    y += taps.repeat_interleave(outputs, dim=2) * weights[:, 0, i, j]
                    continue
                for g in range(layer.groups):
                    y[:, :, g * outputs:(g + 1) * outputs] += taps[:, :, g * inputs:(g + 1) * inputs] @ weights[g * outputs:(g + 1) * outputs, :, i, j].t()
        if layer.bias is not None:
            y += layer.bias.to(device=device, dtype=torch.float64)
        if layer.activation in ("relu", "relu6"):
            y = y.clamp(min=0, max=6 if layer.activation == "relu6" else math.inf)
        if layer.activation == "hardswish":
            y = y * (y + 3).clamp(min=0, max=6) / 6
        x = y.to(DTYPES[problem.dtype]).to(torch.float64)
    return x


def largest_error(problem, result, device):
    """Of the first and the last image, relative to the largest value."""
    import torch
    worst = 0.0
    for image in sorted({0, problem.input.shape[0] - 1}):
        right = reference(problem, image, device)
        got = result[image].permute(1, 2, 0).to(torch.float64)
        error = float((got - right).abs().max() / right.abs().max().clamp(min=1e-30))
        worst = error if not error <= worst else worst  # and NaN, which is no number to compare
    return worst


def statistics(samples):
    ordered = sorted(samples)
    return {"median_us": round(ordered[len(ordered) // 2] * 1e6, 3), "min_us": round(ordered[0] * 1e6, 3), "max_us": round(ordered[-1] * 1e6, 3)}


def measure(p, device, tf32, seconds):
    import peer_pytorch_cuda as peer
    problem = exact_problem(with_numbers(p))
    row = {"problem": p["name"], "op": p["op"], "n": p.get("n", 1), "dtype": p["dtype"], "peer": "PyTorch-TF32" if tf32 else "PyTorch"}
    try:
        label, timed, told = peer.trials(problem, device, tf32)
    except Exception as e:  # a library may raise anything
        return {**row, "check": f"skipped: {type(e).__name__}: {' '.join(str(e).split())[:300]}"}
    row.update(configuration=label, configurations=told, cuda_graph=not timed.why_no_graph)
    error = largest_error(problem, timed.result, device)
    _, winograd = peer.configurations(problem, device)
    row.update(relative_error=error, winograd=winograd, check="passed" if error <= (5e-3 if winograd else 0) else "failed")
    if row["check"] != "passed":
        return row
    for state in ("warm", "cold"):
        cold = state == "cold"
        timed.seconds(1, cold)
        samples, start = [], time.perf_counter()
        while len(samples) < 7 or (time.perf_counter() - start < seconds and len(samples) < 51):
            samples.append(timed.seconds(1, cold))
        row[state] = statistics(samples)
        row[state]["tflops"] = round(flops(problem) / row[state]["median_us"] * 1e-6, 3)
        row[state]["per_second"] = round(row["n"] / row[state]["median_us"] * 1e6, 1)
    del timed
    return row


def show(row):
    if "warm" not in row:
        return f'{row["problem"]:<24} {row["dtype"]} {row["peer"]:<13} {row["check"]}'
    return (f'{row["problem"]:<24} {row["dtype"]} {row["peer"]:<13} warm {row["warm"]["median_us"]:9.2f} us {row["warm"]["tflops"]:8.2f} TFLOP/s, '
            f'cold {row["cold"]["median_us"]:9.2f} us, {row["check"]}: {row["configuration"]}')


def main():
    parser = argparse.ArgumentParser(description="Measures a suite's problems through PyTorch on an NVIDIA GPU.")
    parser.add_argument("--suite", required=True, help="a file of problems, such as bench/suites/microbenchmark.json")
    parser.add_argument("--device", default="cuda", help="cuda or cuda:INDEX (default: cuda, which is cuda:0)")
    parser.add_argument("--name", default="*", help="only problems whose names match this pattern")
    parser.add_argument("--dtype", choices=["f16", "f32"], help="instead of the suite's")
    parser.add_argument("--seconds", type=float, default=0.2, help="for each problem and state of the caches, beyond 7 samples")
    parser.add_argument("--limit", type=float, default=math.inf, help="seconds after which no further problem is begun")
    parser.add_argument("--json", help="write the results to this file")
    o = parser.parse_args()
    if not re.fullmatch(r"cuda(:\d+)?", o.device):
        stop(f'--device: "{o.device}" is unknown; allowed: cuda or cuda:INDEX')
    device = o.device if ":" in o.device else o.device + ":0"
    problems = read_suite(o.suite, o.name, o.dtype)
    try:
        import torch
    except ImportError as e:
        stop(f"PyTorch is not installed for {sys.executable} ({e}), so nothing is measured")
    import peer_pytorch_cuda as peer
    from runners import CannotDo
    try:
        peer.open_device(device)
    except CannotDo as e:
        stop(f"{e}, so nothing is measured")
    start, rows = time.perf_counter(), []
    record = {"suite": o.suite, "gpu": torch.cuda.get_device_name(), "version": peer.version(), "l2_bytes": peer.l2_bytes(device), "results": rows}
    print(f'{record["gpu"]}, PyTorch {record["version"]}')
    for p in problems:
        for tf32 in ((False, True) if p["dtype"] == "f32" else (False,)):
            late = time.perf_counter() - start > o.limit
            name = {"problem": p["name"], "dtype": p["dtype"], "peer": "PyTorch-TF32" if tf32 else "PyTorch"}
            rows.append({**name, "check": f"skipped: the limit of {o.limit:g} s was over"} if late else measure(p, device, tf32, o.seconds))
            print(show(rows[-1]), flush=True)
            gc.collect()
            torch.cuda.empty_cache()
            if o.json:  # after each, so that what was measured is there however this ends
                with open(o.json, "w", encoding="utf-8") as file:
                    json.dump(record, file, indent=1)
    sys.exit(1 if any(row["check"] == "failed" for row in rows) else 0)


if __name__ == "__main__":
    main()
