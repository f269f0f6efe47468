"""Sweeps: what is drawn, interrupted and killed ones, in processes and on a cluster, reproduced."""

import json
import os
import signal
import time

import pytest

from fastmlp.cli.runs import Run, only_one
from fastmlp.cli.sweeping import Sweep

pytest.importorskip("optuna")
pytest.importorskip("pandas")
pytest.importorskip("safetensors")

pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning"),
]

ALONE = ["--no-mlflow", "-q"]
LONG = ["max_iter=1000", "n_iter_no_change=1000", "checkpoint_every=100"]


def _overrides(*given):
    return [part for override in given for part in ("-P", override)]


def _sweep(path):
    (found,) = path.glob("*/sweep.json")
    return Sweep(found.parent)


def _drawn(path, name="alpha"):
    """What the trials of a sweep have drawn, in their order."""
    sweep = _sweep(path)
    trials = sorted(sweep.state["trials"].items(), key=lambda item: int(item[0]))
    return [sweep.run(trial["run"]).params()[name] for _, trial in trials]


@pytest.fixture(scope="module")
def whole(folder):
    """A sweep of 12 trials, by one process: the sampler learns from the eleventh on."""
    from fastmlp.cli import main

    assert main(["sweep", "experiment.toml", "--runs", "whole", *ALONE, *_overrides("search.trials=12")]) == 0
    return folder / "whole"


def test_the_sweep_of_a_killed_process_draws_the_same_trials(whole, folder, call, command):
    args = ["sweep", "experiment.toml", "--runs", "killed", *ALONE, *_overrides("search.trials=12")]
    process = command(*args)
    while len([*folder.glob("killed/*/model.fastmlp")]) < 11:
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stderr.close()
    before = {path: path.read_text() for path in folder.glob("killed/*/run.json")}
    code, said, _ = call(*args)
    best = _sweep(folder / "killed").best
    assert code == 0 and said.startswith(f"best: {best['run']}, accuracy {best['score']:.4g}; 12 runs of wine-sweep-")
    assert _drawn(folder / "killed") == _drawn(whole)
    after = {path: json.loads(path.read_text()) for path in before}
    done = [path for path in before if "model" in json.loads(before[path])]
    assert len(done) >= 10 and all(after[path] == json.loads(before[path]) for path in done)
    ends = {state["model"]["digest"] for state in (Run(path.parent).state for path in whole.glob("*/run.json"))}
    assert {state["model"]["digest"] for state in after.values()} <= ends


def test_samplers_draw_what_they_are_named_after(whole, folder, call):
    drawn = _drawn(whole)
    assert len(set(drawn)) == 12 and all(1e-5 <= alpha <= 0.1 for alpha in drawn)
    given = _overrides("search.trials=12", "search.sampler=random", "max_iter=1")
    assert call("sweep", "experiment.toml", "--runs", "random", *ALONE, *given)[0] == 0
    random = _drawn(folder / "random")
    assert random[:10] == drawn[:10] and not set(random[10:]) & set(drawn[10:])


def test_a_longer_sweep_goes_on_with_a_shorter_one(whole, folder, call):
    before = {path: path.stat().st_mtime_ns for path in whole.glob("*/run.json")}
    drawn = _drawn(whole)
    args = ["sweep", "experiment.toml", "--runs", "whole", *ALONE, "--json"]
    code, said, _ = call(*args, *_overrides("search.trials=13"))
    result = json.loads(said)
    assert code == 0 and len(result["trials"]) == 13 and result["finished"] and result["metric"] == "accuracy"
    assert _drawn(whole)[:12] == drawn and result["best"]["score"] == max(t["score"] for t in result["trials"].values())
    assert before == {path: path.stat().st_mtime_ns for path in before}


def test_all_sets_of_a_small_space_are_tried_once(folder, call):
    given = _overrides("search.space={max_iter={low=2, high=4}, hidden_layer_sizes=[[4], [4, 4]]}", "search.trials=9")
    assert call("sweep", "experiment.toml", "--runs", "grid", *ALONE, *given)[0] == 0
    runs = [Run(path.parent) for path in folder.glob("grid/*/run.json")]
    found = sorted((part.params()["max_iter"], part.params()["hidden_layer_sizes"]) for part in runs)
    assert found == [(n, sizes) for n in (2, 3, 4) for sizes in ([4], [4, 4])]


def test_tables_of_a_space_and_the_default_one_are_drawn_from(folder, tmp_path, call):
    text = (folder / "experiment.toml").read_text().partition("[estimator]")[0].replace("folds = 3", "folds = 2")
    text += '[estimator]\nname = "TabularMLPClassifier"\n[estimator.params]\nn_members = 1\nmax_iter = 2\n'
    text += "recipe = {number_width = 3}\n[search]\ntrials = 2\n"
    space = "[search.space.recipe]\ndropout = {low = 0.1, high = 0.2}\n"
    for name, more in (("own", space), ("default", "")):
        (tmp_path / "experiment.toml").write_text(text + more)
        args = ["--data", "wine.csv", "--runs", tmp_path / name, *ALONE]
        assert call("sweep", tmp_path / "experiment.toml", *args)[0] == 0
    for path in tmp_path.glob("own/*/run.json"):
        recipe = Run(path.parent).state["experiment"]["estimator"]["params"]["recipe"]
        assert recipe.keys() == {"number_width", "dropout"} and 0.1 <= recipe["dropout"] <= 0.2
    (path, _) = tmp_path.glob("default/*/run.json")
    recipe = Run(path.parent).state["experiment"]["estimator"]["params"]["recipe"]
    assert len(recipe) > 10 and recipe["number_width"] == 3


