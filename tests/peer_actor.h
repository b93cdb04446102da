// What programs have in common that stand for a library behind the protocol of bench/peers/serve.py.
#pragma once

namespace sepal {

// Python: say(...) answers; load(request) is the folder of a request to prepare, its problem, and what reads one of its tensors by name.
inline constexpr const char *peer_actor_prelude = R"py(
import array, json
def say(**answer):
    print(json.dumps(answer), flush=True)
def load(request):
    folder = request["folder"]
    def tensor(what):
        values = array.array("f")
        values.frombytes(open(f"{folder}/{what}.f32", "rb").read())
        return values
    return folder, json.load(open(folder + "/problem.json")), tensor
)py";

}  // namespace sepal
