"""TPESearchCV against fits by hand: scores, stopped trials, rounds, storages, and scikit-learn's interface."""

import _thread
import os
import pickle
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from joblib import parallel_config
from scipy.stats import loguniform, uniform
from sklearn import config_context
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.exceptions import FitFailedWarning
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import accuracy_score
from sklearn.model_selection import GroupKFold, KFold, StratifiedKFold, cross_validate
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator

from fastmlp import MLPClassifier, TabularMLPClassifier

optuna = pytest.importorskip("optuna")

from fastmlp.tuning import TPESearchCV  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X, y = load_iris(return_X_y=True)
SPACE = {"hidden_layer_sizes": [(4,), (16,), (8, 8)], "learning_rate_init": loguniform(1e-4, 0.3)}
MLP = MLPClassifier(max_iter=27, early_stopping=True, n_iter_no_change=4, random_state=0)
CV = StratifiedKFold(3, shuffle=True, random_state=1)


class _Keep(optuna.pruners.BasePruner):
    """Prunes no trial but those of these numbers, after their third epoch."""

    def __init__(self, *pruned):
        self.pruned = pruned

    def prune(self, study, trial):
        return trial.number in self.pruned and trial.last_step >= 3


def _drawn(search):
    return [(trial.params, trial.value, trial.state.name) for trial in search.trials_]


@pytest.fixture(scope="module")
def whole():
    return TPESearchCV(MLP, SPACE, n_trials=12, cv=CV, random_state=3, pruner=None).fit(X, y)


@pytest.fixture(scope="module")
def median():
    return TPESearchCV(MLP, SPACE, n_trials=12, cv=CV, random_state=3).fit(X, y)


def test_scores_are_those_of_fits_without_a_search(whole, median):
    for search in (whole, median):
        results = search.cv_results_
        for row in np.flatnonzero(~results["pruned"]):
            alone = cross_validate(clone(MLP).set_params(**results["params"][row]), X, y, cv=CV)["test_score"]
            assert [results[f"split{fold}_test_score"][row] for fold in range(3)] == list(alone)
            assert results["mean_test_score"][row] == results["last_score"][row] == alone.mean()
        assert search.best_score_ == np.nanmax(results["mean_test_score"])
        assert search.best_params_ == results["params"][search.best_index_]
        alone = clone(MLP).set_params(**search.best_params_).fit(X, y)
        assert (alone.coefs_[0] == search.best_estimator_.coefs_[0]).all()
        assert search.score(X, y) == alone.score(X, y) and (search.predict(X) == alone.predict(X)).all()
        assert search.n_splits_ == 3 and search.n_features_in_ == 4 and list(search.classes_) == [0, 1, 2]


def test_pruned_trials_are_ranked_last(median):
    results = median.cv_results_
    assert 0 < results["pruned"].sum() < 12
    pruned = results["pruned"]
    assert np.isnan(results["mean_test_score"][pruned]).all() and np.isfinite(results["last_score"][pruned]).all()
    assert results["rank_test_score"][pruned].min() > results["rank_test_score"][~pruned].max()
    assert (results["epochs"][pruned] < 27).all()


def test_the_median_is_asked_whenever_there_are_a_quarter_more_epochs(median):
    asked = [3, 4, 5, 6, 7, 8, 10, 12, 15, 18, 22, 27]
    for trial, last in zip(median.trials_, median.cv_results_["epochs"], strict=True):
        assert [*trial.intermediate_values] == [epoch for epoch in asked if epoch <= last]


def test_the_median_is_asked_beyond_the_epochs_of_the_estimator_where_a_trial_draws_more():
    mlp = MLPClassifier(max_iter=5, tol=0, n_iter_no_change=99, random_state=0)
    search = TPESearchCV(mlp, {"max_iter": [20]}, n_trials=1, cv=CV, random_state=0, refit=False).fit(X, y)
    assert [*search.trials_[0].intermediate_values] == [1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 15, 18]


