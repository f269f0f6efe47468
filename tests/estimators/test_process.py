"""What the library does to a process: what it imports, what it keeps."""

import os
import subprocess
import sys
import warnings

import numpy as np
import pytest
import threadpoolctl

from fastmlp import MLPClassifier, MLPRegressor

_ALL_BUT_TO_SKLEARN = """
import copy, pickle, sys, warnings
import numpy as np
import fastmlp
warnings.simplefilter("ignore")
X = np.random.RandomState(0).standard_normal((40, 4))
for kind, y in ((fastmlp.MLPClassifier, X[:, 0] > 0), (fastmlp.MLPRegressor, X[:, 0])):
    for solver in ("adam", "sgd", "lbfgs"):
        model = kind(solver=solver, max_iter=3, early_stopping=True).fit(X, y)
        model.predict(X), model.score(X, y), pickle.loads(pickle.dumps(model)), repr(model)
        model.set_params(early_stopping=False)
        if solver != "lbfgs":
            model.partial_fit(X, y)
try:
    fastmlp.from_sklearn("nothing")
except TypeError:
    pass
found = [name for name in sys.modules if name.startswith("sklearn.neural_network")]
assert not found, found
model.to_sklearn()
assert "sklearn.neural_network" in sys.modules
"""


def test_scikit_learns_own_networks_are_not_imported():
    subprocess.run([sys.executable, "-c", _ALL_BUT_TO_SKLEARN], check=True)


def test_fits_do_not_change_numpy_or_warnings_or_random_numbers():
    np.random.seed(3)
    before = np.geterr(), list(warnings.filters), np.random.get_state()[1].tolist(), dict(os.environ)
    X = np.random.RandomState(0).standard_normal((40, 4))
    with pytest.warns(UserWarning):
        MLPRegressor(max_iter=2, random_state=0).fit(X, X[:, 0])
    with pytest.raises(ValueError):
        MLPRegressor(max_iter=2, random_state=0).fit(np.full_like(X, np.nan), X[:, 0])
    assert before == (np.geterr(), list(warnings.filters), np.random.get_state()[1].tolist(), dict(os.environ))


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="needs /proc")
@pytest.mark.filterwarnings("ignore")
def test_two_hundred_fits_leave_no_memory_behind():
    rng = np.random.RandomState(0)
    X = rng.standard_normal((500, 100))
    y = rng.randint(4, size=500)
    bad = np.full_like(X, 1e308)

    def resident():
        with open("/proc/self/statm") as statm:
            return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def fit():
        # parameters, moments and workspaces are some 2 MB
        model = MLPClassifier(hidden_layer_sizes=(200, 100), max_iter=1, random_state=0).fit(X, y)
        model.partial_fit(X, y).partial_fit(X, y)
        model.predict_proba(X)
        with pytest.raises(ValueError):
            model.partial_fit(bad, y)
        MLPRegressor(hidden_layer_sizes=(50,), solver="lbfgs", max_iter=1, random_state=0).fit(X, y)

    for _ in range(20):
        fit()
    before = resident()
    for _ in range(200):
        fit()
    assert resident() - before < 40e6  # one array of 100 x 200 numbers a fit would be 32 MB, the moments 86 MB


def test_lbfgs_gives_the_same_bits_on_any_number_of_threads():
    # SciPy's own sums of so many numbers are split by thread
    X = np.random.default_rng(0).standard_normal((300, 64))
    models = []
    for limit in (1, 2):
        with threadpoolctl.threadpool_limits(limit), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = MLPClassifier((150,), solver="lbfgs", max_iter=30, random_state=0).fit(X, np.arange(300) % 10)
        models.append(model)
    for one, other in zip(models[0].coefs_, models[1].coefs_, strict=True):
        np.testing.assert_array_equal(one, other)
