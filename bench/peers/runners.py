"""What a peer's module hands to serve.py."""

import dataclasses
import time
import typing


class CannotDo(Exception):
    """The library has no way to compute the problem; the text says why, in one sentence."""


@dataclasses.dataclass
class Runner:
    run: typing.Callable      # one run of the whole problem on the same memory; returns when it is done
    output: typing.Callable   # [n, p, q, k] of the last run, f32
    configuration: str        # layouts and kernels, in the library's own words where it tells them
    before: typing.Callable = None  # untimed, before each run
    winograd: bool = False    # the library may transform the problem: fewer multiplications, larger rounding errors
    keep: tuple = ()          # what must live as long as this object
    write: typing.Callable = None  # writes the output of the last run to a file, raw f32, where there is no `output`
    timed: typing.Callable = None  # timed(runs, cold): mean seconds of one run, of a library that times itself on a GPU


def aligned(shape):
    """Zeros, f32, aligned to a page."""
    import numpy as np
    size = int(np.prod(shape)) * 4
    memory = np.zeros(size + 4096, np.uint8)
    start = -memory.ctypes.data % 4096
    return memory[start:start + size].view(np.float32).reshape(shape)


def mean_seconds(runner, runs):
    """Of one run, over `runs` in a row."""
    if runner.timed:
        return runner.timed(runs, False)
    if runner.before is None:
        run = runner.run
        start = time.perf_counter()
        for _ in range(runs):
            run()
        return (time.perf_counter() - start) / runs
    total = 0.0
    for _ in range(runs):
        runner.before()
        start = time.perf_counter()
        runner.run()
        total += time.perf_counter() - start
    return total / runs


def fastest(makers, seconds=0.2, slow=1.0):
    """The fastest of several configurations by the median of samples taken in turns, about `seconds` for each; by the first run alone where
    each takes longer than `slow` seconds. Those that fail are left out; when all do, the first one's exception is raised."""
    runners, firsts, errors = [], [], []
    for make in makers:
        try:
            runner = make()
            firsts.append(mean_seconds(runner, 1))
            runners.append(runner)
        except Exception as e:  # a library may raise anything
            errors.append(e)
    if not runners:
        raise errors[0]
    if min(firsts) > slow or len(runners) == 1:
        return runners[firsts.index(min(firsts))]
    samples = [[] for _ in runners]
    start = time.perf_counter()
    while len(samples[0]) < 3 or (time.perf_counter() - start < seconds * len(runners) and len(samples[0]) < 51):
        for runner, times in zip(runners, samples):
            mean_seconds(runner, 1)  # warm
            times.append(mean_seconds(runner, 1))
    medians = [sorted(times)[len(times) // 2] for times in samples]
    return runners[medians.index(min(medians))]