def test_workers_share_a_sweep_and_end_with_it(folder, call, command):
    args = ["sweep", "experiment.toml", "--runs", "killed-two", *ALONE, *_overrides(*LONG, "search.trials=3")]
    process = command(*args, "--workers", "2")
    while not [*folder.glob("killed-two/*/checkpoints/0-1.checkpoint")]:
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)  # the first process alone
    process.communicate()  # until its workers have closed their errors, too: they end with it
    before = {path: json.loads(path.read_text()) for path in folder.glob("killed-two/*/run.json")}
    path = next(path for path, state in before.items() if state["folds"] and "model" not in state)
    code, said, _ = call(*args, "--workers", "2")
    assert code == 0 and "; 3 runs of wine-sweep-" in said
    state = json.loads(path.read_text())
    assert state["folds"]["0/0"] == before[path]["folds"]["0/0"]
    alpha = state["experiment"]["estimator"]["params"]["alpha"]
    _, said, _ = call("run", "experiment.toml", "--runs", "unbroken", *ALONE, *_overrides(*LONG, f"alpha={alpha!r}"),
                        "--json")  # fmt: skip
    assert json.loads(said)["digest"] == state["model"]["digest"]


@pytest.mark.parametrize("of", ["run", "sweep"])
def test_ctrl_c_keeps_what_is_done_and_no_fit_that_is_not(folder, call, command, of):
    runs = f"interrupted-{of}"
    long = ["max_iter=20000", "n_iter_no_change=20000", "checkpoint_every=500"]
    args = [of, "experiment.toml", "--runs", runs, *ALONE, *_overrides(*long, "search.trials=2")]
    process = command(*args, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler))
    while not [*folder.glob(f"{runs}/*/checkpoints/0-0.checkpoint")]:
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.002)
    process.send_signal(signal.SIGINT)
    errors = process.communicate()[1].splitlines()
    assert process.returncode == 130 and errors[-1] == "fastmlp: interrupted" and "Traceback" not in "".join(errors)
    assert len(errors) == 1 + (of == "sweep")
    (path,) = folder.glob(f"{runs}/*/run.json")
    assert json.loads(path.read_text())["folds"] == {}


def test_a_cluster_does_a_sweep(folder, call, tmp_path):
    distributed = pytest.importorskip("distributed")
    (folder / "own_parts.py").write_text("from fastmlp import MLPClassifier as Own\n")
    given = _overrides("estimator.name=own_parts.Own", "search.trials=3", "search.sampler=random")
    args = ["sweep", "experiment.toml", *ALONE, *given]
    with distributed.LocalCluster(1, threads_per_worker=2, dashboard_address=None) as cluster:
        with distributed.Client(cluster) as client:
            client.run(os.chdir, tmp_path)  # another folder than that of the command
        code, said, _ = call(*args, "--runs", "cluster", "--dask", cluster.scheduler_address)
    assert code == 0 and "; 3 runs of wine-sweep-" in said
    assert call(*args, "--runs", "not-on-it")[0] == 0
    assert _drawn(folder / "cluster") == _drawn(folder / "not-on-it")
    found = [
        {path.parent.name: Run(path.parent).state["model"]["digest"] for path in folder.glob(f"{runs}/*/run.json")}
        for runs in ("cluster", "not-on-it")
    ]
    assert found[0] == found[1] and len(found[0]) == 3


def test_a_sweep_is_reproduced(whole, folder, call):
    sweep = _sweep(whole)
    code, said, _ = call("reproduce", sweep.folder)
    assert (code, said) == (0, f"{sweep.runs[0]}: identical: {sweep.run(sweep.runs[0]).state['model']['digest']}\n")
    assert call("sweep", "experiment.toml", "--runs", "few", *ALONE, *_overrides("search.trials=2"))[0] == 0
    few = _sweep(folder / "few")
    state = few.run(few.runs[1]).state
    state["folds"]["0/0"]["digest"] = "0" * 32
    (folder / "few" / few.runs[1] / "run.json").write_text(json.dumps(state))
    code, said, _ = call("reproduce", few.name, "--runs", "few", "--all")
    assert code == 1 and said.splitlines()[0].endswith(f"identical: {few.run(few.runs[0]).state['model']['digest']}")
    assert said.splitlines()[1].startswith(f"{few.runs[1]}: differs: ")
    assert "--all is for sweeps" in call("reproduce", few.runs[0], "--runs", "few", "--all")[2]


