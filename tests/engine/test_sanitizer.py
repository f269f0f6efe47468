"""In a build with AddressSanitizer: an overrun from one of the engine's arrays into the next is caught."""

import os
import subprocess
import sys

import pytest

from fastmlp.engine import ISAS

pytestmark = pytest.mark.skipif("FASTMLP_SANITIZED" not in os.environ, reason="for .ci/sanitize")

# A column index one past the last: the kernel would read the row behind the weights' last one.
OVERRUN = """
import numpy as np
import scipy.sparse
from fastmlp.engine import Network
X = scipy.sparse.csr_array(np.eye(4, dtype=np.{dtype}))
X.indices = X.indices.astype(np.int32)
X.indices[3] = {column}
network = Network((4, 16, 2), "tanh", "squared_error", np.{dtype}, isa="{isa}")
network.bind(X, np.zeros((4, 2), dtype=np.{dtype}))
network.loss_and_grad()
print("done")
"""


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_gap_between_arrays_is_guarded(dtype, isa):
    for column, caught in ((3, False), (4, True)):
        code = OVERRUN.format(dtype=dtype, column=column, isa=isa)
        process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert ("AddressSanitizer: use-after-poison" in process.stderr) == caught
        assert ("done" in process.stdout) != caught


# NumPy hands freed memory on without a call that AddressSanitizer sees.
CYCLE = """
import gc
import numpy as np
from fastmlp.engine.memory import Arena
for size in (64, 4096):
    arena = Arena()
    arena.reserve("values", size)
    arena.allocate()
    cycle = [arena]
    cycle.append(cycle)
    del arena, cycle
    gc.collect()
    arrays = [np.zeros(size + 128, dtype=np.uint8) for _ in range(8)]
print("done")
"""


def test_memory_from_a_cycle_is_handed_on_without_gaps():
    process = subprocess.run([sys.executable, "-c", CYCLE], capture_output=True, text=True)
    assert process.stdout == "done\n", process.stderr
