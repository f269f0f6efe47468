"""Interleaved timing in one process: every lane runs once in every round, so that a slow spell hits them all."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from peers import limit_threads
from threadpoolctl import ThreadpoolController

PAUSE = 0.15  # seconds in which the thread pools of the contender before stop spinning (OpenBLAS: 0.11)


@dataclass
class Lane:
    """One contender at one number of threads. `run` does `units` batches or calls, `warm` a little of the same."""

    peer: str
    threads: int | None
    run: Callable[[], object]
    warm: Callable[[], object]
    units: int
    seconds: list[float] = field(default_factory=list)  # per unit, one entry a round

    @property
    def best(self):
        return min(self.seconds)

    @property
    def median(self):
        return float(np.median(self.seconds))

    def record(self):
        """What the JSON keeps of the lane; microseconds per unit."""
        return {
            "peer": self.peer,
            "threads": self.threads,
            "best_us": round(self.best * 1e6, 2),
            "median_us": round(self.median * 1e6, 2),
            "rounds_us": [round(seconds * 1e6, 2) for seconds in self.seconds],
        }


def interleave(lanes, rounds, pause=PAUSE):
    """Time every lane `rounds` times, each time after a pause and a discarded call; the order turns by one a round."""
    pools = ThreadpoolController()
    for i in range(rounds):
        turn = i % len(lanes)
        for lane in lanes[turn:] + lanes[:turn]:
            with limit_threads(lane.threads, pools):
                time.sleep(pause)
                lane.warm()
                begin = time.perf_counter()
                lane.run()
                lane.seconds.append((time.perf_counter() - begin) / lane.units)


def headline(lanes, peer):
    """The lane that stands for a peer: fastmlp as it comes (all cores), any other at its faster number of threads."""
    lanes = [lane for lane in lanes if lane.peer == peer]
    return min(lanes, key=lambda lane: -lane.threads if peer == "fastmlp" else lane.median, default=None)


def ratio(slow, fast):
    """How many times faster `fast` is: (median of the ratios round by round, ratio of the best times)."""
    return float(np.median(np.divide(slow.seconds, fast.seconds))), slow.best / fast.best
