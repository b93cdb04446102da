"""ncnn, f32, its buffers from pools that are reused between runs. Images of a batch run one by one, for it has no batch dimension. The
tensors at both ends are either channels first or in ncnn's own packed layout, whichever is faster."""

import os
import tempfile

import ncnn
import numpy as np

from runners import Runner, fastest

pools = ncnn.PoolAllocator(), ncnn.PoolAllocator()
ACTIVATIONS = {"none": "", "relu": " 9=1", "relu6": " 9=3 -23310=2,0,6", "hardswish": f" 9=6 -23310=2,{1 / 6:.9g},0.5"}


def version():
    return ncnn.__version__


def write_model(problem, param, weights):
    with open(param, "w", encoding="ascii") as text, open(weights, "wb") as data:
        count = len(problem.layers) + 1
        text.write(f"7767517\n{count} {count}\nInput input 0 1 x0\n")
        for i, layer in enumerate(problem.layers):
            k, _, r, s = layer.filter.shape
            top, left, bottom, right = layer.pad
            text.write(f"{'ConvolutionDepthWise' if layer.groups > 1 else 'Convolution'} conv{i} 1 1 x{i} x{i + 1} 0={k} 1={s} 11={r} 2={layer.dilation[1]} "
                       f"12={layer.dilation[0]} 3={layer.stride[1]} 13={layer.stride[0]} 4={left} 14={top} 15={right} 16={bottom} "
                       f"5={int(layer.bias is not None)} 6={layer.filter.size}{f' 7={layer.groups}' if layer.groups > 1 else ''}{ACTIVATIONS[layer.activation]}\n")
            data.write(np.uint32(0).tobytes() + layer.filter.tobytes())  # the 0 says: f32 follow
            if layer.bias is not None:
                data.write(layer.bias.tobytes())


def load(problem, threads):
    net = ncnn.Net()
    option = net.opt
    option.num_threads = threads
    for name in ("use_fp16_packed", "use_fp16_storage", "use_fp16_arithmetic", "use_bf16_storage", "use_int8_inference", "use_vulkan_compute"):
        setattr(option, name, False)
    option.blob_allocator, option.workspace_allocator = pools
    with tempfile.TemporaryDirectory() as folder:
        param, weights = os.path.join(folder, "model.param"), os.path.join(folder, "model.bin")
        write_model(problem, param, weights)
        if net.load_param(param) or net.load_model(weights):
            raise RuntimeError("ncnn did not load the model")
    return net


def make(problem, threads):
    net, last = load(problem, threads), f"x{len(problem.layers)}"
    plain = [ncnn.Mat(image).clone() for image in problem.nchw()]

    def runner(images, kind, label):
        results = []

        def run():
            results.clear()
            for image in images:
                extractor = net.create_extractor()
                extractor.input("x0", image)
                status, result = extractor.extract(last, kind)
                if status:
                    raise RuntimeError(f"ncnn's extract returned {status}")
                results.append(result)

        def output():
            # With one channel ncnn may leave the channel dimension out.
            n, p, q, k = problem.layers[-1].output
            return np.stack([np.array(unpacked(m)).reshape(k, p, q).transpose(1, 2, 0) for m in results])
        return Runner(run, output, label, winograd=may_use_winograd(problem), keep=(net, images, plain))

    makers = [lambda: runner(plain, 0, "channels first ends")]
    c = problem.layers[0].input[3]
    pack = 16 if c % 16 == 0 else 8 if c % 8 == 0 else 4 if c % 4 == 0 else 1
    if pack > 1:
        makers.append(lambda: runner([repacked(m, pack) for m in plain], 1, f"ends packed by {pack} channels"))
    return fastest(makers)


def repacked(mat, pack):
    out = ncnn.Mat()
    ncnn.convert_packing(mat, out, pack)
    return out


def unpacked(mat):
    return repacked(mat, 1) if mat.elempack > 1 else mat


def may_use_winograd(problem):
    return any(layer.filter.shape[2:] == (3, 3) and layer.stride == (1, 1) and layer.dilation == (1, 1) and not layer.multiplier for layer in problem.layers)
