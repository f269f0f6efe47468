"""The three products of each layer beside SciPy's BLAS: shares of one core's peak, and a roofline picture.

    python bench/roofline.py [--rounds N] [--dtype float32] [--out FOLDER]

One thread each, in one process, round by round. Writes kernels-DTYPE.md and kernels-DTYPE.png.
"""

import argparse
import time
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import scipy.linalg
from nets import NETS

from fastmlp.engine import fma_peak, single_threaded_blas
from fastmlp.engine.kernels import product

SHAPES = [net for net in NETS.values() if net.density == 1]


def arrays(net, dtype):
    """(name, a, b) of each layer's products as the engine hands them over: rows padded to an odd number of lines."""
    rng = np.random.default_rng(0)
    lanes = 64 // np.dtype(dtype).itemsize

    def matrix(rows, columns):
        return rng.uniform(-1, 1, (rows, (-(-columns // lanes) | 1) * lanes)).astype(dtype)[:, :columns]

    for i, (n_in, n_out) in enumerate(pairwise(net.layers)):
        x, delta = matrix(net.batch, n_in), matrix(net.batch, n_out)
        weights = rng.uniform(-1, 1, (n_in, n_out)).astype(dtype)
        yield f"{net.name}, layer {i + 1}: forward", x, weights
        yield f"{net.name}, layer {i + 1}: weight gradient", x.T, delta
        if i:
            yield f"{net.name}, layer {i + 1}: input gradient", delta, matrix(n_out, n_in)


def seconds(run, flops=1e5):
    """Time of one call, the best of a few short stretches."""
    calls = max(1, int(2e6 / flops))
    best = np.inf
    for _ in range(5):
        begin = time.perf_counter()
        for _ in range(calls):
            run()
        best = min(best, (time.perf_counter() - begin) / calls)
    return best


def bandwidth():
    """Bytes a second that a copy between arrays beyond the caches moves."""
    source = np.ones(1 << 25, np.uint8)
    target = np.empty_like(source)
    best = np.inf
    for _ in range(10):
        begin = time.perf_counter()
        np.copyto(target, source)
        best = min(best, time.perf_counter() - begin)
    return 2 * source.nbytes / best


def measure(dtype, rounds):
    """Rows of (name, GFLOP/s fused, GFLOP/s BLAS, FLOPs per byte of the operands)."""
    gemm = scipy.linalg.get_blas_funcs("gemm", dtype=np.dtype(dtype))
    cases = [case for net in SHAPES for case in arrays(net, dtype)]
    best = np.full((len(cases), 2), np.inf)
    ways = (fused_call, partial(blas_call, gemm))
    one = np.ones((1, 1), dtype)
    # what the calls from Python cost, whatever their work
    call = [min(seconds(way(one, one)) for _ in range(20)) for way in ways]
    for _ in range(rounds):
        for i, (_, a, b) in enumerate(cases):
            for j, way in enumerate(ways):
                flops = 2 * a.shape[0] * a.shape[1] * b.shape[1]
                best[i, j] = min(best[i, j], seconds(way(a, b), flops) - call[j])
    for (name, a, b), (fused, blas) in zip(cases, best, strict=True):
        flops = 2 * a.shape[0] * a.shape[1] * b.shape[1]
        size = (a.size + b.size + a.shape[0] * b.shape[1]) * a.itemsize
        yield name, flops / fused / 1e9, flops / blas / 1e9, flops / size


def fused_call(a, b):
    return partial(product, a, b, np.empty((a.shape[0], b.shape[1]), a.dtype))


def blas_call(gemm, a, b):
    """As the engine hands row-major matrices to BLAS: out^T = b^T a^T, no array copied."""
    out = np.empty((a.shape[0], b.shape[1]), a.dtype)
    columns = a.strides[0] == a.itemsize and a.shape[0] > 1
    a = np.ascontiguousarray(a.T if columns else a)
    return partial(gemm, 1.0, np.ascontiguousarray(b).T, a.T, trans_b=columns, c=out.T, overwrite_c=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--dtype", choices=["float32", "float64"], default="float32")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args()

    with single_threaded_blas():
        rows = list(measure(options.dtype, options.rounds))
    peak, memory = fma_peak(options.dtype, 1.0) / 1e9, bandwidth() / 1e9
    lines = [
        f"One core, {options.dtype}: {peak:.0f} GFLOP/s of multiply-adds in registers, {memory:.0f} GB/s of memory.",
        "",
        "| product | fused GFLOP/s | share of peak | SciPy's BLAS | ratio |",
        "|---|---|---|---|---|",
        *(
            f"| {name} | {fused:.0f} | {fused / peak:.0%} | {blas:.0f} | {fused / blas:.1f} |"
            for name, fused, blas, _ in rows
        ),
    ]
    options.out.mkdir(parents=True, exist_ok=True)
    options.out.joinpath(f"kernels-{options.dtype}.md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))

    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 4.5), layout="constrained")
    intensity = np.logspace(-1, 2.5, 100)
    axes.loglog(intensity, np.minimum(peak, memory * intensity), "k", label="roof: memory, multiply-adds")
    _, fused, blas, where = zip(*rows, strict=True)
    axes.loglog(where, fused, "o", label="fused kernels")
    axes.loglog(where, blas, "x", label="SciPy's BLAS")
    axes.set(xlabel="FLOPs per byte of the operands", ylabel="GFLOP/s, one core", title=f"Products, {options.dtype}")
    axes.legend()
    figure.savefig(options.out / f"kernels-{options.dtype}.png", dpi=110)


if __name__ == "__main__":
    main()
