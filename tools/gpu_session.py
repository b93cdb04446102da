"""gpu_session.py: what is done with a GPU, in one run; see gpu_session.sh. Needs nothing but Python's standard library.

Every step is a command with a time limit, whose output goes to a file; what becomes of one does not stop the others. The record:
{"format", "device", "date", "commit", "driver", "gpu": {...}, "steps": [{"name", "command", "outcome", "exit_code", "seconds", "limit", "last_lines"}],
"peaks": what `sepal peak --json` writes, "bench": {suite: what `sepal bench --json` writes}, "candidates": {suite: the same of schedules that are to
be compared}, "peers": {suite: what bench/peers/gpu_bench.py writes}}; null or absent is what no step brought. Of a bench that was ended early there is
what it measured until then ("complete" is false).
"""

import argparse
import ctypes
import dataclasses
import datetime
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
import typing

from files import write_file

SOURCES = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
FORMAT = 1
CANDIDATES = os.path.join(SOURCES, "schedules", "gpu", "candidates.json")
SUITES = ("microbenchmark_f16", "microbenchmark")
LAST_LINES = 12
# A build may have been made where the sources were elsewhere.
ENVIRONMENT = {"SEPAL_PEERS_SCRIPT": os.path.join(SOURCES, "bench", "peers", "serve.py")}
RESERVE_SECONDS = 5  # of the total, to write the record
# Small problems with what kernels have to watch for: edges, stride, bias, activation, both types.
SANITIZED = {"problems": [
    {"name": f"{op}.{dtype}", "op": op, "n": 1, "h": 18, "w": 19, "c": 32, "pad": "same", "dtype": dtype, "layout": "nhwc", "bias": True, "activation": "relu",
     **({"k": 32} if op != "depthwise" else {}), **({"r": 3, "s": 3} if op != "pointwise" else {"pad": "valid"})}
    for dtype in ("f32", "f16") for op in ("conv2d", "depthwise", "pointwise", "depsep")]}
for problem in SANITIZED["problems"]:
    if problem["op"] == "pointwise":
        del problem["pad"]


def stop(sentence):
    print(f"gpu_session: {sentence}", file=sys.stderr)
    sys.exit(2)


def find_gpu(index):
    """Name and driver of the GPU. Stops where there is none."""
    library, why = None, ""
    for name in ("libcuda.so.1", "libcuda.so"):
        try:
            library = ctypes.CDLL(name)
            break
        except OSError as e:
            why = why or str(e)
    if library is None:
        stop(f"there is no NVIDIA driver here ({why}), so nothing is measured; --dry-run shows what would be done")
    count, version, name = ctypes.c_int(0), ctypes.c_int(0), ctypes.create_string_buffer(256)
    result = library.cuInit(0) or library.cuDeviceGetCount(ctypes.byref(count))
    if result or count.value == 0:
        stop(f"the NVIDIA driver finds no GPU here (CUDA error {result}), so nothing is measured; --dry-run shows what would be done")
    if index >= count.value:
        stop(f"--device: CUDA device {index} does not exist; there {'is 1: 0' if count.value == 1 else f'are {count.value}: 0 to {count.value - 1}'}")
    device = ctypes.c_int(0)
    library.cuDeviceGet(ctypes.byref(device), index)
    library.cuDeviceGetName(name, 255, device)
    library.cuDriverGetVersion(ctypes.byref(version))
    return {"name": name.value.decode(), "cuda": f"{version.value // 1000}.{version.value % 1000 // 10}"}


@dataclasses.dataclass
class Step:
    name: str
    command: list
    limit: float          # seconds
    writes: str = None    # a JSON file
    kind: str = None      # where in the record that goes: "peaks", "bench", "candidates", "peers"
    suite: str = None
    only_if: typing.Callable = None  # () -> why it is not done, or ""
    machine: str = None   # a file that an earlier step may have left: peaks that need not be measured again

    def words(self):
        return self.command + (["--machine", self.machine] if self.machine and os.path.exists(self.machine) else [])


def has_peer(path):
    """Whether a report of `sepal bench` holds a time of a peer."""
    report = read_json(path)
    return bool(report) and any(r.get("provider") not in (None, "sepal") and r.get("check") == "passed" for r in report.get("results", []))


