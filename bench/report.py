"""The results of compare.py as a Markdown page and a picture.

`python bench/report.py [FOLDER]` writes both again from FOLDER/compare.json; without a folder, from bench/results.
"""

import json
import sys
from pathlib import Path

import numpy as np

RESULTS = Path(__file__).with_name("results")
COLOURS = {"fastmlp": "#d1495b", "PyTorch": "#edae49", "JAX": "#00798c"}


def table(header, rows):
    lines = [header, ["---"] + ["---:"] * (len(header) - 1), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines) + "\n"


def headlines(entry):
    return {lane["peer"]: lane for lane in entry["lanes"] if lane["headline"]}


def _columns(entries, key):
    """The values of a key over all lanes of all entries, each once, in order of appearance."""
    return list(dict.fromkeys(key(lane) for entry in entries for lane in entry["lanes"]))


def _what(entry):
    size = f"batch {entry['batch']}" if "batch" in entry else f"{entry['rows']} row{'s' * (entry['rows'] > 1)}"
    return f"{entry['net']}, {size}, {entry['dtype']}"


def _times_faster(entries):
    """fastmlp's best time, and how many times faster it is than each peer: round by round, and best over best.

    The last peer is the best of those that are not scikit-learn, net by net.
    """
    peers = [peer for peer in _columns(entries, lambda lane: lane["peer"]) if peer != "fastmlp"]
    others = [peer for peer in peers if peer != "scikit-learn"]
    shares = any("gflops" in lane for entry in entries for lane in entry["lanes"])
    columns = peers + ["the best of these"] * (len(others) > 1)
    rows, factors = [], {}
    for entry in entries:
        lanes = headlines(entry)
        if "fastmlp" not in lanes:
            continue
        ours = lanes["fastmlp"]
        faster = {peer: lanes[peer]["fastmlp_faster"] for peer in peers if peer in lanes}
        if len(others) > 1:
            faster["the best of these"] = min(faster[peer] for peer in others if peer in faster)
        for peer, factor in faster.items():
            factors.setdefault((entry["dtype"], peer), []).append(factor)
        row = [_what(entry), f"{ours['best_us']:.1f}", *_cells(faster, columns)]
        rows.append(row + ([f"{ours['gflops']:.0f}", f"{ours['share_of_peak']:.0%}"] if shares else []))
    for dtype in dict.fromkeys(dtype for dtype, _ in factors):
        means = {peer: np.exp(np.mean(np.log(pairs), axis=0)) for (of, peer), pairs in factors.items() if of == dtype}
        rows.append([f"geometric mean, {dtype}", "", *_cells(means, columns)] + ["", ""] * shares)
    header = ["net", "fastmlp, us", *(f"x {column}" for column in columns)]
    return table(header + ["GFLOP/s", "of FMA peak"] * shares, rows)


def _cells(factors, columns):
    """How many times faster, round by round and best over best; empty for a peer that was not there."""
    return ["{:.1f} ({:.1f})".format(*factors[column]) if column in factors else "" for column in columns]


def _all_times(entries):
    """Best (median) microseconds of every contender at every number of threads."""
    columns = _columns(entries, lambda lane: (lane["peer"], lane["threads"]))
    rows = []
    for entry in entries:
        lanes = {(lane["peer"], lane["threads"]): lane for lane in entry["lanes"]}
        cells = (lanes.get(column) for column in columns)
        rows.append(
            [_what(entry), *(f"{lane['best_us']:.0f} ({lane['median_us']:.0f})" if lane else "" for lane in cells)]
        )
    return table(["net", *(f"{peer}, {threads or 'own'} thr." for peer, threads in columns)], rows)


def _memory(entries):
    peers = list(dict.fromkeys(peer for entry in entries for peer in entry["peak_mib"]))
    rows = [
        [f"{entry['net']}, {entry['dtype']}", entry.get("data_mib", ""), *(entry["peak_mib"].get(p, "") for p in peers)]
        for entry in entries
    ]
    return table(["net", "data", *peers], rows)


def markdown(results):
    """The whole page."""
    machine, peak = results["machine"], results["fma_peak_gflops"]
    versions = ", ".join(f"{name} {version}" for name, version in results["versions"].items())
    parts = [
        f"""# fastmlp and its peers

{results["date"]}, {machine["cpu"]}, {machine["cores"]} cores, {machine["system"]}. {versions}.

All contenders in one process, {results["rounds"]} interleaved rounds. They train the same net with Adam from the same
weights over the same rows. PyTorch is eager with fused Adam, JAX compiles the whole epoch; neither is given CSR, so
both get that data dense.

FMA peak of one core, measured with fused multiply-adds on registers: {peak["float32"]:.0f} GFLOP/s in float32,
{peak["float64"]:.0f} in float64. GFLOP/s count the matrix products alone.

fastmlp runs on all cores; every other contender stands at its faster number of threads. `x` is how many times faster
fastmlp is: median of the ratios of each round (best over best).
"""
    ]
    for key, title in (("training", "Training, microseconds per batch"), ("prediction", "predict_proba, microseconds")):
        if results[key]:
            parts += [f"## {title}\n", _times_faster(results[key])]
            parts += ["Best (median) at every number of threads:\n", _all_times(results[key])]
    if results["memory"]:
        parts += ["## Peak memory of a fit over the data, MiB\n", _memory(results["memory"])]
    return "\n".join(parts)


def chart(results, path):
    """Bars of training speed, scikit-learn at its best being 1."""
    from matplotlib.figure import Figure

    entries = [entry for entry in results["training"] if "scikit-learn" in headlines(entry)]
    if not entries:
        return
    peers = [peer for peer in COLOURS if any(peer in headlines(entry) for entry in entries)]
    figure = Figure(figsize=(8, 1 + 0.55 * len(entries)), layout="constrained")
    axes = figure.subplots()
    height = 0.8 / max(1, len(peers))
    for i, peer in enumerate(peers):
        speeds = [headlines(entry).get(peer, {}).get("times_scikit_learn", np.nan) for entry in entries]
        bars = axes.barh(np.arange(len(entries)) + i * height, speeds, height, label=peer, color=COLOURS[peer])
        axes.bar_label(bars, ["" if np.isnan(speed) else f"{speed:.1f}" for speed in speeds], padding=2, fontsize=7)
    axes.axvline(1, color="black", linewidth=1, label="scikit-learn")
    axes.set_yticks(np.arange(len(entries)) + height * (len(peers) - 1) / 2, [_what(entry) for entry in entries])
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.set_xlim(left=0.5)
    axes.set_xticks([0.5, 1, 2, 5, 10, 20, 50], ["0.5", "1", "2", "5", "10", "20", "50"])
    axes.minorticks_off()
    axes.set_xlabel("training speed, times scikit-learn at its better number of threads")
    axes.set_title(f"{results['machine']['cpu']}, {results['machine']['cores']} cores", fontsize=9)
    axes.legend(fontsize=8)
    figure.savefig(path, dpi=110)


def write(results, folder):
    (folder / "compare.md").write_text(markdown(results))
    chart(results, folder / "compare.png")


if __name__ == "__main__":
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else RESULTS
    write(json.loads((folder / "compare.json").read_text()), folder)
