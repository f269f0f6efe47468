"""Which instruction set serves, and who says so."""

import os
import subprocess
import sys

import numpy as np
import pytest
from networks import DTYPES, bits, bound, optimizer_for, parameters, same_bits, train

from fastmlp.engine import ISAS, LOSSES, Network, Predictor
from fastmlp.engine.kernels import DEFAULT_ISA, apply

WITH_FMA = [isa for isa in ISAS if isa != "baseline"]
every_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: dtype.__name__)


def run_python(code, isa):
    environment = {key: value for key, value in os.environ.items() if key != "FASTMLP_ISA"}
    if isa is not None:
        environment["FASTMLP_ISA"] = isa
    return subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)


def test_the_baseline_always_runs():
    assert ISAS[-1] == "baseline"
    assert set(ISAS) <= {"avx512", "avx2", "neon", "baseline"}


def test_the_best_is_the_default():
    code = "from fastmlp.engine.kernels import DEFAULT_ISA, ISAS; assert DEFAULT_ISA == ISAS[0]"
    for nothing in (None, ""):
        assert run_python(code, nothing).returncode == 0


@pytest.mark.parametrize("isa", ISAS)
def test_the_environment_chooses(isa):
    code = """if True:
        import numpy as np
        from fastmlp.engine.kernels import DEFAULT_ISA, apply
        x = np.linspace(-5, 5, 200, dtype=np.float32)
        print(DEFAULT_ISA, apply("tanh", x).tobytes().hex())
    """
    expected = apply("tanh", np.linspace(-5, 5, 200, dtype=np.float32), isa).tobytes().hex()
    assert run_python(code, isa).stdout.split() == [isa, expected]


@pytest.mark.parametrize("isa", ["sse9", "AVX2", "baseline,avx2"])
def test_names_in_the_environment_that_are_refused(isa):
    process = run_python("import fastmlp", isa)
    assert process.returncode != 0
    assert f"ValueError: FASTMLP_ISA='{isa}': this machine runs {', '.join(ISAS)}" in process.stderr


@pytest.mark.parametrize("isa", ["sse9", "AVX2", "", 2])
def test_names_in_a_call_that_are_refused(isa):
    arrays = [np.ones((3, 2))], [np.ones(2)]
    for call in (
        lambda: Network((3, 2), "relu", "log_loss", np.float32, isa=isa),
        lambda: Predictor(*arrays, "relu", "softmax", isa=isa),
        lambda: apply("exp", np.ones(3), isa),
    ):
        with pytest.raises(ValueError, match=f"isa={isa!r}: this machine runs {', '.join(ISAS)}"):
            call()


def test_no_name_means_the_default():
    x = np.linspace(-5, 5, 200)
    assert same_bits([apply("exp", x.copy())], [apply("exp", x.copy(), DEFAULT_ISA)])


# ---- the same bits on all that multiply and add at once ----


@every_dtype
@pytest.mark.parametrize("name", ["exp", "log", "tanh", "logistic", "relu", "identity", "cos"])
@pytest.mark.parametrize("slope", [False, True])
def test_functions_agree_bit_for_bit(name, slope, dtype):
    rng = np.random.default_rng(0)
    x = np.abs(rng.standard_normal(5000) * np.exp2(rng.uniform(-30, 6, 5000))).astype(dtype)
    results = [apply(name, x.copy(), isa, slope=slope) for isa in WITH_FMA]
    assert all(np.array_equal(bits(result), bits(results[0])) for result in results)


@every_dtype
@pytest.mark.parametrize("sparse", [None, np.int32], ids=["dense", "csr"])
@pytest.mark.parametrize("layer_units", [(20, 3), (64, 100, 10), (33, 129, 17, 5), (3, 1, 2, 1)])
@pytest.mark.parametrize("loss", LOSSES)
def test_training_agrees_bit_for_bit(loss, layer_units, sparse, dtype):
    trained = []
    for isa in WITH_FMA:
        network = bound(layer_units, "tanh", loss, dtype, 150, weights=True, sparse=sparse, isa=isa)
        losses = train(network, optimizer_for(network, "adam"), 64)
        X = np.linspace(-1, 1, 40 * layer_units[0]).reshape(40, -1)
        trained.append([*parameters(network), np.array(losses), network.predict(X)])
    assert all(same_bits(arrays, trained[0]) for arrays in trained)
