"""serve.py PEER THREADS: measures problems through one library, for `sepal bench --peers`.

Reads requests from stdin and answers each on stdout, one JSON object on a line each:
  on start                                  {"ok": true, "version": TEXT}
  {"do": "prepare", "folder": FOLDER}       {"ok": true, "configuration": TEXT, "winograd": BOOL}: loads the problem of FOLDER (layers.load),
                                            makes it ready with all constants packed, runs it once and writes FOLDER/PEER.f32, [n, p, q, k]
  {"do": "time", "runs": N, "warm_up": B}   {"ok": true, "seconds": X}: mean of N runs in a row, after untimed ones when B
  {"do": "release"}                         {"ok": true}: gives the problem's memory back
  {"do": "quit"}                            no answer; so at the end of stdin
An answer {"cannot": TEXT} says that the library cannot do it (it is not installed, it lacks the operator), {"failed": TEXT} that it tried.
"""

import gc
import importlib
import json
import os
import sys
import time

sys.dont_write_bytecode = True  # this folder is part of the sources

MODULES = {"oneDNN": "peer_onednn", "XNNPACK": "peer_xnnpack", "ONNXRuntime": "peer_onnxruntime", "OpenVINO": "peer_openvino", "PyTorch": "peer_pytorch",
           "TensorFlow": "peer_tensorflow", "ncnn": "peer_ncnn", "MNN": "peer_mnn"}
WARM_UP_SECONDS = 2e-3


def sentence(error):
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:300]}" if text else type(error).__name__


class Server:
    def __init__(self, peer, threads):
        self.peer, self.threads, self.runner = peer, threads, None
        self.module = importlib.import_module(MODULES[peer])

    def prepare(self, request):
        import layers
        self.release(request)
        runner = self.module.make(layers.load(request["folder"]), self.threads)
        if runner.before:
            runner.before()
        runner.run()
        runner.output().astype("float32", order="C").tofile(os.path.join(request["folder"], self.peer + ".f32"))
        self.runner = runner
        return {"configuration": runner.configuration, "winograd": runner.winograd}

    def time(self, request):
        from runners import mean_seconds
        if request["warm_up"]:
            start = time.perf_counter()
            mean_seconds(self.runner, 1)
            while time.perf_counter() - start < WARM_UP_SECONDS:
                mean_seconds(self.runner, 1)
        return {"seconds": mean_seconds(self.runner, request["runs"])}

    def release(self, request):
        self.runner = None
        gc.collect()
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


def main(peer, threads):
    # Nothing that a library prints may come between the answers.
    channel = os.fdopen(os.dup(1), "w", buffering=1, encoding="utf-8")
    os.dup2(2, 1)
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[name] = str(threads)
    os.environ.update(TF_CPP_MIN_LOG_LEVEL="3", CUDA_VISIBLE_DEVICES="", PIP_REQUIRE_VIRTUALENV="1", PIP_NO_INDEX="1")

    def say(answer):
        channel.write(json.dumps(answer) + "\n")

    try:
        server = Server(peer, threads)
        say({"ok": True, "version": server.module.version()})
    except ImportError as e:
        return say({"cannot": f"not installed: {' '.join(str(e).split())[:200]}; tools/peers.sh {peer} installs it"})
    except Exception as e:
        return say({"failed": sentence(e)})
    gc.disable()  # no pause in the middle of a sample; collected when a problem is released
    for line in sys.stdin:
        request = json.loads(line)
        if request["do"] == "quit":
            return
        say(server.answer(request))


if __name__ == "__main__":
    if len(sys.argv) != 3 or sys.argv[1] not in MODULES or not sys.argv[2].isdigit() or int(sys.argv[2]) < 1:
        print(f"serve.py: usage: serve.py PEER THREADS; PEER is one of {', '.join(MODULES)}", file=sys.stderr)
        sys.exit(2)
    main(sys.argv[1], int(sys.argv[2]))
