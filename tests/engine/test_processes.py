"""What a process may be: a child that C code forked, one that gets no more threads, one whose memory is limited."""

import modulefinder
import os
import pkgutil
import subprocess
import sys

import pytest

import fastmlp

# a build without OpenMP is tested with the setting that it was built with
WITH_OPENMP = os.environ.get("FASTMLP_OPENMP", "1") != "0"
needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="limits as Linux has them")

# work(): the team of a training, and what training, prediction, gradients and BLAS give
WORK = """
import ctypes, hashlib, os, platform, resource, signal, sys, warnings
import numpy as np
from fastmlp import MLPClassifier, Perceptron
from fastmlp.engine import single_threaded_blas, threads

warnings.simplefilter("ignore")
rng = np.random.default_rng(0)
X, y = rng.standard_normal((600, 20)), rng.integers(3, size=600)

def work():
    model = MLPClassifier((256, 256), max_iter=2, random_state=0).fit(X, y)
    team = model.partial_fit(X, y)._network[1].team_size
    with_blas = MLPClassifier((20,), solver="lbfgs", max_iter=3, random_state=0).fit(X, y)
    neurons = Perceptron(max_iter=3, tol=None).fit(X, y)
    results = [*model.coefs_, model.predict_proba(X), model.input_gradients(X), *with_blas.coefs_, neurons.coef_]
    return team, hashlib.sha256(b"".join(result.tobytes() for result in results)).hexdigest()
"""


def run(code, **environment):
    """The last line that a fresh interpreter prints; an empty variable of the environment is none."""
    environment = os.environ | {"OMP_NUM_THREADS": "4", "OPENBLAS_NUM_THREADS": "1"} | environment
    environment = {name: value for name, value in environment.items() if value}
    done = subprocess.run(
        [sys.executable, "-c", WORK + code], env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, (done.returncode, done.stderr[-2000:])
    return done.stdout.splitlines()[-1]


# ---- forks ----

FORK = "ctypes.PyDLL(None).fork()"
CLONE = "ctypes.PyDLL(None).syscall({'x86_64': 56, 'aarch64': 220}[platform.machine()], signal.SIGCHLD, 0, 0, 0, 0)"


@needs_fork
@pytest.mark.parametrize("fork", [FORK, pytest.param(CLONE, marks=on_linux)], ids=["fork", "clone"])
@pytest.mark.parametrize("inside", [False, True], ids=["", "inside"])
def test_a_child_forked_by_c_code_gives_the_same_on_one_thread(fork, inside):
    # inside: the parent forks while it holds BLAS, and while another thread of it has the lock of the guard
    code = f"""
team, expected = work()
assert team == {4 if WITH_OPENMP else 1}, team

def child():
    signal.alarm(120)
    team, results = work()
    os._exit(0 if team == 1 and results == expected else 1)

def fork():
    pid = {fork}
    if pid == 0:
        child()
    return os.waitpid(pid, 0)[1]

if {inside}:
    with single_threaded_blas():
        (guard,) = threads._guards.values()
        with guard.lock:
            status = fork()
else:
    status = fork()
assert work() == (team, expected)
print(status)
"""
    assert run(code) == "0"


@needs_fork
def test_a_child_that_leaves_blas_within_which_it_was_forked():
    code = f"""
with single_threaded_blas():
    (guard,) = threads._guards.values()
    guard.lock.acquire()
    pid = {FORK}
    if pid == 0:
        signal.alarm(120)
    else:
        guard.lock.release()
if pid == 0:
    with single_threaded_blas():
        os._exit(0)
print(os.waitpid(pid, 0)[1])
"""
    assert run(code) == "0"


# ---- limits of the environment ----

# root has no limit; no other process is of this user
LIMITED = """
if os.getuid() == 0:
    os.setgid(54321)
    os.setuid(54321)
limit = {limit}
resource.setrlimit(resource.RLIMIT_NPROC, (limit, limit))
print(*work())
"""


def on(n_threads, results):
    """What `print(*work())` writes for a team of so many threads."""
    return f"{n_threads if WITH_OPENMP else 1} {results}"


@pytest.fixture(scope="module")
def results():
    """What work gives on one thread."""
    team, results = run("print(*work())", OMP_NUM_THREADS="1").split()
    assert team == "1"
    return results


@on_linux
def test_an_environment_without_more_threads_gives_one(results):
    assert run(LIMITED.format(limit=1)) == on(1, results)


@on_linux
@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() != 0, reason="other processes of this user count too")
@pytest.mark.parametrize("more", [1, 2, 5])
def test_an_environment_with_few_more_threads_gives_those(more, results):
    code = LIMITED.format(limit=f"len(os.listdir('/proc/self/task')) + {more}")
    assert run(code) == on(min(4, 1 + more), results)