def plan(o, folder):
    build = o.build or os.path.join(SOURCES, "build", "release")
    sepal = os.path.join(build, "tools", "sepal")

    def out(name):
        return os.path.join(folder, name)

    def not_there(path):
        return lambda: "" if os.path.exists(path) or shutil.which(path) else f"there is no {path}"

    steps = []
    if not o.build:
        steps.append(Step("build", [os.path.join(SOURCES, "tools", "build.sh"), "release", "sepal", "sepal_gpu_runtime_tests", "sepal_gpu_peaks_tests"], o.seconds))
    for program in ("sepal_gpu_runtime_tests", "sepal_gpu_peaks_tests"):
        path = os.path.join(build, "tests", program)
        steps.append(Step(program, [path, "[real_gpu]"], 60, only_if=not_there(path)))
    need_sepal = not_there(sepal)
    steps.append(Step("check", [sepal, "check", "--device", o.device], 120, only_if=need_sepal))
    steps.append(Step("peak", [sepal, "peak", "--device", o.device, "--json", out("peak.json")], 60, out("peak.json"), "peaks", only_if=need_sepal))
    for suite in SUITES:
        file = os.path.join(SOURCES, "bench", "suites", suite + ".json")
        report, peers = out(f"bench_{suite}.json"), out(f"peers_{suite}.json")
        bench = [sepal, "bench", "--device", o.device, "--suite", suite, "--seconds", "0.3", "--json", report]
        if o.variants:
            bench += ["--variants", o.variants]
        if o.peers_python:
            bench += ["--peers", o.peers, "--peers-python", o.peers_python]
            steps.append(Step(f"bench {suite}", bench, 240, report, "bench", suite, need_sepal, out("peak.json")))
            alone = [o.peers_python, os.path.join(SOURCES, "bench", "peers", "gpu_bench.py"), "--suite", file, "--device", o.device, "--limit", "90", "--json", peers]
            done = (lambda path: lambda: "sepal bench has measured the peers" if has_peer(path) else "")(report)
            steps.append(Step(f"peers {suite}", alone, 120, peers, "peers", suite, done))
        else:
            steps.append(Step(f"bench {suite}", bench, 240, report, "bench", suite, need_sepal, out("peak.json")))
    for suite in SUITES if o.candidates != "none" else ():
        report = out(f"candidates_{suite}.json")
        # The hand-written variants beside, but not those of any shape, nor other schedulers.
        command = [sepal, "bench", "--device", o.device, "--suite", suite, "--variants", "*_hand*c128*", "--candidates", o.candidates, "--seconds", "0.2", "--json", report]
        steps.append(Step(f"candidates {suite}", command, 200, report, "candidates", suite, need_sepal, out("peak.json")))
    sanitizer = find_sanitizer()
    problems = out("sanitized.json")
    for tool in ("memcheck", "racecheck"):
        command = [sanitizer or "compute-sanitizer", "--tool", tool, "--error-exitcode", "3", sepal, "check", "--device", o.device, "--problems", problems]
        missing = "" if sanitizer else "there is no compute-sanitizer on PATH or in /usr/local/cuda/bin"
        steps.append(Step(tool, command, 90, only_if=(lambda why: lambda: why or need_sepal())(missing)))
    return steps


def find_sanitizer():
    return shutil.which("compute-sanitizer") or shutil.which("compute-sanitizer", path="/usr/local/cuda/bin")


def read_json(path):
    try:
        with open(path, encoding="utf-8") as file:
            return json.load(file)
    except (OSError, ValueError):
        return None


def run(step, limit, log):
    """What became of it, as the record has it."""
    told = {"name": step.name, "command": shlex.join(step.words()), "outcome": "", "exit_code": None, "seconds": 0, "limit": round(limit, 1), "last_lines": []}
    start = time.monotonic()
    try:
        with open(log, "wb") as file:
            process = subprocess.Popen(step.words(), stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT, cwd=SOURCES, start_new_session=True,
                                       env={**os.environ, **ENVIRONMENT})
        try:
            told["exit_code"] = process.wait(limit)
            told["outcome"] = "passed" if told["exit_code"] == 0 else f"failed with exit code {told['exit_code']}"
        except subprocess.TimeoutExpired:
            told["outcome"] = f"failed: not done after {limit:.0f} s"
        finally:  # and what it started
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            process.wait()
    except OSError as e:
        told["outcome"] = f"failed: {step.command[0]}: {e.strerror}"
    told["seconds"] = round(time.monotonic() - start, 1)
    if os.path.exists(log):
        with open(log, encoding="utf-8", errors="replace") as file:
            told["last_lines"] = [line.rstrip()[:300] for line in file.readlines()[-LAST_LINES:]]
    return told


