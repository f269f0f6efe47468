"""How long Ctrl-C waits: from the signal to the return of `fit`, on small nets, large ones and every solver.

Prints the worst of a few interrupts of each fit, and fails if one takes longer than the goal.
"""

import contextlib
import os
import signal
import sys
import threading
import time
import warnings
from functools import partial

import numpy as np
from nets import NETS, Net

import fastmlp

GOAL = 0.2  # seconds
AFTER = 0.3, 0.45, 0.61  # seconds into the fit

FITS = {
    "4-100-3, adam": (NETS["4-100-3"], {}),
    "784-512-512-10, adam": (NETS["784-512-512-10"], {}),
    "2000-100-10 CSR, adam": (NETS["2000-100-10-csr"], {}),
    "64-100-10, sgd": (NETS["64-100-10"], {"solver": "sgd"}),
    "64-100-10, early stopping": (NETS["64-100-10"], {"early_stopping": True}),
    "784-512-512-10, lbfgs": (NETS["784-512-512-10"], {"solver": "lbfgs", "max_fun": 10**9, "tol": 0}),
    "1000-3000-3000-10, one batch of 10000 rows": (Net("", (1000, 3000, 3000, 10), 10_000, 1, n_batches=1), {}),
}


def latency(call, after):
    """Seconds from a Ctrl-C sent `after` seconds into call() until that has returned or raised KeyboardInterrupt."""
    sent = []

    def send():
        sent.append(time.perf_counter())
        os.kill(os.getpid(), signal.SIGINT)

    timer = threading.Timer(after, send)
    timer.start()
    with contextlib.suppress(KeyboardInterrupt):
        call()
    end = time.perf_counter()
    if not sent:
        timer.cancel()
        raise RuntimeError(f"the fit ended before {after} s")
    return end - sent[0]


def main():
    warnings.simplefilter("ignore")
    worst = 0.0
    for name, (net, parameters) in FITS.items():
        X, y = net.data(np.float32)
        estimator = net.estimator(fastmlp).set_params(max_iter=10**9, **parameters)
        slowest = max(latency(partial(estimator.fit, X, y), after) for after in AFTER)
        print(f"{name:45} {slowest * 1e3:7.1f} ms", flush=True)
        worst = max(worst, slowest)
    print(f"{'slowest':45} {worst * 1e3:7.1f} ms, goal {GOAL * 1e3:.0f} ms")
    return int(worst > GOAL)


if __name__ == "__main__":
    sys.exit(main())