@pytest.mark.parametrize("steps", [(), (StandardScaler(),), (make_pipeline(StandardScaler()), StandardScaler())])
def test_what_is_reported_is_the_mean_over_the_folds_after_each_epoch(steps):
    network = MLP if not steps else make_pipeline(*steps, MLP)
    prefix = "mlpclassifier__" if steps else ""
    space = {f"{prefix}{name}": part for name, part in SPACE.items()}
    given = []
    network = clone(network).set_params(**{f"{prefix}callbacks": lambda fitted, epoch, metrics: given.append(epoch)})
    search = TPESearchCV(network, space, n_trials=2, cv=CV, random_state=0, pruner=_Keep(1), refit=False).fit(X, y)
    curves = []
    for trial in search.trials_:
        params = dict(zip(space, (eval(trial.params[f"{prefix}hidden_layer_sizes"]), None), strict=True))
        params[f"{prefix}learning_rate_init"] = trial.params[f"{prefix}learning_rate_init"]
        folds = []
        for train, test in CV.split(X, y):
            model, scores = clone(network).set_params(**params), []
            before = make_pipeline(*steps, "passthrough").fit(X[train])

            def note(fitted, epoch, metrics, rows=(before.transform(X[test]), y[test]), scores=scores):  # noqa: B008
                scores.append(fitted.score(*rows))

            model.set_params(**{f"{prefix}callbacks": note}).fit(X[train], y[train])
            folds.append((scores, model.score(X[test], y[test])))
        longest = max(len(scores) for scores, _ in folds)
        curve = [
            np.mean([scores[epoch] if epoch < len(scores) else last for scores, last in folds])
            for epoch in range(longest)
        ]
        curves.append(curve)
    whole, pruned = search.trials_
    assert [whole.intermediate_values[epoch + 1] for epoch in range(len(curves[0]))] == curves[0]
    assert whole.state.name == "COMPLETE" and pruned.state.name == "PRUNED"
    assert list(pruned.intermediate_values.values()) == curves[1][:3] and search.cv_results_["epochs"][1] == 3
    assert given.count(3) == 6  # the user's own callback is told too


def test_the_same_seed_gives_the_same_trials(median):
    again = TPESearchCV(MLP, SPACE, n_trials=12, cv=CV, random_state=3).fit(X, y)
    assert _drawn(again) == _drawn(median)
    other = TPESearchCV(MLP, SPACE, n_trials=3, cv=CV, random_state=4).fit(X, y)
    assert _drawn(other)[0] != _drawn(median)[0]


# Rounds


def test_halving_goes_on_from_where_trials_were_stopped(whole):
    epochs = []
    mlp = clone(MLP).set_params(callbacks=lambda fitted, epoch, metrics: epochs.append(epoch))
    search = TPESearchCV(
        mlp, SPACE, n_trials=9, cv=CV, random_state=3, pruner="halving", min_epochs=3, refit=False
    ).fit(X, y)
    results = search.cv_results_
    assert len(results["params"]) == 9 and results["params"][:5] == whole.cv_results_["params"][:5]
    done = np.flatnonzero(~results["pruned"])
    for row in done:  # the fits are those that were never stopped
        alone = cross_validate(clone(MLP).set_params(**results["params"][row]), X, y, cv=CV)["test_score"]
        assert [results[f"split{fold}_test_score"][row] for fold in range(3)] == list(alone)
    rounds = [trial.user_attrs["fastmlp round"] for trial in search.trials_]
    assert [rounds.count(number) for number in range(3)] == [9, 3, 1]
    second = [trial for trial in search.trials_ if trial.user_attrs["fastmlp round"] == 1]
    first = {trial.number: trial.value for trial in search.trials_[:9]}
    best = sorted(first, key=lambda number: (-first[number], number))[:3]
    assert sorted(trial.user_attrs["fastmlp trial"] for trial in second) == sorted(best)
    assert search.trials_[-1].intermediate_values.keys() >= {3, 9}
    # of each round the last epoch is done again, no other
    assert epochs.count(1) == 27 and epochs.count(2) == 27 and epochs.count(3) == 27 + 9 and epochs.count(4) == 9


def test_halving_is_for_fits_by_epochs_with_checkpoints():
    for estimator in (MLPClassifier(solver="lbfgs"), LogisticRegression(), TabularMLPClassifier()):
        with pytest.raises(ValueError, match="pruner='halving' needs an MLPClassifier or MLPRegressor whose solver"):
            TPESearchCV(estimator, {"random_state": [0]}, pruner="halving").fit(X, y)


# Storages, processes

