"""The learners of tabular.py, a row each: its estimators, its settings, and how it takes a frame.

Every learner is as its users get it by default. What a default does not do (strings to codes, gaps filled) is done as
its documentation says, in a transformer in front of the estimator, which is part of its fit and of its times.
"""

import ast
import hashlib
from argparse import ArgumentTypeError
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cache
from importlib import import_module
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from sklearn.compose import TransformedTargetRegressor, make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler


@dataclass(frozen=True)
class Learner:
    """One learner: where its estimators are ("module:class"), and what they are given.

    before(X) is an unfitted transformer for frames like X, in front of the estimator; by_frame(X) gives the settings
    that depend on the frame. A regressor with `scale_y` is trained on a standardised target.
    """

    name: str
    package: str
    classifier: str
    regressor: str
    settings: dict = field(default_factory=dict)
    before: Callable | None = None
    by_frame: Callable | None = None
    scale_y: bool = False
    threads: str | None = "n_jobs"  # the parameter's name; None: a thread pool of OpenMP, which the caller limits

    @property
    def installed(self):
        return find_spec(self.classifier.partition(".")[0].partition(":")[0]) is not None

    @property
    def version(self):
        """Of the package; of our own, whose code changes between releases, a digest of the files."""
        return _digest(self.package) if self.package == "fastmlp" else version(self.package)

    def make(self, task, X, seed, threads):
        """An unfitted estimator for frames like X."""
        module, _, attribute = (self.classifier if task == "classification" else self.regressor).partition(":")
        settings = self.settings | {"random_state": seed}
        if self.threads:
            settings[self.threads] = threads
        if self.by_frame:
            settings |= self.by_frame(X)
        model = getattr(import_module(module), attribute)(**settings)
        if self.scale_y and task == "regression":
            model = TransformedTargetRegressor(model, transformer=StandardScaler())
        return make_pipeline(self.before(X), model) if self.before else model


@cache
def _digest(package):
    folder = Path(find_spec(package).origin).parent
    files = sorted(path for path in folder.rglob("*") if path.suffix in (".py", ".so", ".pyd"))
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()[:12]


def numeric(X):
    return list(X.select_dtypes("number"))


def categorical(X):
    return list(X.select_dtypes("category"))


def _strings(X):
    """Categories as strings, a gap as "nan": CatBoost takes no missing categories."""
    return X.assign(**{name: X[name].astype(object).fillna("nan") for name in categorical(X)})


def _one_hot(X, *for_numbers):
    """Numbers through the given transformers, categories to columns of 0 and 1, gaps to zeros or a column."""
    levels = OneHotEncoder(handle_unknown="ignore", sparse_output=False, dtype="float32")
    numbers = make_pipeline(*for_numbers) if for_numbers else "passthrough"
    return make_column_transformer((numbers, numeric(X)), (levels, categorical(X)))


def _scaled(X):
    return _one_hot(X, SimpleImputer(strategy="median", add_indicator=True), StandardScaler())


def _filled(X):
    """Gaps in numbers to means, with a column that says where: pytabkit takes none. TabArena does the same."""
    filled = make_column_transformer(
        (SimpleImputer(add_indicator=True), numeric(X)), remainder="passthrough", verbose_feature_names_out=False
    )
    return filled.set_output(transform="pandas")


LEARNERS = {
    learner.name: learner
    for learner in (
        Learner(
            "MLP", "fastmlp", "fastmlp:MLPClassifier", "fastmlp:MLPRegressor",
            before=_scaled, scale_y=True,
        ),
        Learner("TabularMLP", "fastmlp", "fastmlp:TabularMLPClassifier", "fastmlp:TabularMLPRegressor"),
        Learner(
            "CatBoost", "catboost", "catboost:CatBoostClassifier", "catboost:CatBoostRegressor",
            settings={"verbose": False, "allow_writing_files": False}, threads="thread_count",
            before=lambda X: FunctionTransformer(_strings), by_frame=lambda X: {"cat_features": categorical(X)},
        ),
        Learner(
            "LightGBM", "lightgbm", "lightgbm:LGBMClassifier", "lightgbm:LGBMRegressor",
            settings={"verbose": -1},
        ),
        Learner(
            "XGBoost", "xgboost", "xgboost:XGBClassifier", "xgboost:XGBRegressor",
            settings={"enable_categorical": True},
        ),
        Learner(
            "HistGradientBoosting", "scikit-learn",
            "sklearn.ensemble:HistGradientBoostingClassifier", "sklearn.ensemble:HistGradientBoostingRegressor",
            threads=None,
        ),
        Learner(
            "RandomForest", "scikit-learn",
            "sklearn.ensemble:RandomForestClassifier", "sklearn.ensemble:RandomForestRegressor",
            before=_one_hot,
        ),
        Learner(
            "RealMLP-TD", "pytabkit", "pytabkit:RealMLP_TD_Classifier", "pytabkit:RealMLP_TD_Regressor",
            settings={"device": "cpu"}, before=_filled, threads="n_threads",
        ),
        Learner(  # the default of pytabkit: no embedding of numbers
            "TabM-D", "pytabkit", "pytabkit:TabM_D_Classifier", "pytabkit:TabM_D_Regressor",
            settings={"device": "cpu"}, before=_filled, threads="n_threads",
        ),
        Learner(  # the default of TabArena since June 2026
            "TabM-mini-PWL", "pytabkit", "pytabkit:TabM_D_Classifier", "pytabkit:TabM_D_Regressor",
            settings={
                "device": "cpu", "arch_type": "tabm-mini", "num_emb_type": "pwl", "weight_decay": 3e-4,
                "gradient_clipping_norm": 1.0, "batch_size": "auto",
            },
            before=_filled, threads="n_threads",
        ),
    )
}  # fmt: skip


def variant(text):
    """The learner that "NAME(parameter=value, ...)" describes: a row of the table with further settings."""
    name, _, parameters = text.partition("(")
    try:
        match ast.parse(f"f({parameters}", mode="eval").body:
            case ast.Call(func=ast.Name(), args=[], keywords=[_, *_] as keywords):
                settings = {keyword.arg: ast.literal_eval(keyword.value) for keyword in keywords}
                return replace(LEARNERS[name], name=text, settings=LEARNERS[name].settings | settings)
    except (KeyError, SyntaxError, ValueError):
        pass
    raise ArgumentTypeError(f"{text!r} is not NAME(parameter=value, ...) with a NAME of {', '.join(LEARNERS)}")
