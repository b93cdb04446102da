"""tools/gpu_session.sh: what it would do, what it says without a GPU, and its record, against programs that only act as Sepal's do."""

import contextlib
import io
import json
import os
import subprocess
import sys
import tempfile
import unittest
from unittest import mock

TESTS = os.path.dirname(os.path.abspath(__file__))
TOOLS = os.path.join(os.path.dirname(TESTS), "tools")
sys.dont_write_bytecode = True
sys.path.insert(0, TOOLS)

import gpu_session

# Writes what it was told to the file behind --json.
ACTOR = """#!/usr/bin/env python3
import json, os, sys
name, arguments = sys.argv[1], sys.argv[2:]
print("acting", name)
print(os.environ["SEPAL_PEERS_SCRIPT"])
files = {"peak": {"driver": "580.1", "peaks": {"f32_gflops": 65000, "sm_clock_mhz": None}},
         "bench": {"results": [{"problem": "conv2d.b1", "variant": "own", "cache": "warm", "median_ms": 0.5, "gflops": 100, "provider": "sepal", "check": "passed"},
                               {"problem": "depsep.b1", "variant": "other", "median_ms": None, "check": "skipped: not built"}]}}
if name in files:
    with open(arguments[arguments.index("--json") + 1], "w") as file:
        json.dump(files[name], file)
"""
PEERS = """#!/usr/bin/env python3
import json, sys
if "gpu_bench.py" in sys.argv[1]:
    with open(sys.argv[sys.argv.index("--json") + 1], "w") as file:
        json.dump({"version": "2.99", "results": [{"problem": "conv2d.b1", "dtype": "f32", "peer": "PyTorch", "check": "passed", "configuration": "eager",
                                                   "warm": {"median_us": 7}}]}, file)
"""