@on_linux
def test_threads_that_are_there_serve_in_an_environment_that_gives_no_more(results):
    assert run("work()" + LIMITED.format(limit=1)) == on(4, results)


@on_linux
@pytest.mark.parametrize("setting, team", [("8G", 1), ("8388608", 1), ("512 k", 4)])
def test_an_environment_without_memory_for_stacks_gives_one_thread(setting, team, results):
    code = """
with open("/proc/self/statm") as statm:
    size = int(statm.read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (size + 2**31, size + 2**31))
print(*work())
"""
    assert run(code, OMP_STACKSIZE=setting) == on(team, results)


@on_linux
@pytest.mark.parametrize("setting", ["OMP_PROC_BIND=true", "OMP_PLACES=cores"])
def test_an_environment_that_binds_threads_gives_as_many(setting):
    # scikit-learn's OpenMP runtime is loaded first, and binds the thread that loads ours
    code = """
import joblib
from fastmlp.estimators.inputs import effective_n_jobs
before = os.sched_getaffinity(0)
print(threads.effective_n_threads(), effective_n_jobs(-1), os.sched_getaffinity(0) == before, joblib.cpu_count())
"""
    name, value = setting.split("=")
    *counts, same, _ = run(code, OMP_NUM_THREADS="").split()
    *bound_counts, bound_same, one = run(code, OMP_NUM_THREADS="", **{name: value}).split()
    assert (counts, same, bound_same, one) == (bound_counts, "True", "True", "1")


# ---- another OpenMP runtime in the process ----


def test_scikit_learns_threads_of_openmp_beside_ours_in_turn_and_at_once():
    # scikit-learn's wheels bring a libgomp of their own; a build by clang has libomp
    code = """
from concurrent.futures import ThreadPoolExecutor
from sklearn.ensemble import HistGradientBoostingClassifier

def theirs():
    return HistGradientBoostingClassifier(max_iter=3, early_stopping=False, random_state=0).fit(X, y).predict_proba(X)

expected, trees = work(), theirs()
assert work() == expected
assert np.allclose(theirs(), trees)
with ThreadPoolExecutor(4) as pool:
    ours, others = ([pool.submit(call) for _ in range(2)] for call in (work, theirs))
assert [future.result()[1] for future in ours] == [expected[1]] * 2
assert all(np.allclose(future.result(), trees) for future in others)
print(expected[0])
"""
    assert run(code, OMP_NUM_THREADS="2") == ("2" if WITH_OPENMP else "1")


# ---- applications that are frozen ----


def test_every_compiled_module_is_found_by_the_imports_of_python_files():
    package = os.path.dirname(fastmlp.__file__)
    engine = {f"fastmlp.engine.{module.name}" for module in pkgutil.iter_modules([os.path.join(package, "engine")])}
    others = {module.name for module in pkgutil.iter_modules()} - {"fastmlp"} | sys.stdlib_module_names
    finder = modulefinder.ModuleFinder(path=[os.path.dirname(package)], excludes=[*others])
    finder.import_hook("fastmlp")
    assert engine <= finder.modules.keys()


@on_linux
def test_a_call_from_a_handler_within_a_team_adds_no_threads_to_it(results):
    code = """
from fastmlp.engine import Network, Predictor
from types import SimpleNamespace

predictor = Predictor([np.ones((20, 3))], [np.zeros(3)], "relu", "softmax")
calls = []

def third_time(signum, frame):
    if not network.intercepts[0].any() or len(calls) == 3:
        return  # before the team, or after it
    calls.append(predictor(X, n_threads=4))
    if len(calls) == 3:
        raise TimeoutError

network = Network((20, 3), "relu", "log_loss", np.float64, n_threads=2)
network.bind(X, y)
optimizer = SimpleNamespace(name="sgd", rate=0.1, hyper={"momentum": 0.0, "nesterov": False}, t=0)
optimizer.state = [network.new_state()]
signal.signal(signal.SIGALRM, third_time)
signal.setitimer(signal.ITIMER_REAL, 0.06, 0.06)
try:
    network.epoch(np.zeros(20_000_000, dtype=np.intp), 10, optimizer, 0.0)
    raise AssertionError("not interrupted")
except TimeoutError:
    signal.setitimer(signal.ITIMER_REAL, 0)
assert len(calls) == 3 and all(np.array_equal(call, predictor(X, n_threads=1)) for call in calls)
"""
    assert run(code + LIMITED.format(limit=1)) == on(2, results)
