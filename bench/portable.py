"""Training with the portable kernels and SciPy's BLAS beside scikit-learn, for the build of fastmlp that is installed.

    python bench/portable.py --build gcc [--nets 64-100-10] [--rounds 7]

Every net of the benchmark, interleaved in one process. Writes portable-BUILD.md.
"""

import argparse
import os
import warnings
from datetime import date
from pathlib import Path

os.environ["FASTMLP_ISA"] = "baseline"

from compare import DTYPES, machine, train, versions
from nets import NETS
from peers import PEERS
from sklearn.exceptions import ConvergenceWarning

from fastmlp import engine


def main():
    warnings.simplefilter("ignore", ConvergenceWarning)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", required=True, help="what the compiler is called in the table and the file's name")
    parser.add_argument("--nets", nargs="+", default=list(NETS), choices=NETS, metavar="NET", help=", ".join(NETS))
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("results"), help="folder to write to")
    chosen = parser.parse_args()
    peers = [PEERS["fastmlp"], PEERS["scikit-learn"]]
    peak = {dtype.__name__: engine.fma_peak(dtype) / 1e9 for dtype in DTYPES}
    used = ", ".join(f"{name} {number}" for name, number in versions().items())
    lines = [
        f"{date.today().isoformat()}, {machine()['cpu']}, {machine()['cores']} cores; {used}; built by {chosen.build}; "
        f"`python bench/portable.py`, {chosen.rounds} rounds. Microseconds a batch, best of all rounds; fastmlp on "
        "all cores and on one, as without OpenMP; scikit-learn at its faster number of threads. Ratio: scikit-learn's "
        "time over that of fastmlp on all cores, the median over the rounds, and of the best times.",
        "",
        "| net, rows of a batch | dtype | fastmlp | fastmlp, one thread | scikit-learn | ratio |",
        "|---|---|---:|---:|---:|---:|",
    ]
    for name in chosen.nets:
        net = NETS[name]
        for dtype in DTYPES[: 1 + net.both_dtypes]:
            result = train(net, dtype, peers, chosen.rounds, peak)
            ours, theirs = (next(lane for lane in result["lanes"] if lane["headline"] and lane["peer"] == peer.name)
                            for peer in peers)  # fmt: skip
            alone = next(lane for lane in result["lanes"] if lane["peer"] == "fastmlp" and lane["threads"] == 1)
            median, best = theirs["fastmlp_faster"]
            times = " | ".join(f"{lane['best_us']:.0f}" for lane in (ours, alone, theirs))
            lines.append(f"| {name}, {net.batch} | {result['dtype']} | {times} | {median:.1f} ({best:.1f}) |")
    chosen.out.mkdir(parents=True, exist_ok=True)
    chosen.out.joinpath(f"portable-{chosen.build.replace(' ', '-')}.md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