def commit():
    answer = subprocess.run(["git", "-C", SOURCES, "rev-parse", "HEAD"], capture_output=True, text=True, check=False) if shutil.which("git") else None
    return answer.stdout.strip() if answer and answer.returncode == 0 else None


def slug(text):
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def summary(record):
    lines = [f'{record["device"]}, {record["date"]}, driver {record["driver"] or "unknown"}, commit {(record["commit"] or "unknown")[:12]}', ""]
    lines += [f'{s["name"]:<28}{s["outcome"]}' + (f' ({s["seconds"]:g} s)' if s["seconds"] else "") for s in record["steps"]]
    if record["peaks"]:
        lines += ["", "Peaks: " + ", ".join(f"{name} {value:g}" for name, value in record["peaks"].get("peaks", {}).items() if value)]
    for suite, report in record["bench"].items():
        lines += ["", f"{suite}: problem, kernel or library, state of the caches, ms, GFLOP/s, % of peak, % of the roofline"]
        for r in report.get("results", []):
            if r.get("median_ms") is None:
                lines.append(f'  {r.get("problem"):<16}{r.get("variant"):<52}{r.get("check")}')
                continue
            numbers = [r.get(key) for key in ("median_ms", "gflops", "pct_fma_peak", "pct_roofline")]
            lines.append(f'  {r["problem"]:<16}{r["variant"]:<52}{r.get("cache", ""):<6}' + "".join(f"{n:10.4g}" if n is not None else f'{"-":>10}' for n in numbers))
    for suite, report in record["candidates"].items():
        lines += ["", f"{suite}, candidates, the quickest first: problem, ms warm, % of peak, kernel"]
        timed = [r for r in report.get("results", []) if r.get("median_ms") is not None and r.get("cache") == "warm"]
        for r in sorted(timed, key=lambda r: (r["problem"], r["median_ms"])):
            lines.append(f'  {r["problem"]:<16}{r["median_ms"]:10.4g}{r.get("pct_fma_peak") or 0:8.3g}  {r["variant"]}')
        lines += [f'  {r["problem"]:<16}{r.get("check")}: {r["variant"]}' for r in report.get("results", []) if r.get("median_ms") is None and r.get("cache") != "cold"]
    for suite, report in record["peers"].items():
        lines += ["", f'{suite}, libraries alone: {report.get("version")}']
        for r in report.get("results", []):
            times = "".join(f', {state} {r[state]["median_us"]:.2f} us' for state in ("warm", "cold") if state in r)
            lines.append(f'  {r["problem"]:<16}{r["dtype"]} {r["peer"]:<14}{r["check"]}{times}' + (f': {r["configuration"]}' if "configuration" in r else ""))
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(prog="gpu_session.sh", description="Builds, checks and measures Sepal on an NVIDIA GPU, and writes a record.")
    parser.add_argument("--build", help="take this build folder as it is, such as build/release (default: build build/release)")
    parser.add_argument("--device", default="cuda:0", help="cuda:INDEX (default: cuda:0)")
    parser.add_argument("--seconds", type=float, default=600, help="for all together (default: 600)")
    parser.add_argument("--only", help="only these steps: names with commas between them; what they begin with is enough")
    parser.add_argument("--peers-python", help="a Python with PyTorch for CUDA (default: python3, where it has PyTorch; none: no peers)")
    parser.add_argument("--peers", default="all", help="these of the libraries, as of sepal bench (default: all)")
    parser.add_argument("--variants", help="only kernels whose names match this pattern (default: all that sepal bench measures)")
    parser.add_argument("--candidates", default=CANDIDATES, help="a file of schedules to time beside those of the table, or none (default: schedules/gpu/candidates.json)")
    parser.add_argument("--records", default=os.path.join(SOURCES, "bench", "records", "gpu"), help="folder of the record (default: bench/records/gpu)")
    parser.add_argument("--folder", help="folder of the steps' output (default: build/gpu_session)")
    parser.add_argument("--dry-run", action="store_true", help="print every command and do nothing")
    o = parser.parse_args()
    match = re.fullmatch(r"cuda(?::(\d+))?", o.device)
    if not match:
        stop(f'--device is "{o.device}"; allowed: cuda and cuda:INDEX')
    if not 10 <= o.seconds <= 86400:
        stop(f"--seconds is {o.seconds:g}; allowed: 10 to 86400")
    if o.build:
        o.build = os.path.abspath(o.build)
        if not os.path.isdir(o.build) and not o.dry_run:
            stop(f"--build: there is no folder {o.build}")
    if o.candidates != "none":
        o.candidates = os.path.abspath(o.candidates)
        if not os.path.isfile(o.candidates):
            stop(f"--candidates: there is no file {o.candidates}")
    if o.peers_python is None:
        found = shutil.which("python3")
        o.peers_python = found if found and (o.dry_run or has_torch(found)) else ""
    folder = os.path.abspath(o.folder or os.path.join(SOURCES, "build", "gpu_session"))
    steps = plan(o, folder)
    if o.only:
        wanted = o.only.split(",")
        for name in wanted:
            if not any(step.name.startswith(name) for step in steps):
                stop(f'--only: there is no step "{name}"; there are {", ".join(step.name for step in steps)}')
        steps = [step for step in steps if any(step.name.startswith(name) for name in wanted)]
    if o.dry_run:
        for step in steps:
            print(f"# {step.name}, at most {min(step.limit, o.seconds):g} s")
            print(shlex.join(step.command))
        return 0

    start = time.monotonic()
    gpu = find_gpu(int(match[1] or 0))
    os.makedirs(folder, exist_ok=True)
    os.makedirs(o.records, exist_ok=True)
    with open(os.path.join(folder, "sanitized.json"), "w", encoding="utf-8") as file:
        json.dump(SANITIZED, file)
    now = datetime.datetime.now(datetime.timezone.utc)
    record = {"format": FORMAT, "device": gpu["name"], "date": now.strftime("%Y-%m-%dT%H:%M:%SZ"), "commit": commit(), "driver": None, "gpu": gpu, "steps": [],
              "peaks": None, "bench": {}, "candidates": {}, "peers": {}}
    path = os.path.join(o.records, f'{slug(gpu["name"])}-{now.strftime("%Y-%m-%d-%H%M%S")}.json')
    for step in steps:
        why = step.only_if() if step.only_if else ""
        limit = min(step.limit, o.seconds - RESERVE_SECONDS - (time.monotonic() - start))
        if not why and limit < 1:
            why = f"the {o.seconds:g} s were over"
        if step.writes and os.path.exists(step.writes):
            os.remove(step.writes)
        print(f"== {step.name}" + (f": skipped: {why}" if why else f": {shlex.join(step.words())}"), flush=True)
        if why:
            record["steps"].append({"name": step.name, "command": shlex.join(step.command), "outcome": f"skipped: {why}", "exit_code": None, "seconds": 0,
                                    "limit": 0, "last_lines": []})
            write(record, path)
            continue
        told = run(step, limit, os.path.join(folder, slug(step.name) + ".txt"))
        record["steps"].append(told)
        print(f'   {told["outcome"]} ({told["seconds"]:g} s)', flush=True)
        for line in told["last_lines"] if told["outcome"] != "passed" else []:
            print(f"   | {line}")
        brought = read_json(step.writes) if step.writes else None
        if brought is not None:
            if step.kind == "peaks":
                record["peaks"] = brought
                record["driver"] = brought.get("driver") or None
            else:
                record[step.kind][step.suite] = brought
        write(record, path)
    print(f"\n{summary(record)}\n\nwritten: {path}")
    return 1 if any(s["outcome"].startswith("failed") for s in record["steps"]) else 0


def write(record, path):
    """After each step, so that what was measured is there however the session ends."""
    write_file(path, json.dumps(record, indent=1) + "\n")


def has_torch(python):
    try:
        return subprocess.run([python, "-c", "import importlib.util as u, sys; sys.exit(not u.find_spec('torch'))"], check=False, timeout=30).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


if __name__ == "__main__":
    sys.exit(main())