_SCRIPT = """
    import os, signal, sys, warnings
    warnings.simplefilter("ignore")
    from sklearn.datasets import load_iris
    from sklearn.model_selection import StratifiedKFold
    from scipy.stats import loguniform
    from fastmlp import MLPClassifier
    from fastmlp.tuning import TPESearchCV, studies, trials

    begun = 0
    evaluate = studies.Runner._evaluate

    def counted(self, *args):
        global begun
        begun += 1
        return evaluate(self, *args)

    comes = trials._Meeting.comes

    def killed(self, fold, epoch, *args):
        if begun == int(sys.argv[3]) and epoch in (2, 5):
            os.kill(os.getpid(), signal.SIGKILL)
        return comes(self, fold, epoch, *args)

    studies.Runner._evaluate, trials._Meeting.comes = counted, killed
    space = {"hidden_layer_sizes": [(4,), (16,), (8, 8)], "learning_rate_init": loguniform(1e-4, 0.3)}
    mlp = MLPClassifier(max_iter=27, early_stopping=True, n_iter_no_change=4, random_state=0)
    TPESearchCV(
        mlp, space, n_trials=9, cv=StratifiedKFold(3, shuffle=True, random_state=1), random_state=3,
        storage=sys.argv[1], pruner=sys.argv[2], min_epochs=3,
    ).fit(*load_iris(return_X_y=True))
"""


@pytest.mark.parametrize("pruner, n_begun", [("median", 7), ("halving", 11)])
def test_a_search_that_was_killed_comes_to_the_same_trials(tmp_path, pruner, n_begun):
    path = str(tmp_path / "journal.log")
    script = textwrap.dedent(_SCRIPT)
    ended = subprocess.run([sys.executable, "-c", script, path, pruner, str(n_begun)], capture_output=True, text=True)
    assert ended.returncode == -9, ended.stderr
    folder = tmp_path / "journal.log.fastmlp.checkpoints"
    if pruner == "halving":
        assert len([path for path in folder.iterdir() if path.name[0] != "."]) == 9
        (folder / ".fastmlp-0123456789abcdef-0123456789abcdef.tmp").touch()  # as a kill within a write leaves it
    else:
        assert not folder.exists()
    given = {"n_trials": 9, "cv": CV, "random_state": 3, "pruner": pruner, "min_epochs": 3}
    resumed = TPESearchCV(MLP, SPACE, storage=path, **given).fit(X, y)
    straight = TPESearchCV(MLP, SPACE, **given).fit(X, y)
    assert _drawn(resumed) == _drawn(straight)
    assert resumed.best_params_ == straight.best_params_ and resumed.best_score_ == straight.best_score_
    n_before = os.path.getsize(path)
    assert not [*tmp_path.glob("*.checkpoints")]
    again = TPESearchCV(MLP, SPACE, storage=path, **given).fit(X, y)  # has nothing left to do
    assert _drawn(again) == _drawn(resumed) and os.path.getsize(path) <= n_before + 1000


def test_a_study_of_another_search_is_refused(tmp_path):
    given = {"n_trials": 1, "cv": CV, "storage": tmp_path / "journal.log", "refit": False}
    TPESearchCV(MLP, SPACE, **given).fit(X, y)
    for estimator, space, data, what in (
        (clone(MLP).set_params(max_iter=26), SPACE, X, "estimator"),
        (MLP, {"alpha": [0.1]}, X, "space"),
        (MLP, SPACE, X + 1, "X"),
    ):
        with pytest.raises(ValueError, match=f"'fastmlp' in the storage is of another search, with another {what}"):
            TPESearchCV(estimator, space, **given).fit(data, y)
    TPESearchCV(MLP, {"alpha": [0.1]}, study_name="other", **given).fit(X, y)


def test_trials_in_threads_and_processes(tmp_path):
    threads = TPESearchCV(MLP, SPACE, n_trials=6, n_jobs=2, cv=CV, random_state=0).fit(X, y)
    assert len(threads.trials_) == 6 and len({str(trial.params) for trial in threads.trials_}) == 6
    with parallel_config(backend="loky"):
        with pytest.raises(ValueError, match="storage=None is seen by this process alone, and LokyBackend runs trials"):
            TPESearchCV(MLP, SPACE, n_trials=6, n_jobs=2).fit(X, y)
        search = TPESearchCV(
            MLP, SPACE, n_trials=4, n_jobs=2, cv=CV, random_state=0, pruner="halving", storage=tmp_path / "journal.log"
        ).fit(X, y)
    assert len(search.cv_results_["params"]) == 4
    row = search.best_index_
    alone = cross_validate(clone(MLP).set_params(**search.cv_results_["params"][row]), X, y, cv=CV)["test_score"]
    assert search.best_score_ == alone.mean()


