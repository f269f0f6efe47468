"""Pipelines through skops, and MLflow's store of models."""

import json
import os
import pickle
import subprocess
import sys
import warnings

import numpy as np
import pytest
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_diabetes, load_iris
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    MinMaxScaler,
    OneHotEncoder,
    OrdinalEncoder,
    QuantileTransformer,
    RobustScaler,
    StandardScaler,
)

from fastmlp import (
    ConvClassifier,
    ConvRegressor,
    MLPClassifier,
    MLPRegressor,
    Perceptron,
    RecurrentClassifier,
    RecurrentRegressor,
    TabularMLPClassifier,
    TabularMLPRegressor,
)
from fastmlp.engine import OPTIMIZERS
from fastmlp.exports import SKOPS_TRUSTED_TYPES
from fastmlp.training.recipes import Recipe

skops = pytest.importorskip("skops.io")

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X, IRIS = load_iris(return_X_y=True)
NAMES = np.array(["setosa", "versicolor", "virginica"])[IRIS]
SMALL = {"hidden_layer_sizes": (5,), "max_iter": 3, "random_state": 0}
KINDS = {"MLPClassifier": (MLPClassifier, NAMES), "MLPRegressor": (MLPRegressor, X[:, ::2])}


def through_skops(model):
    """The model from a skops file in which nothing but our types, and scikit-learn's, is trusted."""
    content = skops.dumps(model)
    assert set(skops.get_untrusted_types(data=content)) <= set(SKOPS_TRUSTED_TYPES)
    return skops.loads(content, trusted=SKOPS_TRUSTED_TYPES)