class Session(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)

    def path(self, name):
        return os.path.join(self.folder.name, name)

    def program(self, name, text):
        path = self.path(name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(path, 0o755)
        return path

    def run_session(self, *arguments, gpu=True):
        """Exit code, what was printed, and the record."""
        words = ["gpu_session.sh", "--build", self.path("build"), "--folder", self.path("out"), "--records", self.path("records"), *arguments]
        printed, code = io.StringIO(), None
        found = mock.patch.object(gpu_session, "find_gpu", lambda index: {"name": "NVIDIA H100 80GB HBM3", "cuda": "13.0"})
        with mock.patch.object(sys, "argv", words), contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed), \
                found if gpu else contextlib.nullcontext():
            try:
                code = gpu_session.main()
            except SystemExit as e:
                code = e.code
        records = sorted(os.listdir(self.path("records"))) if os.path.isdir(self.path("records")) else []
        record = None
        if records:
            self.assertRegex(records[-1], r"^nvidia-h100-80gb-hbm3-\d{4}-\d\d-\d\d-\d{6}\.json$")
            with open(os.path.join(self.path("records"), records[-1]), encoding="utf-8") as file:
                record = json.load(file)
        return code, printed.getvalue(), record

    def test_a_whole_session(self):
        self.program("build/tools/sepal", ACTOR)
        python = self.program("python", PEERS)
        sanitizer = self.program("bin/compute-sanitizer", "#!/bin/sh\nshift 4\necho checked \"$@\"\n")
        with mock.patch.object(gpu_session, "find_sanitizer", lambda: sanitizer):
            code, printed, record = self.run_session("--peers-python", python)
        self.assertEqual(code, 0, printed)
        outcomes = {s["name"]: s["outcome"] for s in record["steps"]}
        self.assertEqual(list(outcomes), ["sepal_gpu_runtime_tests", "sepal_gpu_peaks_tests", "check", "peak", "bench microbenchmark_f16",
                                          "peers microbenchmark_f16", "bench microbenchmark", "peers microbenchmark", "candidates microbenchmark_f16",
                                          "candidates microbenchmark", "memcheck", "racecheck"])
        self.assertIn("skipped: there is no", outcomes.pop("sepal_gpu_runtime_tests"))
        self.assertIn("skipped: there is no", outcomes.pop("sepal_gpu_peaks_tests"))
        self.assertEqual(set(outcomes.values()), {"passed"})
        self.assertEqual(record["driver"], "580.1")
        self.assertTrue(os.path.exists(record["steps"][2]["last_lines"][-1]), record["steps"][2])  # the peers' script
        self.assertEqual(record["peaks"]["peaks"]["f32_gflops"], 65000)
        self.assertEqual(set(record["bench"]), set(gpu_session.SUITES))
        self.assertEqual(record["peers"]["microbenchmark"]["version"], "2.99")
        self.assertEqual(set(record["candidates"]), set(gpu_session.SUITES))
        for step in record["steps"]:  # peaks are measured once
            self.assertEqual("--machine" in step["command"], step["name"].startswith(("bench", "candidates")), step)
        self.assertIn(f"--candidates {gpu_session.CANDIDATES}", record["steps"][8]["command"])
        self.assertIn("sanitized.json", record["steps"][-1]["last_lines"][-1])
        for line in ("Peaks: f32_gflops 65000", "conv2d.b1       own", "depsep.b1       other", "skipped: not built", "warm 7.00 us: eager"):
            self.assertIn(line, printed)
        with open(self.path("out/sanitized.json"), encoding="utf-8") as file:
            self.assertEqual(len(json.load(file)["problems"]), 8)

    def test_libraries_alone_are_not_measured_where_the_bench_has(self):
        with_peer = ACTOR.replace('"provider": "sepal", "check": "passed"}', '"provider": "sepal", "check": "passed"}, '
                                  '{"problem": "conv2d.b1", "variant": "PyTorch", "provider": "PyTorch", "median_ms": 1, "check": "passed"}')
        self.program("build/tools/sepal", with_peer)
        _, _, record = self.run_session("--peers-python", self.program("python", PEERS), "--only", "bench,peers")
        self.assertEqual([s["outcome"] for s in record["steps"]], ["passed", "skipped: sepal bench has measured the peers"] * 2)
        self.assertEqual(record["peers"], {})

    def test_what_fails_does_not_stop_the_rest(self):
        self.program("build/tools/sepal", ACTOR.replace('print("acting", name)', 'print("acting", name)\nif name == "check": sys.exit("no luck")\n'
                                                        'if name == "bench": import time; time.sleep(60)'))
        with mock.patch.object(gpu_session, "find_sanitizer", lambda: None), mock.patch.object(gpu_session, "RESERVE_SECONDS", 7):
            code, printed, record = self.run_session("--seconds", "10", "--peers-python", "")
        outcomes = {s["name"]: s["outcome"] for s in record["steps"]}
        self.assertEqual(code, 1)
        self.assertEqual(outcomes["check"], "failed with exit code 1")
        self.assertIn("| no luck", printed)
        self.assertEqual(outcomes["peak"], "passed")
        self.assertRegex(outcomes["bench microbenchmark_f16"], r"^failed: not done after [123] s$")
        self.assertEqual(outcomes["bench microbenchmark"], "skipped: the 10 s were over")
        self.assertEqual(outcomes["memcheck"], "skipped: there is no compute-sanitizer on PATH or in /usr/local/cuda/bin")
        self.assertEqual(record["bench"], {})
        self.assertNotIn("peers microbenchmark", outcomes)

    def test_a_dry_run_prints_every_command(self):
        answer = subprocess.run([os.path.join(TOOLS, "gpu_session.sh"), "--dry-run", "--seconds", "100", "--peers-python", "/opt/python3"], capture_output=True, text=True,
                                check=False)
        self.assertEqual(answer.returncode, 0, answer.stderr)
        lines = answer.stdout.splitlines()
        self.assertEqual(len(lines), 2 * 13)
        self.assertEqual(lines[0], "# build, at most 100 s")
        for text in ("sepal check --device cuda:0", "sepal peak --device cuda:0 --json", "sepal bench --device cuda:0 --suite microbenchmark_f16 --seconds 0.3 --json",
                     "--peers all --peers-python /opt/python3", "compute-sanitizer --tool racecheck", "--candidates " + gpu_session.CANDIDATES):
            self.assertIn(text, answer.stdout)
        answer = subprocess.run([os.path.join(TOOLS, "gpu_session.sh"), "--dry-run", "--peers-python", "/opt/python3", "--peers", "PyTorch", "--variants", "*_hand_*"],
                                capture_output=True, text=True, check=False)
        self.assertIn("--variants '*_hand_*' --peers PyTorch --peers-python /opt/python3", answer.stdout)
        answer = subprocess.run([os.path.join(TOOLS, "gpu_session.sh"), "--dry-run", "--candidates", "none"], capture_output=True, text=True, check=False)
        self.assertNotIn("candidates", answer.stdout)

    def test_a_step_that_is_ended_leaves_what_it_had_written(self):
        self.program("build/tools/sepal", ACTOR + 'if name == "bench":\n    import time\n    time.sleep(60)\n')
        with mock.patch.object(gpu_session, "RESERVE_SECONDS", 7):
            code, _, record = self.run_session("--seconds", "10", "--peers-python", "", "--only", "bench microbenchmark_f16")
        self.assertEqual(code, 1)
        self.assertRegex(record["steps"][0]["outcome"], r"^failed: not done after [123] s$")
        self.assertEqual(record["bench"]["microbenchmark_f16"]["results"][0]["problem"], "conv2d.b1")

    def test_bad_input_is_one_sentence(self):
        for arguments, sentence in ((("--device", "opencl"), '--device is "opencl"; allowed: cuda and cuda:INDEX'),
                                    (("--seconds", "5"), "--seconds is 5; allowed: 10 to 86400"), (("--dry-run", "--candidates", "/none.json"), "--candidates: there is no file /none.json"), ((), "--build: there is no folder"),
                                    (("--dry-run", "--only", "x"), '--only: there is no step "x"; there are sepal_gpu_runtime_tests')):
            code, printed, record = self.run_session(*arguments)
            self.assertEqual((code, record), (2, None))
            self.assertIn(sentence, printed)
            self.assertEqual(len(printed.splitlines()), 1)

    def test_without_a_gpu(self):
        os.makedirs(self.path("build"))

        def none(name):
            raise OSError("libcuda.so.1: cannot open shared object file")
        with mock.patch.object(gpu_session.ctypes, "CDLL", none):
            code, printed, record = self.run_session(gpu=False)
        self.assertEqual((code, record), (2, None))
        self.assertEqual(printed, "gpu_session: there is no NVIDIA driver here (libcuda.so.1: cannot open shared object file), so nothing is measured; --dry-run shows "
                                  "what would be done\n")

        class Library:
            def __init__(self, count, result=0):
                self.count, self.cuInit = count, lambda flags: result
            def cuDeviceGetCount(self, count):
                count._obj.value = self.count
                return 0
        for library, arguments, sentence in ((Library(0, 100), (), "the NVIDIA driver finds no GPU here (CUDA error 100)"),
                                             (Library(0), (), "the NVIDIA driver finds no GPU here (CUDA error 0)"),
                                             (Library(1), ("--device", "cuda:1"), "--device: CUDA device 1 does not exist; there is 1: 0"),
                                             (Library(2), ("--device", "cuda:2"), "--device: CUDA device 2 does not exist; there are 2: 0 to 1")):
            with mock.patch.object(gpu_session.ctypes, "CDLL", lambda name, one=library: one):
                code, printed, record = self.run_session(*arguments, gpu=False)
            self.assertEqual((code, record), (2, None))
            self.assertIn(sentence, printed)


if __name__ == "__main__":
    unittest.main()