def test_trials_on_a_dask_cluster(tmp_path):
    distributed = pytest.importorskip("distributed")
    given = {"n_trials": 4, "n_jobs": 2, "cv": CV, "random_state": 0, "storage": tmp_path / "journal.log"}
    with (
        distributed.LocalCluster(2, threads_per_worker=1, dashboard_address=":0") as cluster,
        distributed.Client(cluster),
        parallel_config(backend="dask"),
    ):
        search = TPESearchCV(MLP, SPACE, **given).fit(X, y)
    params = search.cv_results_["params"][search.best_index_]
    alone = cross_validate(clone(MLP).set_params(**params), X, y, cv=CV)["test_score"]
    assert len(search.trials_) == 4 and search.best_score_ == alone.mean()


def test_two_searches_share_a_storage(tmp_path):
    def search(seed):
        given = {"n_trials": 6, "cv": CV, "random_state": seed, "storage": tmp_path / "journal.log", "refit": False}
        return TPESearchCV(MLP, SPACE, **given).fit(X, y)

    with ThreadPoolExecutor(2) as pool:
        searches = [*pool.map(search, range(2))]
    assert {len(search.trials_) for search in searches} <= {6, 7}
    rows = {str(trial.params) for search in searches for trial in search.trials_}
    assert len(rows) <= 7 and max(len(search.trials_) for search in searches) == len(rows)


def test_ctrl_c_ends_a_search_and_keeps_its_trials(tmp_path):
    seen = []

    def interrupt(fitted, epoch, metrics):
        seen.append(epoch)
        if len(seen) == 150:
            _thread.interrupt_main()

    mlp = MLPClassifier((4,), max_iter=20, tol=0, random_state=0, callbacks=interrupt)
    given = {"cv": CV, "random_state": 0, "storage": tmp_path / "journal.log", "refit": False, "pruner": None}
    with pytest.raises(KeyboardInterrupt):
        TPESearchCV(mlp, {"alpha": loguniform(1e-5, 1)}, n_trials=1000, **given).fit(X, y)
    assert len(seen) < 1000
    kept = TPESearchCV(mlp, {"alpha": loguniform(1e-5, 1)}, n_trials=3, **given).fit(X, y)
    assert [trial.state.name for trial in kept.trials_][:2] == ["COMPLETE"] * 2


def test_a_database_keeps_trials(tmp_path):
    url = f"sqlite:///{tmp_path}/trials.db"
    given = {"cv": CV, "random_state": 3, "storage": url}
    TPESearchCV(MLP, SPACE, n_trials=2, **given).fit(X, y)
    search = TPESearchCV(MLP, SPACE, n_trials=4, **given).fit(X, y)
    assert _drawn(search) == _drawn(TPESearchCV(MLP, SPACE, n_trials=4, cv=CV, random_state=3).fit(X, y))


# scikit-learn's interface


def test_any_estimator_of_scikit_learn_is_searched():
    ridge = TPESearchCV(Ridge(), {"alpha": loguniform(1e-3, 1e3)}, n_trials=5, cv=KFold(4), random_state=0)
    assert "TPESearchCV" in ridge._repr_html_()
    ridge.fit(X, y)
    for params, mean in zip(ridge.cv_results_["params"], ridge.cv_results_["mean_test_score"], strict=True):
        assert mean == cross_validate(Ridge(**params), X, y, cv=KFold(4))["test_score"].mean()
    assert not ridge.cv_results_["pruned"].any() and (ridge.cv_results_["epochs"] == 0).all()
    assert (pickle.loads(pickle.dumps(ridge)).predict(X) == ridge.predict(X)).all()