def check_goes_on(model, loaded, X, y):
    """A model read back predicts alike, and training goes on as after a pickle."""
    np.testing.assert_array_equal(loaded.predict(X), model.predict(X))
    if model.solver == "lbfgs":
        return
    pickled = pickle.loads(pickle.dumps(model))
    for copied in (loaded, pickled):
        copied.set_params(early_stopping=False).partial_fit(X, y)
    for ours, theirs in zip(loaded.coefs_ + loaded.intercepts_, pickled.coefs_ + pickled.intercepts_, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert loaded.loss_curve_ == pickled.loss_curve_


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("solver", ["lbfgs", *OPTIMIZERS])
def test_every_solver_through_skops(solver, name, dtype):
    kind, y = KINDS[name]
    model = kind(**SMALL, solver=solver).fit(X.astype(dtype), y)
    check_goes_on(model, through_skops(model), X.astype(dtype), y)


MORE = {
    "early stopping": ({"early_stopping": True}, NAMES),
    "schedule": ({"lr_schedule": "cosine", "warmup": 0.1, "dropout": 0.2}, IRIS),
    "random state": ({"random_state": np.random.RandomState(3)}, IRIS > 0),
    "indicators": ({}, np.eye(3, dtype=int)[IRIS]),
    "several outputs": ({}, np.stack([IRIS, IRIS[::-1]], axis=1)),
    "weights": ({"class_weight": {0: 1.0, 2: 3.0}, "activation": ["gelu"], "dtype": "float32"}, IRIS),
}


@pytest.mark.parametrize("case", MORE)
def test_other_models_through_skops(case):
    params, y = MORE[case]
    model = MLPClassifier(**{**SMALL, **params}).fit(X, y)
    check_goes_on(model, through_skops(model), X, y)


def test_a_perceptron_through_skops():
    model = make_pipeline(StandardScaler(), Perceptron()).fit(X, NAMES)
    loaded = through_skops(model)
    np.testing.assert_array_equal(loaded.decision_function(X), model.decision_function(X))
    for copied in (loaded, model):
        copied[-1].partial_fit(X, NAMES)
    np.testing.assert_array_equal(loaded[-1].coef_, model[-1].coef_)


RECIPE = {"hidden_layer_sizes": (5,), "epochs": 3}


def table_of_all_kinds():
    """Columns of numbers with gaps, strings, bools and dates, and what is to be learnt of them."""
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(X, columns=["a", "b", "c", "d"])
    frame.loc[::7, "b"] = np.nan
    frame["name"], frame["long"] = NAMES, X[:, 0] > 6
    frame["day"] = pandas.Timestamp("2024-02-29") + pandas.to_timedelta(np.arange(len(X)) * 13, "h")
    frame["level"] = [f"level {i % 12}" for i in range(len(X))]
    return frame


@pytest.mark.parametrize("recipe", [RECIPE, Recipe(**RECIPE, n_bins=4)])
@pytest.mark.parametrize("kind", [TabularMLPClassifier, TabularMLPRegressor])
def test_tables_through_skops(kind, recipe):
    frame = table_of_all_kinds()
    y = NAMES if kind is TabularMLPClassifier else X[:, :2]
    model = make_pipeline("passthrough", kind(2, random_state=0, recipe=recipe)).fit(frame, y)
    loaded = through_skops(model)
    for rows in (frame, frame.iloc[:1]):
        np.testing.assert_array_equal(loaded.predict(rows), model.predict(rows))
    assert loaded[-1].members_[1].loss_curve_ == model[-1].members_[1].loss_curve_
    assert loaded[-1].recipe == recipe and loaded[-1].oof_score_ == model[-1].oof_score_


def test_the_list_has_no_type_that_is_not_needed():
    models = [kind.fit(X, IRIS) for kind in (MLPClassifier(**SMALL), MLPRegressor(**SMALL), Perceptron())]
    images = np.repeat(X, 4, axis=1)
    shaped = (ConvClassifier, ConvRegressor, RecurrentClassifier, RecurrentRegressor)
    models += [kind(max_iter=2).fit(images, IRIS) for kind in shaped]
    models += [kind(2, recipe=RECIPE).fit(X, IRIS) for kind in (TabularMLPClassifier, TabularMLPRegressor)]
    assert skops.get_untrusted_types(data=skops.dumps(models)) == sorted(SKOPS_TRUSTED_TYPES)


def _table():
    pandas = pytest.importorskip("pandas")
    frame, y = load_diabetes(return_X_y=True, as_frame=True)
    frame["group"] = np.array(["low", "middle", "high"])[np.digitize(frame["bmi"], [-0.02, 0.02])]
    frame["size"] = pandas.Series(np.where(frame["bp"] > 0, "large", "small"), index=frame.index, dtype=object)
    return frame, y / y.max()


PREPROCESSING = {
    "standard": StandardScaler,
    "min-max": MinMaxScaler,
    "robust": RobustScaler,
    "quantiles": lambda: QuantileTransformer(n_quantiles=10),
}


@pytest.mark.parametrize("name", PREPROCESSING)
def test_pipelines_through_skops(name):
    model = make_pipeline(PREPROCESSING[name](), MLPClassifier(**SMALL)).fit(X, NAMES)
    loaded = through_skops(model)
    np.testing.assert_array_equal(loaded.predict_proba(X), model.predict_proba(X))
    assert loaded.predict(X).tolist() == model.predict(X).tolist()


def table_pipeline():
    frame, y = _table()
    columns = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), ["group"]),
        (OrdinalEncoder(), ["size"]),
        (StandardScaler(), ["age", "bmi", "s1"]),
    )
    return make_pipeline(columns, MLPRegressor(**SMALL)).fit(frame, y), frame


def test_a_table_s_pipeline_through_skops(tmp_path):
    model, frame = table_pipeline()
    skops.dump(model, tmp_path / "model.skops")
    loaded = skops.load(tmp_path / "model.skops", trusted=SKOPS_TRUSTED_TYPES)
    np.testing.assert_array_equal(loaded.predict(frame), model.predict(frame))


def test_some_of_scikit_learn_s_need_more_trust():
    model = make_pipeline(SimpleImputer(), MLPClassifier(**SMALL)).fit(np.where(X > 6, np.nan, X), NAMES)
    content = skops.dumps(model)
    assert set(skops.get_untrusted_types(data=content)) - set(SKOPS_TRUSTED_TYPES) <= {"numpy.dtype"}
    loaded = skops.loads(content, trusted=[*SKOPS_TRUSTED_TYPES, "numpy.dtype"])
    np.testing.assert_array_equal(loaded.predict_proba(X), model.predict_proba(X))


def test_without_trust_nothing_of_ours_is_built():
    content = skops.dumps(MLPClassifier(**SMALL).fit(X, IRIS))
    with pytest.raises(Exception, match="fastmlp.estimators.classifier.MLPClassifier"):
        skops.loads(content)


# MLflow, with its own default format and a store in a folder