def test_a_sweep_that_was_interrupted_is_done_before_it_is_reproduced(folder, call):
    runs = folder / "unfinished"
    assert call("sweep", "experiment.toml", "--runs", runs, *ALONE, *_overrides("search.trials=2"))[0] == 0
    sweep = _sweep(runs)
    last = sweep.state["trials"]["1"]["run"]
    state = sweep.run(last).state
    digest = state.pop("model")["digest"]
    del state["folds"]["0/2"]
    (runs / last / "run.json").write_text(json.dumps(state))
    log = (sweep.folder / "study.log").read_text().splitlines(keepends=True)
    # a part of the last line, on the end of the last trial, as a full disk leaves it
    (sweep.folder / "study.log").write_text("".join([*log[:-1], log[-1][:20]]))
    sweep.state["finished"] = not sweep.state["trials"].pop("1")
    sweep.write()
    code, said, _ = call("reproduce", sweep.folder, "--all")
    assert code == 0 and f"{sweep.name} was interrupted after 1 trials and goes on" in said
    assert said.count(": identical: ") == 2 and digest in said


def test_two_processes_never_train_in_one_folder(whole, call):
    sweep = _sweep(whole)
    args = ["experiment.toml", "--runs", "whole", *ALONE]
    with only_one(sweep.folder, sweep.name):
        code, _, errors = call("sweep", *args, *_overrides("search.trials=13"))
        assert (code, errors) == (1, f"fastmlp: Another process is at work on {sweep.name}.\n")


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("search.space.alpha.low=3", "-P search.space.alpha: low must be below high in search.space.alpha"),
        ("search.space.alpha=3", "must be a list of values, or low and high, got 3"),
        ("search.space.alpha={low=1}", "search.space.alpha must have low and high, and may have log"),
        ("search.space.alpha.high=x", "search.space.alpha must have numbers as low and high"),
        ("search.space.alpa=[1]", "-P search.space.alpa: MLPClassifier has no parameter 'alpa'; did you mean 'alpha'?"),
        ("data.target=cultivr", "has no column 'cultivr'; did you mean 'cultivar'?"),
        ("metrics=['acuracy']", "-P metrics: there is no score 'acuracy'; did you mean 'accuracy'?"),
        ("search.sampler=tpa", "search.sampler must be tpe or random, got 'tpa'"),
        ("search.trials=0", "search.trials must be at least 1"),
    ],
)
def test_what_is_wrong_with_a_search_is_said(folder, call, override, said):
    code, _, errors = call("sweep", "experiment.toml", "--runs", "refused", *ALONE, "-P", override)
    assert code == 1 and said in errors and errors.count("\n") == 1 and not (folder / "refused").exists()


def test_trials_that_fail_are_said_in_quiet_too(folder, call):
    given = _overrides("search.space={max_iter=[-1, 2]}")
    code, said, errors = call("sweep", "experiment.toml", "--runs", "failing", *ALONE, *given)
    assert code == 1 and said.startswith("best: wine-") and "1 runs of wine-sweep-" in said
    assert errors.startswith("fastmlp: 1 trials went wrong; wine-") and "The 'max_iter' parameter of" in errors


def test_a_full_disk_ends_a_sweep_and_loses_nothing(folder, call, command):
    resource = pytest.importorskip("resource")
    args = ["sweep", "experiment.toml", "--runs", "full", *ALONE, "--keep-data", "0"]
    args += _overrides(
        "estimator={name='sklearn.linear_model.LogisticRegression', params={max_iter=9}}", "search.trials=9",
        f"search.space={{C={[n / 100 for n in range(1, 900)]}}}", "search.sampler=random", "splits.folds=2",
    )  # fmt: skip
    # no file can grow beyond this: the sweep's journal, which has the space with each trial, is the first that would
    process = command(*args, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (30000, 30000)))
    errors = process.communicate()[1]
    assert process.returncode == 1 and errors.endswith("What is done is kept, and the same command goes on.\n")
    assert "study.log cannot be written: File too large." in errors and errors.count("\n") == 1
    before = {path: path.read_text() for path in folder.glob("full/*/run.json")}
    done = {path: text for path, text in before.items() if "model" in json.loads(text)}
    code, said, _ = call(*args)
    assert code == 0 and "; 9 runs of wine-sweep-" in said
    assert 0 < len(done) < 9 and done == {path: path.read_text() for path in done}


def test_lines_of_a_wrong_space_are_named(folder, tmp_path, call):
    text = (folder / "experiment.toml").read_text().replace("low = 1e-5", "low = 5")
    (tmp_path / "wrong.toml").write_text(text)
    assert "wrong.toml, line 22: low must be below high" in call("sweep", tmp_path / "wrong.toml")[2]
    text = text[: text.index("[search]")].replace('"MLPClassifier"', '"sklearn.linear_model.Ridge"')
    text = text[: text.index("[estimator.params]")].replace('"accuracy", "neg_log_loss"', '"r2"')
    (tmp_path / "wrong.toml").write_text(text)
    assert "there is no default space for Ridge" in call("sweep", tmp_path / "wrong.toml")[2]