def test_several_scores_and_how_the_best_is_chosen():
    space = {"var_smoothing": loguniform(1e-9, 1)}
    scoring = {"loss": "neg_log_loss", "accuracy": "accuracy"}
    given = {"n_trials": 5, "cv": CV, "random_state": 0, "scoring": scoring, "return_train_score": True}
    search = TPESearchCV(GaussianNB(), space, refit="loss", **given).fit(X, y)
    results = search.cv_results_
    assert search.multimetric_ and search.best_index_ == results["mean_test_loss"].argmax()
    assert [trial.value for trial in search.trials_] == list(results["mean_test_loss"])
    assert search.score(X, y) == search.scorer_["loss"](search, X, y) and "mean_train_accuracy" in results
    by_hand = TPESearchCV(GaussianNB(), space, refit=lambda results: 2, **given).fit(X, y)
    assert by_hand.best_index_ == 2 and not hasattr(by_hand, "best_score_")
    none = TPESearchCV(GaussianNB(), space, refit=False, **given).fit(X, y)
    assert not hasattr(none, "best_index_") and not hasattr(none, "best_estimator_")
    with pytest.raises(ValueError, match="For multi-metric scoring, the parameter refit must be set"):
        TPESearchCV(GaussianNB(), space, refit=True, **given).fit(X, y)

    def both(model, X, y):
        return {"a": model.score(X, y), "b": -1.0}

    search = TPESearchCV(GaussianNB(), space, n_trials=2, scoring=both, refit="a", cv=CV).fit(X, y)
    assert search.best_score_ == search.cv_results_["mean_test_a"].max()


def test_weights_and_groups_are_divided_into_folds():
    weight, groups = np.linspace(0.1, 2, len(y)), np.arange(len(y)) % 5
    mlp = MLPClassifier((4,), max_iter=5, random_state=0)
    search = TPESearchCV(mlp, {"alpha": [0.01]}, n_trials=1, cv=GroupKFold(5)).fit(
        X, y, sample_weight=weight, groups=groups
    )
    for fold, (train, test) in enumerate(GroupKFold(5).split(X, y, groups)):
        alone = clone(mlp).set_params(alpha=0.01).fit(X[train], y[train], sample_weight=weight[train])
        expected = accuracy_score(y[test], alone.predict(X[test]), sample_weight=weight[test])
        assert search.cv_results_[f"split{fold}_test_score"][0] == pytest.approx(expected, rel=1e-12)
    with config_context(enable_metadata_routing=True):
        routed = TPESearchCV(
            mlp.set_fit_request(sample_weight=True).set_score_request(sample_weight=True),
            {"alpha": [0.01]}, n_trials=1, cv=GroupKFold(5),
        ).fit(X, y, sample_weight=weight, groups=groups)  # fmt: skip
    assert routed.best_score_ == search.best_score_


def test_models_of_tables_are_searched_over_their_recipe():
    table = {"a": X[:, 0], "b": np.where(X[:, 2] > 3, "long", "short")}
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame(table)
    model = TabularMLPClassifier(n_members=2, max_iter=4, random_state=0)
    space = {"recipe": {"hidden_layer_sizes": [(8,), (16, 8)], "dropout": uniform(0, 0.5)}}
    search = TPESearchCV(model, space, n_trials=4, cv=CV, pruner=_Keep(2), random_state=0).fit(table, y)
    results = search.cv_results_
    assert list(results["pruned"]) == [False, False, True, False] and results["epochs"][2] == 3
    alone = cross_validate(clone(model).set_params(**search.best_params_), table, y, cv=CV)["test_score"]
    assert search.best_score_ == alone.mean() and list(search.feature_names_in_) == ["a", "b"]
    assert [len(trial.intermediate_values) for trial in search.trials_] == [4, 4, 3, 4]  # of the first member


def test_fits_that_fail():
    space = {"learning_rate_init": [-1.0, 0.01]}
    given = {"n_trials": 4, "cv": CV, "random_state": 0}
    with pytest.warns(FitFailedWarning, match="fits failed"), pytest.warns(UserWarning, match="are non-finite"):
        search = TPESearchCV(MLP, space, **given).fit(X, y)
    rates = [params["learning_rate_init"] for params in search.cv_results_["params"]]
    assert set(rates) == {-1.0, 0.01} and search.best_params_ == {"learning_rate_init": 0.01}
    states = [trial.state.name for trial in search.trials_]
    assert all((rate < 0) == (state == "FAIL") for rate, state in zip(rates, states, strict=True))
    with pytest.raises(ValueError, match="learning_rate_init"):
        TPESearchCV(MLP, space, error_score="raise", **given).fit(X, y)
    with pytest.raises(ValueError, match="All the 12 fits failed"):
        TPESearchCV(MLP, {"learning_rate_init": [-1.0]}, **given).fit(X, y)


