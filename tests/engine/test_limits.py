"""Memory that runs out, layers without end, and one feature or output."""

import subprocess
import sys
from itertools import product as pairs

import numpy as np
import pytest

from fastmlp.engine import MAX_LAYERS, Network

OUT_OF_MEMORY = """
import resource
import numpy as np
from networks import bound, optimizer_for
network = bound((64, 1500, 1500), "relu", "squared_error", np.float64, 2000, n_threads=2)
optimizer = optimizer_for(network, "sgd")
optimizer.rate = 1e-9
rows = np.arange(2000)
first = network.epoch(rows[:16], 16, optimizer, 0.0)
pages = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
limits = resource.getrlimit(resource.RLIMIT_AS)
resource.setrlimit(resource.RLIMIT_AS, (pages + (20 << 20), limits[1]))
try:
    network.epoch(rows, 1000, optimizer, 0.0)
except MemoryError:
    print("refused")
resource.setrlimit(resource.RLIMIT_AS, limits)
print(all(np.isfinite(network.epoch(rows[:160], 16, optimizer, 0.0)) for _ in range(5)))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits memory as Linux does")
def test_memory_that_runs_out_for_the_workspace_in_an_environment(request):
    folder = str(request.path.parent)
    code = f"import sys; sys.path[:0] = [{folder!r}, {str(request.path.parents[1])!r}]\n" + OUT_OF_MEMORY
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.split() == ["refused", "True"], done.stderr


def test_too_many_layers():
    with pytest.raises(ValueError, match=f"at most {MAX_LAYERS}"):
        Network([1] * (MAX_LAYERS + 2), "relu", "squared_error", np.float32)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_one_feature_read_in_place_gives_the_bits_of_gathered_rows(dtype):
    rng = np.random.default_rng(0)
    for n, n_out in pairs((17, 40, 130), (1, 2, 3, 4, 5, 20)):
        X, y = rng.normal(size=(n, 1)).astype(dtype), rng.normal(size=(n, n_out)).astype(dtype)
        network = Network((1, n_out), "relu", "squared_error", dtype)
        network.bind(X, y)
        gradients = [network.loss_and_grad(rows)[1][0].tobytes() for rows in (None, np.arange(n))]
        assert gradients[0] == gradients[1]


def test_misaligned_arrays():
    X, y = np.ones((5, 3)), np.ones((5, 2))
    network = Network((3, 2), "relu", "squared_error", np.float64)

    def misaligned(array):
        room = np.zeros(array.nbytes + 1, np.uint8)[1:].view(array.dtype).reshape(array.shape)
        room[...] = array
        return room

    for data in [(misaligned(X), y), (X, misaligned(y)), (X, y, misaligned(np.ones(5)))]:
        with pytest.raises(ValueError, match="aligned"):
            network.bind(*data)
