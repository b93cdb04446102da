"""PyTorch on a GPU as a peer: the line protocol, the choice among configurations, times and checks, and what is said where something is missing,
against the imitation of PyTorch in fake_torch."""

import contextlib
import io
import json
import os
import subprocess
import sys
import tempfile
import unittest

TESTS = os.path.dirname(os.path.abspath(__file__))
PEERS = os.path.join(os.path.dirname(TESTS), "bench", "peers")
SUITE = os.path.join(os.path.dirname(PEERS), "suites", "microbenchmark_f16.json")
sys.dont_write_bytecode = True
sys.path[:0] = [os.path.join(TESTS, "fake_torch"), PEERS]

import numpy as np
import torch

import gpu_bench
import layers
import peer_pytorch_cuda as peer
from runners import CannotDo

POINTWISE = {"name": "pointwise", "op": "pointwise", "n": 2, "h": 5, "w": 3, "c": 8, "k": 6, "dtype": "f16", "bias": True, "activation": "relu"}
DEPSEP = {"name": "depsep", "op": "depsep", "n": 2, "h": 7, "w": 6, "c": 4, "k": 5, "r": 3, "s": 3, "stride": 2, "mid_activation": "relu6", "bias": True,
          "dtype": "f32"}
CONV = {"name": "conv", "op": "conv2d", "h": 6, "w": 5, "c": 4, "k": 6, "r": 3, "s": 2, "groups": 2, "dilation": [2, 1], "activation": "hardswish"}
ODD = {"name": "odd", "op": "conv2d", "h": 5, "w": 5, "c": 2, "k": 3, "r": 3, "s": 3, "pad": [2, 0, 1, 3], "dtype": "f32"}


@contextlib.contextmanager
def fake(**values):
    before = dict(torch.fake)
    torch.fake.update(values)
    try:
        yield
    finally:
        torch.fake.clear()
        torch.fake.update(before)


def made(p):
    return gpu_bench.exact_problem(gpu_bench.with_numbers({"dtype": "f32", **p}))