@pytest.mark.parametrize(
    "params, said",
    [
        ({"n_trials": None}, "n_trials=None and timeout=None: give one of them, or the search has no end."),
        ({"pruner": "mean"}, "pruner must be 'median', 'halving', a pruner of Optuna's or None, got 'mean'."),
        ({"pruner": None, "min_epochs": 3}, "min_epochs=3 has no effect with pruner=None."),
        ({"estimator": Ridge(), "space": {"alpha": [1.0]}, "min_epochs": 3}, "min_epochs=3 has no effect: no epochs"),
        ({"estimator": MLPClassifier(checkpoint_path="x")}, "checkpoint_path must be None in a search"),
        ({"space": {"alhpa": [1]}}, "space has 'alhpa'"),
        ({"n_trials": 0}, "The 'n_trials' parameter of TPESearchCV must be an int in the range"),
        ({"timeout": 0}, "The 'timeout' parameter of TPESearchCV"),
    ],
)
def test_what_is_refused_before_any_fit(params, said):
    with pytest.raises(ValueError, match=said):
        TPESearchCV(**{"estimator": MLP, "space": SPACE, **params}).fit(X, y)


class _Places:
    """A callback of scikit-learn's that notes the tasks that begin and end."""

    max_propagation_depth = None

    def __init__(self):
        self.begun, self.ended = [], []

    def setup(self, estimator, context):
        self.begun.append("setup")

    def on_fit_task_begin(self, estimator, context):
        self.begun.append(context.source_task_name or context.task_name)

    def on_fit_task_end(self, estimator, context):
        self.ended.append(context.source_task_name or context.task_name)

    def teardown(self, estimator, context):
        self.ended.append("teardown")


def test_callbacks_of_scikit_learn_are_told_of_a_search(whole, tmp_path):
    pytest.importorskip("sklearn.callback")
    places = _Places()
    given = {"cv": CV, "random_state": 3, "pruner": None}
    search = TPESearchCV(MLP, SPACE, n_trials=3, **given).set_callbacks(places).fit(X, y)
    assert _drawn(search) == _drawn(whole)[:3]
    for tasks, first in ((places.begun, places.begun[:3]), (places.ended, places.ended[-3:][::-1])):
        assert first[0] in ("setup", "teardown") and first[1] == "fit"
        assert tasks.count("candidate-split-evaluation") == 9 and tasks.count("search") == 1
        assert tasks.count("refit-with-best-params") == 1 and tasks.count("epoch") > 9 * 5
    pruned = _Places()
    TPESearchCV(MLP, SPACE, n_trials=2, cv=CV, pruner=_Keep(1), refit=False).set_callbacks(pruned).fit(X, y)
    assert pruned.begun.count("candidate-split-evaluation") == 6 and pruned.ended[-1] == "teardown"
    with parallel_config(backend="loky"), pytest.raises(ValueError, match="Callbacks of a search are told by this"):
        search.set_params(n_jobs=2, storage=tmp_path / "journal.log").fit(X, y)


def test_what_is_missing_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(ImportError, match=r'fastmlp.tuning needs Optuna: pip install "fastmlp\[tuning\]"'):
        TPESearchCV(MLP, SPACE).fit(X, y)


def test_time_ends_a_search(capsys):
    search = TPESearchCV(Ridge(), {"alpha": [1.0]}, n_trials=None, timeout=0.3, cv=3, verbose=1).fit(X, y)
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == len(search.trials_) > 0 and printed[0].startswith("Trial 0, done: score = ")


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::RuntimeWarning")
def test_scikit_learn_s_checks():
    mlp = MLPClassifier((8,), max_iter=10, batch_size=20, learning_rate_init=0.05, random_state=0)
    search = TPESearchCV(mlp, {"alpha": [1e-4, 1e-3]}, n_trials=1, cv=2, error_score="raise")
    results = check_estimator(search, on_fail=None, on_skip=None)
    failed = {result["check_name"]: repr(result["exception"]) for result in results if result["status"] == "failed"}
    assert not failed, failed
