"""serve.py PEER THREADS [DEVICE]: measures problems through one library, for `sepal bench --peers`. DEVICE is cpu, which is the default, or
cuda:INDEX.

Reads requests from stdin and answers each on stdout, one JSON object on a line each:
  on start                                  {"ok": true, "version": TEXT}
  {"do": "prepare", "folder": FOLDER}       {"ok": true, "configuration": TEXT, "winograd": BOOL}: loads the problem of FOLDER (layers.load),
                                            makes it ready with all constants packed, runs it once and writes FOLDER/PEER.f32, [n, p, q, k] or, of a
                                            problem with layout nchw, [n, k, p, q]
  {"do": "time", "runs": N, "warm_up": B}   {"ok": true, "seconds": X}: mean of N runs in a row, after untimed ones when B; with "cold": true, on a
                                            GPU, each on another of several sets of tensors that L2 does not hold together
  {"do": "release"}                         {"ok": true}: gives the problem's memory back
  {"do": "quit"}                            no answer; so at the end of stdin
An answer {"cannot": TEXT} says that the library cannot do it (it is not installed, it lacks the operator), {"failed": TEXT} that it tried.
"""

import gc
import importlib
import json
import os
import re
import sys
import time

sys.dont_write_bytecode = True  # this folder is part of the sources

MODULES = {"oneDNN": "peer_onednn", "XNNPACK": "peer_xnnpack", "ONNXRuntime": "peer_onnxruntime", "OpenVINO": "peer_openvino", "PyTorch": "peer_pytorch",
           "TensorFlow": "peer_tensorflow", "ncnn": "peer_ncnn", "MNN": "peer_mnn"}
GPU_MODULES = {"PyTorch": "peer_pytorch_cuda", "PyTorch-TF32": "peer_pytorch_cuda"}
WARM_UP_SECONDS = 2e-3


def sentence(error):
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:300]}" if text else type(error).__name__


class Server:
    def __init__(self, peer, threads, device):
        self.peer, self.threads, self.device, self.runner = peer, threads, device, None
        self.module = importlib.import_module((MODULES if device == "cpu" else GPU_MODULES)[peer])
        if device != "cpu":
            self.module.open_device(device)

    def load(self, folder):
        import layers
        return layers.load(folder) if self.device == "cpu" else layers.load(folder, self.module.TorchArrays)

    def make(self, problem):
        if self.device == "cpu":
            return self.module.make(problem, self.threads)
        return self.module.make(problem, self.device, self.peer == "PyTorch-TF32")

    def prepare(self, request):
        self.release(request)
        problem = self.load(request["folder"])
        runner = self.make(problem)
        if runner.before:
            runner.before()
        runner.run()
        path = os.path.join(request["folder"], self.peer + ".f32")
        if runner.write:
            runner.write(path)
        else:
            problem.in_layout(runner.output()).astype("float32", order="C").tofile(path)
        self.runner = runner
        return {"configuration": runner.configuration, "winograd": runner.winograd}

    def time(self, request):
        from runners import mean_seconds
        if request["warm_up"]:
            start = time.perf_counter()
            mean_seconds(self.runner, 1)
            while time.perf_counter() - start < WARM_UP_SECONDS:
                mean_seconds(self.runner, 1)
        if request.get("cold"):
            return {"seconds": self.runner.timed(request["runs"], True)}
        return {"seconds": mean_seconds(self.runner, request["runs"])}

    def release(self, request):
        self.runner = None
        gc.collect()
        if self.device != "cpu":
            self.module.give_back()
        return {}

    def answer(self, request):
        actions = {"prepare": self.prepare, "time": self.time, "release": self.release}
        from runners import CannotDo
        try:
            return {"ok": True, **actions[request["do"]](request)}
        except CannotDo as e:
            return {"cannot": str(e)}
        except Exception as e:  # a library may raise anything
            return {"failed": sentence(e)}


def main(peer, threads, device):
    # Nothing that a library prints may come between the answers.
    channel = os.fdopen(os.dup(1), "w", buffering=1, encoding="utf-8")
    os.dup2(2, 1)
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[name] = str(threads)
    os.environ.update(TF_CPP_MIN_LOG_LEVEL="3", PIP_REQUIRE_VIRTUALENV="1", PIP_NO_INDEX="1")
    if device == "cpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
    from runners import CannotDo

    def say(answer):
        channel.write(json.dumps(answer) + "\n")

    try:
        server = Server(peer, threads, device)
        say({"ok": True, "version": server.module.version()})
    except CannotDo as e:
        return say({"cannot": str(e)})
    except ImportError as e:
        return say({"cannot": f"not installed: {' '.join(str(e).split())[:200]}; tools/peers.sh {peer.split('-')[0]} installs it"})
    except Exception as e:
        return say({"failed": sentence(e)})
    gc.disable()  # no pause in the middle of a sample; collected when a problem is released
    for line in sys.stdin:
        request = json.loads(line)
        if request["do"] == "quit":
            return
        say(server.answer(request))


def usage(arguments):
    """Peer, threads and device of the arguments. Raises ValueError, which says what is wrong."""
    if len(arguments) not in (2, 3):
        raise ValueError(f"{len(arguments)} arguments were given")
    peer, threads, device = (*arguments, "cpu")[:3]
    if device != "cpu" and not re.fullmatch(r"cuda:\d+", device):
        raise ValueError(f'device "{device}" is unknown')
    peers = MODULES if device == "cpu" else GPU_MODULES
    if peer not in peers:
        raise ValueError(f'peer "{peer}" is unknown on {device}; allowed: {", ".join(peers)}')
    if not threads.isdigit() or int(threads) < 1:
        raise ValueError(f'threads are "{threads}"')
    return peer, int(threads), device


if __name__ == "__main__":
    try:
        given = usage(sys.argv[1:])
    except ValueError as error:
        print(f"serve.py: {error}; usage: serve.py PEER THREADS [cpu or cuda:INDEX]; PEER is one of {', '.join(MODULES)}", file=sys.stderr)
        sys.exit(2)
    main(*given)