class Configurations(unittest.TestCase):
    def best(self, p, tf32=False):
        label, timed, told = peer.trials(made(p), "cuda:0", tf32)
        return label, timed, {t["configuration"]: t.get("seconds", t.get("why_not")) for t in told}

    def test_the_fastest_is_taken_and_all_are_told(self):
        label, timed, told = self.best(POINTWISE)
        self.assertEqual(label, "channels last, eager, pointwise by linear")
        self.assertTrue(torch.backends.cudnn.benchmark)
        self.assertEqual(list(told), ["channels last, eager", label, "channels last, eager, cuDNN's convolution with relu", "NCHW, eager",
                                      "channels last, compiled", "channels last, compiled (max-autotune)"])
        for seconds, right in zip(told.values(), (4e-4, 3e-4, 8e-4, 6e-4, 5e-4, 4.5e-4)):
            self.assertAlmostEqual(seconds, right, 9)
        self.assertEqual(timed.why_no_graph, "")
        for name, cost in (("nchw", "NCHW, eager"), ("compiled", "channels last, compiled"), ("autotuned", "channels last, compiled (max-autotune)"),
                           ("fused", "channels last, eager, cuDNN's convolution with relu")):
            with fake(**{name: 1e-4}):
                self.assertEqual(self.best(POINTWISE)[0], cost)

    def test_a_pair_of_layers_takes_both_times(self):
        _, timed, told = self.best(DEPSEP)
        self.assertAlmostEqual(told["channels last, eager"], 8e-4, 9)
        self.assertAlmostEqual(told["channels last, eager, pointwise by linear"], 7e-4, 9)
        self.assertAlmostEqual(timed.seconds(3, False), 7e-4, 9)

    def test_what_fails_is_told_and_left_out(self):
        with fake(compile=False):
            label, _, told = self.best(POINTWISE)
        self.assertEqual(label, "channels last, eager, pointwise by linear")
        self.assertEqual(told["channels last, compiled (max-autotune)"], "RuntimeError: no compiler")
        self.assertEqual(told["channels last, compiled"], "RuntimeError: no compiler")
        before, peer.AUTOTUNE_SECONDS = peer.AUTOTUNE_SECONDS, 0
        self.assertEqual(self.best(POINTWISE)[2]["channels last, compiled (max-autotune)"], "SEPAL_PEERS_AUTOTUNE_SECONDS, 0 s, were over")
        peer.AUTOTUNE_SECONDS = before
        with fake(graphs=False):
            label, timed, told = self.best(POINTWISE)
            self.assertAlmostEqual(timed.seconds(5, False), 3e-4, 9)
        self.assertEqual(timed.why_no_graph, "operation not permitted when stream is capturing")

    def test_tf32_is_set_as_asked(self):
        self.best(DEPSEP, True)
        self.assertEqual((torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32), (True, True))
        self.best(DEPSEP)
        self.assertEqual((torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32), (False, False))
        with self.assertRaisesRegex(CannotDo, "TF32 is a way to compute f32 problems, this one is f16"):
            self.best(POINTWISE, True)
        with self.assertRaisesRegex(CannotDo, "not measured on s8"):
            self.best({**POINTWISE, "dtype": "s8"})

    def test_cold_takes_turns_among_sets_beyond_l2(self):
        problem = made(POINTWISE)
        source = problem.input.to(device="cuda:0", dtype=torch.float16).permute(0, 3, 1, 2)
        timed = peer.Timed(lambda x: torch.nn.functional.relu(peer.Step(problem.layers[0], "cuda:0", torch.float16, torch.channels_last).plain(x)), source)
        each = 2 * (2 * 5 * 3 * 8 + 2 * 5 * 3 * 6)
        sets = -(-peer.COLD_L2S * 4096 // each)
        torch.fake_device.seen.clear()
        self.assertAlmostEqual(timed.seconds(1, True), 4e-4, 9)
        self.assertEqual(len(set(torch.fake_device.seen)), sets)
        self.assertEqual(len(timed.sources), sets)
        torch.fake_device.seen.clear()
        timed.seconds(1, False)
        self.assertEqual(len(set(torch.fake_device.seen)), 1)
        with fake(free=6 * each):
            self.assertEqual(len(peer.Timed(timed.function, source).sets(True)), 4)

    def test_devices_that_are_not_there(self):
        for values, sentence in (({"available": False}, "PyTorch finds no NVIDIA GPU here"), ({"devices": 0}, "CUDA device 0 does not exist; PyTorch sees 0")):
            with fake(**values), self.assertRaisesRegex(CannotDo, sentence):
                peer.open_device("cuda:0")
        before, torch.version.cuda = torch.version.cuda, None
        with self.assertRaisesRegex(CannotDo, r"this PyTorch \(2.99\) is built without CUDA"):
            peer.open_device("cuda:0")
        torch.version.cuda = before


class Alone(unittest.TestCase):
    def bench(self, *arguments, environment=None):
        command = [sys.executable, os.path.join(PEERS, "gpu_bench.py"), *arguments]
        paths = {"PYTHONPATH": os.path.join(TESTS, "fake_torch")} if environment is None else environment
        return subprocess.run(command, capture_output=True, text=True, env={**os.environ, **paths}, check=False)

    def test_results_are_checked(self):
        for p in (POINTWISE, DEPSEP, CONV, ODD, {**DEPSEP, "op": "depthwise", "multiplier": 2, "dtype": "f16"}):
            with self.subTest(p["name"]):
                row = gpu_bench.measure({"dtype": "f32", **p}, "cuda:0", False, 0)
                self.assertEqual(row["check"], "passed", row)
                self.assertEqual(row["relative_error"], 0)
                self.assertGreater(row["cold"]["median_us"], 0)
        with fake(wrong="channels_last", compile=False):
            row = gpu_bench.measure(ODD, "cuda:0", False, 0)
        self.assertEqual(row["check"], "failed")
        self.assertGreater(row["relative_error"], 0)
        self.assertNotIn("warm", row)

    def test_rates_are_those_of_the_times(self):
        row = gpu_bench.measure(POINTWISE, "cuda:0", False, 0)
        flops = 2 * 2 * 5 * 3 * 8 * 6
        self.assertEqual(gpu_bench.flops(made(POINTWISE)), flops)
        self.assertEqual(gpu_bench.flops(made(DEPSEP)), 2 * 2 * 4 * 3 * (4 * 9 + 4 * 5))
        self.assertAlmostEqual(row["warm"]["median_us"], 300, 3)
        self.assertAlmostEqual(row["warm"]["tflops"], flops / 300e-6 * 1e-12, 3)
        self.assertAlmostEqual(row["warm"]["per_second"], 2 / 300e-6, 0)

    def test_same_padding_is_that_of_sepal(self):
        for h, stride, pad in ((7, 2, [1, 1]), (6, 2, [0, 1]), (8, 1, [1, 1])):
            top, left, bottom, right = gpu_bench.with_numbers({**DEPSEP, "h": h, "w": h, "stride": stride})["pad"]
            self.assertEqual([[top, bottom], [left, right]], [pad, pad])
        self.assertEqual(gpu_bench.with_numbers({**CONV, "pad": "valid"})["pad"], [0, 0, 0, 0])

    def test_a_suite_becomes_a_file(self):
        with tempfile.TemporaryDirectory() as folder:
            suite, out = os.path.join(folder, "suite.json"), os.path.join(folder, "out.json")
            with open(suite, "w", encoding="utf-8") as file:
                json.dump({"problems": [POINTWISE, DEPSEP]}, file)
            answer = self.bench("--suite", suite, "--seconds", "0", "--json", out)
            self.assertEqual(answer.returncode, 0, answer.stderr)
            with open(out, encoding="utf-8") as file:
                rows = json.load(file)["results"]
            self.assertEqual([(r["problem"], r["dtype"], r["peer"], r["check"]) for r in rows],
                             [("pointwise", "f16", "PyTorch", "passed"), ("depsep", "f32", "PyTorch", "passed"), ("depsep", "f32", "PyTorch-TF32", "passed")])
            self.assertEqual(len(answer.stdout.splitlines()), 4)
            late = self.bench("--suite", suite, "--limit", "-1", "--json", out)
            self.assertEqual(late.returncode, 0)
            self.assertEqual(late.stdout.count("skipped: the limit of -1 s was over"), 3)

    def test_without_a_gpu_there_is_one_sentence(self):
        no_gpu = {"PYTHONPATH": os.path.join(TESTS, "fake_torch"), "FAKE_TORCH": '{"available": false}'}
        for arguments, environment, sentence in (
                (("--suite", SUITE), no_gpu, "PyTorch finds no NVIDIA GPU here, so nothing is measured"),
                (("--suite", SUITE, "--device", "cuda:1"), None, "CUDA device 1 does not exist; PyTorch sees 1"),
                (("--suite", SUITE, "--device", "cpu"), None, '--device: "cpu" is unknown; allowed: cuda or cuda:INDEX'),
                (("--suite", "nowhere.json"), None, "nowhere.json cannot be read: No such file"),
                (("--suite", SUITE, "--name", "x"), None, 'has no problem whose name matches "x"')):
            answer = self.bench(*arguments, environment=environment)
            self.assertEqual(answer.returncode, 2)
            self.assertIn(sentence, answer.stderr)
            self.assertEqual(len(answer.stderr.splitlines()), 1)


class Protocol(unittest.TestCase):
    def serve(self, *arguments, requests=(), environment=None):
        answer = subprocess.run([sys.executable, os.path.join(PEERS, "serve.py"), *arguments], input="".join(json.dumps(r) + "\n" for r in requests),
                                capture_output=True, text=True, check=False,
                                env={**os.environ, "PYTHONPATH": os.path.join(TESTS, "fake_torch"), **(environment or {})})
        return answer, [json.loads(line) for line in answer.stdout.splitlines()]

    def files(self, folder, p):
        """As Sepal writes a problem, and what its output must be."""
        p = gpu_bench.with_numbers(p)
        with open(os.path.join(folder, "problem.json"), "w", encoding="utf-8") as file:
            json.dump(p, file)
        random = np.random.default_rng(1)

        def tensor(name, *shape):
            values = random.integers(-1, 2, shape).astype(np.float32)
            values.tofile(os.path.join(folder, name + ".f32"))
            return torch.Tensor(values)
        problem = layers.from_tensors(p, tensor, peer.TorchArrays)
        return np.stack([gpu_bench.reference(problem, i, "cuda:0").array for i in range(p["n"])])

    def test_a_problem_is_prepared_timed_and_released(self):
        for name, p in (("PyTorch", POINTWISE), ("PyTorch", DEPSEP), ("PyTorch-TF32", DEPSEP)):
            with tempfile.TemporaryDirectory() as folder:
                right = self.files(folder, p)
                answer, lines = self.serve(name, "1", "cuda:0", requests=[
                    {"do": "prepare", "folder": folder}, {"do": "time", "runs": 3, "warm_up": True}, {"do": "time", "runs": 3, "warm_up": False, "cold": True},
                    {"do": "release"}, {"do": "quit"}], environment={"SEPAL_PEERS_AUTOTUNE_SECONDS": "0"})
                self.assertEqual(answer.returncode, 0, answer.stderr)
                self.assertEqual(lines[0], {"ok": True, "version": "2.99, CUDA 13.0, cuDNN 91900"})
                self.assertIn("pointwise by linear, in a CUDA graph", lines[1]["configuration"])
                self.assertIn("; not measured: channels last, compiled (max-autotune)", lines[1]["configuration"])
                self.assertEqual("TF32 on" in lines[1]["configuration"], name == "PyTorch-TF32")
                self.assertEqual("TF32 off" in lines[1]["configuration"], p["dtype"] == "f32" and name == "PyTorch")
                seconds = 3e-4 if p is POINTWISE else 7e-4
                self.assertAlmostEqual(lines[2]["seconds"], seconds, 9)
                self.assertAlmostEqual(lines[3]["seconds"], seconds, 9)
                self.assertEqual(lines[4], {"ok": True})
                got = np.fromfile(os.path.join(folder, name + ".f32"), np.float32)
                self.assertEqual(got.tolist(), right.reshape(-1).tolist())

    def test_what_cannot_be_is_told(self):
        with tempfile.TemporaryDirectory() as folder:
            self.files(folder, POINTWISE)
            _, lines = self.serve("PyTorch-TF32", "1", "cuda:0", requests=[{"do": "prepare", "folder": folder}])
            self.assertEqual(lines[1], {"cannot": "TF32 is a way to compute f32 problems, this one is f16"})
        _, lines = self.serve("PyTorch", "1", "cuda:3")
        self.assertEqual(lines, [{"cannot": "CUDA device 3 does not exist; PyTorch sees 1"}])
        _, lines = self.serve("PyTorch", "1", "cuda:0", environment={"FAKE_TORCH": '{"available": false}'})
        self.assertEqual(lines, [{"cannot": "PyTorch finds no NVIDIA GPU here"}])
        with tempfile.TemporaryDirectory() as folder:
            os.mkdir(os.path.join(folder, "torch"))
            with open(os.path.join(folder, "torch", "__init__.py"), "w", encoding="utf-8") as file:
                file.write("raise ImportError('no torch')\n")
            _, lines = self.serve("PyTorch-TF32", "1", "cuda:0", environment={"PYTHONPATH": folder})
        self.assertEqual(lines, [{"cannot": "not installed: no torch; tools/peers.sh PyTorch installs it"}])
        for arguments, sentence in ((("oneDNN", "1", "cuda:0"), 'peer "oneDNN" is unknown on cuda:0; allowed: PyTorch, PyTorch-TF32'),
                                    (("PyTorch-TF32", "1"), 'peer "PyTorch-TF32" is unknown on cpu'), (("PyTorch", "0"), 'threads are "0"'),
                                    (("PyTorch", "1", "gpu"), 'device "gpu" is unknown'), (("PyTorch",), "1 arguments were given")):
            answer, lines = self.serve(*arguments)
            self.assertEqual((answer.returncode, lines), (2, []))
            self.assertIn(sentence, answer.stderr)

    def test_neither_needs_numpy(self):
        # Whatever imports NumPy but the imitation of PyTorch fails here.
        code = ("import sys, torch.nn.functional\n"
                f"sys.path.insert(0, {PEERS!r})\n"
                "class No:\n"
                "    def find_spec(self, name, path=None, target=None):\n"
                "        if name.split('.')[0] == 'numpy': raise ImportError('numpy')\n"
                "for name in [n for n in sys.modules if n.split('.')[0] == 'numpy']: del sys.modules[name]\n"
                "sys.meta_path.insert(0, No())\n"
                "import gpu_bench, layers, runners, peer_pytorch_cuda, serve\n")
        answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False,
                                env={**os.environ, "PYTHONPATH": os.path.join(TESTS, "fake_torch")})
        self.assertEqual(answer.returncode, 0, answer.stderr)


if __name__ == "__main__":
    unittest.main()
