"""Classification of tables."""

import math
from numbers import Real
from typing import ClassVar

import numpy as np
from scipy.sparse import issparse
from sklearn.base import ClassifierMixin
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.validation import column_or_1d

from ..borrowed import Interval, StrOptions
from ..engine import logarithm
from ..training.portfolio import ALONE_CLASSIFICATION, CLASSIFICATION
from ..training.recipes import Recipe
from ..training.scores import Accuracy, NegativeBrierScore, NegativeFocalLoss, NegativeLogLoss
from .fitted import OF_TABULAR_CLASSIFIER
from .parameters import keep_parameters
from .streaming import targets_of
from .tabular_base import BaseTabularMLP
from .tabular_parameters import DEFAULT_MEMBERS, TABULAR_CONSTRAINTS, TABULAR_DOCUMENTATION
from .targets import checked_column, checked_labels

__all__ = ["TabularMLPClassifier"]

_SCORE = """with
        loss="log_loss" the accuracy, and labels are smoothed for it; else the negative mean loss. Both count
        `class_weight`"""


class TabularMLPClassifier(ClassifierMixin, BaseTabularMLP):
    __doc__ = f"""Classification of tables as they are: columns of numbers, categories and dates, with gaps.

    Makes numbers and codes of the columns, and averages the probabilities of several small networks, which are trained
    on folds. They are like RealMLP [1]_, with embeddings of each number and category.

    Parameters
    ----------
{TABULAR_DOCUMENTATION["network"].format(n_members=DEFAULT_MEMBERS, score=_SCORE)}
    loss : {{"log_loss", "focal"}}, default="log_loss"
        "focal" is the log-loss with less weight on samples that are right already. Recipes smooth no labels for it.
    focal_gamma : float, default=2.0
        Exponent of loss="focal". No effect with another loss.
    class_weight : dict, "balanced" or None, default=None
        Weights of the classes in the loss, by label; "balanced" is ``n_samples / (n_classes * count)``.
{TABULAR_DOCUMENTATION["training"]}

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Labels in ascending order.
{TABULAR_DOCUMENTATION["attributes"].format(shape="(n_samples, n_classes)", what="probabilities")}

    See Also
    --------
    TabularMLPRegressor : The same for regression.
    MLPClassifier : The network of scikit-learn, for matrices of numbers.

{TABULAR_DOCUMENTATION["references"]}

    Examples
    --------
    >>> from fastmlp import TabularMLPClassifier
    >>> X = {{"colour": ["red", "green", None, "red"] * 20, "size": [1.5, 2.0, 2.5, float("nan")] * 20}}
    >>> y = ["apple", "pear", "pear", "apple"] * 20
    >>> model = TabularMLPClassifier(n_members=2, max_iter=20, random_state=0).fit(X, y)
    >>> model.predict({{"colour": "red", "size": 1.4}})
    array(['apple'], dtype='<U5')
    """

    _parameter_constraints: ClassVar[dict] = {
        **TABULAR_CONSTRAINTS,
        "loss": [StrOptions({"log_loss", "focal"})],
        "focal_gamma": [Interval(Real, 0, None, closed="left")],
        "class_weight": [dict, StrOptions({"balanced"}), None],
    }
    _attributes: ClassVar[dict] = OF_TABULAR_CLASSIFIER
    _portfolio: ClassVar[tuple] = CLASSIFICATION
    _alone: ClassVar[Recipe] = ALONE_CLASSIFICATION

    def __init__(
        self,
        n_members=None,
        *,
        time_limit=None,
        scoring=None,
        categorical_features="from_dtype",
        loss="log_loss",
        focal_gamma=2.0,
        class_weight=None,
        max_iter=None,
        validation_fraction=0.2,
        n_jobs=None,
        callbacks=None,
        checkpoint_path=None,
        verbose=False,
        random_state=None,
        recipe=None,
    ):
        keep_parameters(self, locals())

    def _checked_y(self, y, name):
        labels = checked_labels(y, name)
        if issparse(labels):
            raise TypeError(f"{name} must be dense, got a sparse matrix.")
        # NumPy makes text of numbers beside text
        labels = np.asarray(labels) if hasattr(labels, "dtype") else np.array(labels, dtype=object)
        if labels.ndim == 2 and labels.shape[1] > 1:
            raise ValueError(f"{name} must have one column of labels, got shape {labels.shape}.")
        return checked_column(column_or_1d(labels, warn=True), name)

    def _learn_targets(self, y, few):
        self.classes_ = np.unique(few)
        self.n_outputs_ = len(self.classes_)

    def _engine_y(self, y, name):
        codes = np.searchsorted(self.classes_, y) if self._comparable(y) else np.zeros(len(y), dtype=np.intp)
        np.minimum(codes, self.n_outputs_ - 1, out=codes)
        if (unknown := y[self.classes_[codes] != y]).size:
            label = unknown[0].item()
            raise ValueError(f"{name} has the label {label!r}, which is none of the classes {self.classes_}.")
        return codes.astype(np.intp)

    def _comparable(self, y):
        return (y.dtype.kind in "biuf") == (self.classes_.dtype.kind in "biuf")

    def _class_weights(self, labels, counts=None):
        if self.class_weight is None:
            return None
        given = self.class_weight
        if isinstance(given, dict) and not all(isinstance(w, Real) and 0 <= w < math.inf for w in given.values()):
            raise ValueError(f"class_weight={given!r} must have finite values >= 0.")
        if given == "balanced" and counts is not None:
            return counts.sum() / (len(counts) * counts)
        try:
            return compute_class_weight(given, classes=self.classes_, y=labels)
        except ValueError as error:
            raise ValueError(f"class_weight={given!r} does not go with the classes {self.classes_}: {error}") from error

    def _weighed(self, class_weights, y, sample_weight):
        if class_weights is None:
            return sample_weight
        return class_weights[y] if sample_weight is None else class_weights[y] * sample_weight

    def _classes(self, y):
        return y

    def _engine_loss(self, recipe):
        if self.loss == "focal":
            return "focal", {"focal_gamma": float(self.focal_gamma)}
        return "log_loss", {"label_smoothing": recipe.label_smoothing} if recipe.label_smoothing else {}

    def _smooths_labels(self):
        return self.loss != "focal" and super()._smooths_labels()

    def _quick_score(self, rows, held_out, weight):
        if self.scoring is None and self.loss == "focal":
            return NegativeFocalLoss(float(self.focal_gamma), rows.y[held_out], weight)
        kind = {None: Accuracy, "accuracy": Accuracy, "neg_log_loss": NegativeLogLoss}.get(self.scoring)
        return None if kind is None else kind(rows.y[held_out], weight)

    def _weigher(self, rows, known):
        if self.scoring not in (None, "accuracy") or self.scoring is None and self.loss == "focal":
            return None
        # accuracy is too coarse to weigh by, and the log loss has too little patience with smoothed labels
        return NegativeBrierScore(rows.y[known], None if rows.sample_weight is None else rows.sample_weight[known])

    def _lacks_classes(self, labels):
        return len(np.unique(labels)) < self.n_outputs_

    def _from_outputs(self, outputs):
        return outputs

    def predict(self, X):
        """Predict class labels.

        Parameters
        ----------
        X : frame, dict, list or array-like of shape (n_samples, n_features), or source
            A table as in `fit`; a dict of scalars is one row. A source is read block by block.

        Returns
        -------
        y : ndarray of shape (n_samples,)
            The most probable class of each sample.

        Raises
        ------
        ValueError, TypeError
            If columns lack or are unknown, or a column of numbers has other values.
        """
        outputs = self._outputs(X)
        return self.classes_.take(outputs.argmax(axis=1))

    def predict_proba(self, X):
        """Probabilities of the classes.

        Parameters
        ----------
        X : frame, dict, list or array-like of shape (n_samples, n_features), or source
            A table as in `fit`; a dict of scalars is one row. A source is read block by block.

        Returns
        -------
        y_prob : ndarray of float32 of shape (n_samples, n_classes)
            In the order of `classes_`; rows sum to 1.

        Raises
        ------
        ValueError, TypeError
            As in `predict`.
        """
        return self._outputs(X)

    def predict_log_proba(self, X):
        """Logarithms of the probabilities of the classes.

        Parameters
        ----------
        X : frame, dict, list or array-like of shape (n_samples, n_features), or source
            A table as in `fit`; a dict of scalars is one row. A source is read block by block.

        Returns
        -------
        log_y_prob : ndarray of float32 of shape (n_samples, n_classes)
            ``log(predict_proba(X))``.
        """
        return logarithm(self._outputs(X))

    def score(self, X, y=None, sample_weight=None):
        """Accuracy of the predictions.

        Parameters
        ----------
        X : frame, dict, list or array-like of shape (n_samples, n_features), or source
            A table as in `fit`.
        y : array-like of shape (n_samples,), default=None
            True labels. None beside a source alone, which has them, and weights if any.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights.

        Returns
        -------
        score : float
        """
        y, sample_weight = targets_of(X, y, sample_weight)
        return super().score(X, y, sample_weight)