@pytest.fixture(scope="module")
def mlflow(tmp_path_factory):
    """MLflow's flavour of scikit-learn, and its store in files in a folder of its own."""
    with warnings.catch_warnings(), pytest.MonkeyPatch.context() as patched:
        warnings.simplefilter("ignore")
        patched.setenv("MLFLOW_ALLOW_FILE_STORE", "true")  # the lightest store; a database needs two packages more
        patched.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
        mlflow = pytest.importorskip("mlflow")
        pytest.importorskip("mlflow.sklearn")
        folder = tmp_path_factory.mktemp("mlflow")
        mlflow.set_tracking_uri(folder.as_uri())
        mlflow.set_experiment("tests")
        yield mlflow
        mlflow.set_tracking_uri(None)


def through_mlflow(mlflow, model):
    """The URI of a model that is logged in a run."""
    with mlflow.start_run():
        # else it asks pip what fastmlp and scikit-learn need
        logged = mlflow.sklearn.log_model(
            model, name="model", skops_trusted_types=SKOPS_TRUSTED_TYPES, pip_requirements=["fastmlp"]
        )
    return logged.model_uri


@pytest.mark.parametrize("name", KINDS)
def test_an_estimator_in_mlflow(name, mlflow):
    kind, y = KINDS[name]
    model = kind(**SMALL).fit(X, y)
    uri = through_mlflow(mlflow, model)
    loaded = mlflow.sklearn.load_model(uri)
    assert type(loaded) is kind
    check_goes_on(model, loaded, X, y)
    np.testing.assert_array_equal(mlflow.pyfunc.load_model(uri).predict(X), model.predict(X))


def test_a_pipeline_in_mlflow(mlflow):
    model, frame = table_pipeline()
    uri = through_mlflow(mlflow, model)
    np.testing.assert_array_equal(mlflow.sklearn.load_model(uri).predict(frame), model.predict(frame))
    flavour = mlflow.models.get_model_info(uri).flavors["sklearn"]
    assert flavour["serialization_format"] == "skops" and flavour["skops_trusted_types"] == SKOPS_TRUSTED_TYPES


def test_a_model_of_tables_in_mlflow(mlflow):
    frame = table_of_all_kinds()
    model = TabularMLPClassifier(2, random_state=0, recipe=RECIPE).fit(frame, NAMES)
    uri = through_mlflow(mlflow, model)
    loaded = mlflow.sklearn.load_model(uri)
    assert type(loaded) is TabularMLPClassifier
    np.testing.assert_array_equal(loaded.predict_proba(frame), model.predict_proba(frame))
    np.testing.assert_array_equal(mlflow.pyfunc.load_model(uri).predict(frame), model.predict(frame))


def test_mlflow_asks_for_the_types(mlflow, tmp_path):
    with pytest.raises(mlflow.exceptions.MlflowException, match="skops_trusted_types"):
        mlflow.sklearn.save_model(MLPClassifier(**SMALL).fit(X, IRIS), tmp_path / "model", pip_requirements=["fastmlp"])


# In a process of its own, because MLflow's patches of scikit-learn's classes stay
AUTOLOGGED = """
import json, logging, warnings
from importlib.util import find_spec
warnings.simplefilter("ignore")
import mlflow.sklearn
from sklearn.datasets import load_iris
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from fastmlp import MLPClassifier, MLPRegressor, Perceptron

logging.disable(logging.CRITICAL)
mlflow.set_tracking_uri("file:runs")
mlflow.sklearn.autolog(log_models=False, log_datasets=False, silent=True)
X, y = load_iris(return_X_y=True)
small = {"hidden_layer_sizes": (5,), "max_iter": 3, "random_state": 0}
classifier = MLPClassifier(**small)
quantiles = MLPRegressor("quantile", quantile=[0.1, 0.9], **small)


def by_hand():
    def record(estimator, epoch, metrics):
        mlflow.log_metrics(metrics, step=epoch)

    model = MLPClassifier(**small)
    mlflow.log_params(model.get_params())
    model.set_params(callbacks=record).fit(X, y)
    mlflow.log_metric("training_score", model.score(X, y))
    return model


cases = {
    "classifier": lambda: classifier.fit(X, y),
    "regressor": lambda: quantiles.fit(X, y),
    "perceptron": lambda: Perceptron().fit(X, y),
    "classifier in a pipeline": lambda: make_pipeline(classifier).fit(X, y),
    "regressor in a pipeline": lambda: make_pipeline(MLPRegressor(**small)).fit(X, y),
    "quantiles in a pipeline": lambda: make_pipeline(quantiles).fit(X, y),
    "perceptron in a pipeline": lambda: make_pipeline(Perceptron()).fit(X, y),
    "search": lambda: GridSearchCV(classifier, {"alpha": [0.1, 1.0]}, cv=2).fit(X, y),
    "by hand": by_hand,
}
logged, client = {}, mlflow.MlflowClient()
for name, case in cases.items():
    with mlflow.start_run() as run:
        model = case()
        with mlflow.utils.autologging_utils.disable_autologging():
            score = model.score(X, y)
    data, run_id = mlflow.get_run(run.info.run_id).data, run.info.run_id
    losses = [metric.value for metric in client.get_metric_history(run_id, "loss")]
    below = client.search_runs(["0"], f"tags.mlflow.parentRunId = '{run_id}'")
    logged[name] = [data.params, data.metrics, score, losses, len(below)]
logged["curve"] = model.loss_curve_
if find_spec("optuna"):
    from fastmlp.tuning import TPESearchCV

    before = len(client.search_runs(["0"]))
    with mlflow.start_run() as run:
        space = {"mlpclassifier__alpha": [0.1, 1.0]}
        model = TPESearchCV(make_pipeline(classifier), space, n_trials=2, cv=2, random_state=0).fit(X, y)
        with mlflow.utils.autologging_utils.disable_autologging():
            score = model.score(X, y)
    data = mlflow.get_run(run.info.run_id).data
    logged["TPESearchCV"] = [data.params, data.metrics, score, len(client.search_runs(["0"])) - before]
print(json.dumps(logged))
"""


