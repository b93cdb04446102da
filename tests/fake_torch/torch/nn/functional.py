import numpy as np
import torch


def _same(x, array):
    return torch.Tensor(array, x.form)


def relu(x):
    return _same(x, np.maximum(x.array, 0))


def relu6(x):
    return _same(x, np.clip(x.array, 0, 6))


def hardswish(x):
    return _same(x, x.array * np.clip(x.array + 3, 0, 6) / 6)


def pad(x, zeros):
    left, right, top, bottom = zeros
    return _same(x, np.pad(x.array, ((0, 0), (0, 0), (top, bottom), (left, right))))


def conv2d(x, weight, bias, stride, padding, dilation, groups):
    torch.spend(torch.fake[torch.fake_device.compiled or ("channels_last" if x.form == torch.channels_last else "nchw")])
    return torch.convolve(x, weight, bias, stride, padding, dilation, groups)


def linear(x, weight, bias):
    torch.spend(torch.fake["linear"])
    y = x.array.astype(np.float64) @ weight.array.astype(np.float64).T + (0 if bias is None else bias.array)
    torch.fake_device.seen.append(id(x.array.base))
    return torch.Tensor(y.astype(x.array.dtype))
