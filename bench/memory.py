"""Peak memory of one fit over the data, of one contender, in a process of its own.

`python bench/memory.py PEER NET` prints the MiB by which the process grew at its highest, X, y and the library
already loaded.
"""

import resource
import subprocess
import sys
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
from nets import NETS, Net
from peers import PEERS

N_BATCHES = 100  # enough rows for a copy of X to show
STATUS = Path("/proc/self/status")


def _kib(field):
    return int(STATUS.read_text().partition(f"{field}:")[2].split()[0])


def _baseline():
    """Memory in use now, in KiB; on Linux the high-water mark is put back to it first."""
    if not STATUS.exists():
        return _peak()
    Path("/proc/self/clear_refs").write_text("5")
    return _kib("VmRSS")


def _peak():
    # Linux's ru_maxrss begins with that of the process that started this one, the mark in /proc does not.
    if STATUS.exists():
        return _kib("VmHWM")
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // (1024 if sys.platform == "darwin" else 1)


def measure(peer, net):
    """(peak over the data, the data itself) in MiB, for one epoch of float32; run in a fresh process."""
    net = replace(net, n_batches=N_BATCHES)
    small = Net("", (4, 3, 2), batch=4, epochs=1, n_batches=1)
    PEERS[peer].trainer(small, *small.data(np.float32))(1)  # loads the library's code
    X, y = net.data(np.float32)
    arrays = (X.data, X.indices, X.indptr, y) if net.density < 1 else (X, y)
    baseline = _baseline()
    PEERS[peer].trainer(net, X, y)(1)
    return (_peak() - baseline) / 1024, sum(array.nbytes for array in arrays) / 2**20


def measure_apart(peer, net):
    """`measure` in a fresh process."""
    command = [sys.executable, __file__, peer, net.name]
    return tuple(map(float, subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()))


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    print(*measure(sys.argv[1], NETS[sys.argv[2]]))