@pytest.fixture(scope="module")
def autologged(tmp_path_factory):
    """What MLflow logs by itself in each case: parameters, metrics; the score, the losses and how many runs below."""
    pytest.importorskip("mlflow")
    # MLflow names the experiment of this process in the environment
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
    environment |= {"MLFLOW_ALLOW_FILE_STORE": "true", "MLFLOW_DISABLE_TELEMETRY": "true"}
    command = [sys.executable, "-c", AUTOLOGGED]
    folder = tmp_path_factory.mktemp("autolog")
    result = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout.splitlines()[-1])


@pytest.mark.parametrize("case", ["classifier", "regressor", "perceptron"])
def test_autologging_sees_no_estimator_alone(case, autologged):
    params, metrics, *_ = autologged[case]
    assert (params, metrics) == ({}, {})


OF_CLASSES = {"score", "accuracy_score", "precision_score", "recall_score", "f1_score"}
OF_NUMBERS = {"score", "r2_score", "mean_absolute_error", "mean_squared_error", "root_mean_squared_error"}
IN_PIPELINES = {
    "classifier": ("mlpclassifier__hidden_layer_sizes", "(5,)", OF_CLASSES | {"log_loss", "roc_auc"}),
    "regressor": ("mlpregressor__max_iter", "3", OF_NUMBERS),
    "quantiles": ("mlpregressor__quantile", "[0.1, 0.9]", {"score"}),
    "perceptron": ("perceptron__eta0", "1.0", OF_CLASSES),
}


@pytest.mark.parametrize("case", IN_PIPELINES)
def test_autologging_sees_pipelines(case, autologged):
    name, value, expected = IN_PIPELINES[case]
    params, metrics, score, *_ = autologged[f"{case} in a pipeline"]
    assert params[name] == value
    assert metrics.keys() == {f"training_{metric}" for metric in expected}
    assert metrics["training_score"] == pytest.approx(score)


def test_autologging_sees_searches(autologged):
    params, metrics, score, _, n_below = autologged["search"]
    assert float(params["best_alpha"]) in (0.1, 1.0) and n_below == 2
    assert metrics["training_score"] == pytest.approx(score) and 0 < metrics["best_cv_score"] < 1


def test_autologging_takes_each_fold_of_our_search_for_a_fit_of_its_own(autologged):
    pytest.importorskip("optuna")
    params, metrics, score, n_runs = autologged["TPESearchCV"]
    assert "mlpclassifier__alpha" in params and "best_mlpclassifier__alpha" not in params
    assert metrics["training_score"] == pytest.approx(score) and n_runs == 1 + 2 * 2


def test_what_is_logged_by_hand(autologged):
    params, metrics, score, losses, _ = autologged["by hand"]
    assert params == {
        name: str(value) for name, value in MLPClassifier((5,), max_iter=3, random_state=0).get_params().items()
    }
    assert metrics["training_score"] == score
    assert losses == autologged["curve"] and len(losses) == 3
