"""Classification: labels in, labels and probabilities out."""

import functools
from numbers import Real
from typing import ClassVar

import numpy as np
from scipy.sparse import issparse
from sklearn.base import ClassifierMixin
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import unique_labels
from sklearn.utils.validation import check_is_fitted, column_or_1d

from ..borrowed import Interval, StrOptions, check_partial_fit_first_call, fit_context
from ..data.sources import as_table
from ..engine import logarithm
from ..training.scores import Accuracy
from ..training.undo import unchanged_on_error
from .base import BaseMLP, Target, is_stochastic
from .fitted import OF_CLASSIFIER
from .parameters import CONSTRAINTS, DOCUMENTATION, keep_parameters, plain
from .streaming import targets_of
from .targets import check_same_type, checked_column, checked_labels, columns_of, is_indicator

__all__ = ["MLPClassifier", "has_margins", "has_probabilities"]


def _positions(classes, y):
    """Positions of labels in ascending classes, without a matrix of a column per class; None if some are not there."""
    try:
        codes = np.searchsorted(classes, y)
        np.minimum(codes, len(classes) - 1, out=codes)
        return codes.astype(np.intp, copy=False) if np.all(classes[codes] == y) else None
    except TypeError:  # labels that do not compare with those known
        return None


def _binarizer_of(y):
    """A LabelBinarizer that is fitted to validated labels."""
    if y.ndim == 1 and y.dtype.kind in "biuU":
        classes = np.unique(y)
        # some versions of scikit-learn have a warning where there are more
        if 4 * len(classes) <= len(y):
            binarizer = LabelBinarizer()
            binarizer.classes_ = np.asarray(list(classes))  # strings are no wider than the longest
            binarizer.y_type_ = "multiclass" if len(classes) > 2 else "binary"
            binarizer.sparse_input_ = False
            return binarizer
    return LabelBinarizer().fit(y)


def _is_about_margins(estimator):
    """Whether the model, once there is one, and else the parameter, is of loss="hinge"."""
    return getattr(estimator, "out_activation_", "identity" if estimator.loss == "hinge" else "") == "identity"


def has_probabilities(estimator):
    if _is_about_margins(estimator):
        raise AttributeError("loss='hinge' gives no probabilities: see decision_function.")
    return True


def has_margins(estimator):
    if not _is_about_margins(estimator):
        raise AttributeError(f"decision_function is for loss='hinge', got loss={estimator.loss!r}: see predict_proba.")
    return True


class MLPClassifier(ClassifierMixin, BaseMLP):
    __doc__ = f"""Multilayer perceptron for classification: scikit-learn's parameters, attributes and results, and more.

    Minimises the log-loss, or another, with an L2 penalty ``alpha / 2 * sum(coefs_**2)`` divided by the number (weight)
    of the samples in the batch. Labels of two classes and indicator matrices (multilabel) end in logistic units, more
    classes in a softmax, several columns of other labels than 0 and 1 (multiclass-multioutput) in a softmax for each.
    The parameters up to `max_fun` are scikit-learn's; docs/options.md has the formulas and sources of the others.

    Parameters
    ----------
{DOCUMENTATION["network"]}
{DOCUMENTATION["training"]}
{DOCUMENTATION["classification"]}
{DOCUMENTATION["more"]}

    Attributes
    ----------
{DOCUMENTATION["classes"]}
{DOCUMENTATION["attributes"]}
{DOCUMENTATION["outputs of classes"]}

    See Also
    --------
    MLPRegressor : The same network for regression.
    from_sklearn : Take over a model fitted by scikit-learn.

    Notes
    -----
    With scikit-learn's parameters, the same integer seed and float64 data the results are scikit-learn's to rounding;
    docs/deviations.md lists where they are meant to differ. The source of the method is Glorot and Bengio (2010) for
    the initial weights, Kingma and Ba (2015) for adam, Nesterov (1983) and Sutskever et al. (2013) for sgd's momentum.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from fastmlp import MLPClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> model = MLPClassifier(random_state=1, max_iter=1000).fit(X, y)
    >>> model.predict_proba(X[:2]).shape
    (2, 3)
    >>> model.score(X, y) > 0.95
    True
    """

    _parameter_constraints: ClassVar[dict] = {
        **CONSTRAINTS,
        # each stands for a row of the engine's table for single labels and one for indicators
        "loss": [StrOptions({"log_loss", "focal", "hinge"})],
        "class_weight": [dict, list, StrOptions({"balanced"}), None],
        "label_smoothing": [Interval(Real, 0, 1, closed="left")],
        "focal_gamma": [Interval(Real, 0, None, closed="left")],
    }

    _attributes: ClassVar[dict] = OF_CLASSIFIER

    def __init__(
        self,
        hidden_layer_sizes=(100,),
        activation="relu",
        *,
        solver="adam",
        alpha=0.0001,
        batch_size="auto",
        learning_rate="constant",
        learning_rate_init=0.001,
        power_t=0.5,
        max_iter=200,
        shuffle=True,
        random_state=None,
        tol=1e-4,
        verbose=False,
        warm_start=False,
        momentum=0.9,
        nesterovs_momentum=True,
        early_stopping=False,
        validation_fraction=0.1,
        beta_1=0.9,
        beta_2=0.999,
        epsilon=1e-8,
        n_iter_no_change=10,
        max_fun=15000,
        loss="log_loss",
        class_weight=None,
        label_smoothing=0.0,
        focal_gamma=2.0,
        weight_init="auto",
        dropout=0.0,
        input_dropout=0.0,
        weight_decay=None,
        max_norm=None,
        clip_norm=None,
        clip_value=None,
        lr_schedule=None,
        lr_schedule_params=None,
        warmup=0,
        scoring=None,
        callbacks=None,
        dtype=None,
        n_jobs=None,
        checkpoint_path=None,
        checkpoint_every=1,
    ):
        keep_parameters(self, locals())

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags

    @property
    def _segments(self):
        """Numbers of classes, where there are several outputs of classes; else None."""
        classes = getattr(self, "classes_", None)
        return tuple(map(len, classes)) if isinstance(classes, list) else None

    def _checked_y(self, y, name):
        return checked_labels(y, name)

    def _encode(self, y, incremental):
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y.toarray() if issparse(y) else y, warn=True)
        learn = not hasattr(self, "classes_") or not (self.warm_start or incremental)
        indicates = y.ndim == 2 and is_indicator(y)
        if (y.ndim == 2 and not indicates) if learn else self._segments is not None:
            return self._encode_outputs(y, learn)
        if y.ndim == 2 and not indicates:
            raise ValueError(
                "y must have only 0 and 1, as an indicator matrix of labels has: for columns of other labels give"
                " partial_fit a list with those of each as `classes`, or fit anew with warm_start=False."
            )
        if learn:
            self._label_binarizer = _binarizer_of(y)
            self.classes_ = self._label_binarizer.classes_
        elif not hasattr(self, "_label_binarizer"):
            # the first partial_fit: labels come from its `classes`, but only y tells whether it is multilabel
            self._label_binarizer = _binarizer_of(y if y.ndim == 2 else self.classes_)
        kind = self._label_binarizer.y_type_
        if kind.startswith("multilabel") != (y.ndim == 2):
            raise ValueError(f"y of shape {y.shape} does not go on from the {kind} targets of the call before.")
        if y.ndim == 2:
            if not learn:
                labels = unique_labels(y)
                if len(labels) != len(self._label_binarizer.classes_) or not np.isin(labels, self.classes_).all():
                    raise self._labels_error(labels, incremental)
            y = y.toarray() if issparse(y) else y
            return self._target((y != 0).astype(np.uint8, order="C"), y.shape[1])
        codes = _positions(self.classes_, y)
        lacking = not learn and not incremental and codes is not None and len(np.unique(codes)) < len(self.classes_)
        if codes is None or lacking:
            raise self._labels_error(unique_labels(y), incremental)
        if kind == "multiclass":
            return self._target(codes, len(self.classes_))
        return self._target((codes == 1).astype(np.uint8)[:, None], 1)

    def _encode_outputs(self, y, learn):
        """Codes of shape (n, n_outputs) for a column of labels for each output."""
        if issparse(y):
            raise TypeError("y must be dense for several outputs of classes, got a sparse matrix.")
        if self.loss != "log_loss":
            raise ValueError(f"loss={self.loss!r} does not go with several outputs of classes: use 'log_loss'.")
        if learn:
            self.classes_ = [np.unique(column) for column in columns_of(y)]
            vars(self).pop("_label_binarizer", None)
        if y.ndim != 2 or y.shape[1] != len(self.classes_):
            raise ValueError(f"y of shape {y.shape} does not go on from the {len(self.classes_)} outputs of before.")
        columns = columns_of(y)
        codes = [_positions(classes, column) for classes, column in zip(self.classes_, columns, strict=True)]
        for i, (positions, column) in enumerate(zip(codes, columns, strict=True)):
            if positions is None:
                raise ValueError(f"y[:, {i}] has classes not in classes_[{i}]={self.classes_[i]}: {np.unique(column)}.")
        return self._target(np.stack(codes, axis=1), sum(self._segments))

    def _target(self, y, n_outputs):
        """The row of the engine's table that the parameters mean for targets of this kind."""
        options = {}
        loss = plain(self.loss)
        smoothing = float(self.label_smoothing) if loss == "log_loss" else 0.0
        if y.dtype == np.uint8:
            loss = "soft_binary_log_loss" if smoothing > 0 else f"binary_{loss}"
        if smoothing > 0:
            options["label_smoothing"] = smoothing
        if self.loss == "focal":
            options["focal_gamma"] = float(self.focal_gamma)
        if self._segments is not None:
            options["segments"] = self._segments
        return Target(y, n_outputs, loss, options)

    def _class_weights(self, labels, counts=None):
        if self.class_weight is None:
            return None
        columns = columns_of(labels) if counts is None else labels
        several = len(columns) > 1
        given = self.class_weight if isinstance(self.class_weight, list) else [self.class_weight] * len(columns)
        if len(given) != len(columns) or (several and isinstance(self.class_weight, dict)):
            raise ValueError(
                f"class_weight={self.class_weight!r} must be a list with a dict for each of {len(columns)} outputs, or"
                " 'balanced'."
            )
        weights = []
        for i, (weight, classes) in enumerate(zip(given, self._classes_of(columns), strict=True)):
            column = columns[i]
            balanced = isinstance(weight, str) and weight == "balanced"
            if not balanced and not (
                isinstance(weight, dict) and all(isinstance(w, Real) and 0 <= w < np.inf for w in weight.values())
            ):
                raise ValueError(f"class_weight={self.class_weight!r} must have dicts of finite values >= 0.")
            # an indicator's label that no row has, or that all have, is no class of its column
            there = np.isin(classes, column) if balanced else np.ones(len(classes), dtype=bool)
            weights.append(np.ones(len(classes)))
            if balanced and counts is not None:
                weights[-1][there] = counts[i].sum() / (len(counts[i]) * counts[i])
                continue
            try:
                weights[-1][there] = compute_class_weight(weight, classes=classes[there], y=column)
            except ValueError as error:
                raise ValueError(
                    f"class_weight={self.class_weight!r} does not go with the classes {classes}: {error}."
                ) from error
        return weights

    def _loss_weights(self, class_weights, labels, sample_weight):
        if class_weights is None:
            return sample_weight
        columns = columns_of(labels)
        product = np.ones(len(columns[0])) if sample_weight is None else sample_weight.copy()
        for weights, classes, column in zip(class_weights, self._classes_of(columns), columns, strict=True):
            product *= weights[_positions(classes, column)]
        return product

    def _classes_of(self, columns):
        """The classes of each column of labels."""
        if self._segments is not None:
            return self.classes_
        return [self.classes_] if len(columns) == 1 else [np.array([0, 1])] * len(columns)

    def _is_beyond_scikit_learn(self):
        own = self.loss != "log_loss" or self.label_smoothing > 0 or self.class_weight is not None
        return own or self._segments is not None

    def _single_classes(self):
        if self._segments is not None or self._label_binarizer.y_type_.startswith("multilabel"):
            return None
        return self.classes_

    def _quick_score(self):
        if len(self.classes_) == 1:
            return lambda y, sample_weight: lambda outputs: 1.0  # which predict cannot miss
        return functools.partial(Accuracy, threshold=0.0 if self.loss == "hinge" else 0.5)

    def _labels_error(self, labels, incremental):
        if incremental:
            return ValueError(
                f"`y` has classes not in `self.classes_`. `self.classes_` has {self.classes_}. 'y' has {labels}."
            )
        return ValueError(
            "warm_start can only be used where `y` has the same classes as in the previous call to fit."
            f" Previously got {self.classes_}, `y` has {labels}"
        )

    @available_if(is_stochastic)
    @fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X, y, sample_weight=None, classes=None, *, X_val=None, y_val=None, sample_weight_val=None):
        """Train one epoch on the given data, going on from the parameters and the optimizer's state as they are.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Training data.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Class labels, an indicator matrix or a column of labels for each output.
        sample_weight : float or array-like of shape (n_samples,), default=None
            Non-negative weights, not all zero.
        classes : array-like of shape (n_classes,), default=None
            All labels that will ever be seen, for an indicator matrix the numbers of its columns, for several outputs a
            list of such arrays. Needed at the first call, optional and unchanged afterwards. `y` may lack some of them.
        X_val, y_val, sample_weight_val : array-like, default=None
            Validation data as in `fit`: their loss and score after the epoch go to `validation_loss_curve_` and
            `validation_scores_`.

        Returns
        -------
        self : object
            The trained estimator.

        Raises
        ------
        AttributeError
            With solver="lbfgs".
        ValueError, TypeError
            If `classes` is missing or changed, if y has labels outside of it, and as in `fit`; the estimator is then
            as it was before the call.
        """
        if "balanced" in (self.class_weight if isinstance(self.class_weight, list) else [self.class_weight]):
            raise ValueError(f"class_weight={self.class_weight!r} needs all the data: give partial_fit numbers.")
        with unchanged_on_error(self):
            self._learn_classes(classes)
            return self._partial_fit(X, y, sample_weight, (X_val, y_val, sample_weight_val))

    def _learn_classes(self, classes):
        """Take the labels from the first call's `classes`, and check that later calls' are the same."""
        if classes is None or np.ndim(next(iter(classes), None)) == 0:
            if check_partial_fit_first_call(self, classes):
                vars(self).pop("_label_binarizer", None)
            return
        given = [np.unique(checked_column(np.asarray(labels), f"classes[{i}]")) for i, labels in enumerate(classes)]
        known = getattr(self, "classes_", given)
        if not isinstance(known, list) or not all(map(np.array_equal, known, given)) or len(known) != len(given):
            raise ValueError(f"classes={classes!r} is not the same as on the last call to partial_fit, {known!r}.")
        self.classes_ = known

    def predict(self, X):
        """Predict class labels.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features) or source
            Samples.

        Returns
        -------
        y : ndarray of shape (n_samples,) or (n_samples, n_outputs)
            The most probable class of each sample, or of each of its outputs; for multilabel 1 where the probability
            exceeds 0.5, sparse if the model was fitted to a sparse y.

        Raises
        ------
        ValueError
            If X has another number of features, or values that are not finite.
        """
        outputs = self._outputs(X)
        if self._segments is not None:
            return as_table(self._most_probable(outputs))
        if self.out_activation_ == "identity" and self._is_binary():
            outputs = outputs > 0
        if self.n_outputs_ == 1:
            return self.classes_.take(outputs[:, 0] > 0.5, mode="clip")  # one class alone has no second
        if self._is_binary():
            return self._label_binarizer.inverse_transform(outputs)
        return self.classes_.take(outputs.argmax(axis=1))

    def _most_probable(self, outputs):
        """The most probable class of each of several outputs, a vector for each."""
        return [
            classes.take(part.argmax(axis=1))
            for classes, part in zip(self.classes_, self._by_output(outputs), strict=True)
        ]

    def _is_binary(self):
        """Whether each output says yes or no, rather than one of them."""
        if self.out_activation_ == "identity":  # of loss="hinge"
            return self._label_binarizer.y_type_ != "multiclass"
        return self.out_activation_ == "logistic"

    def _by_output(self, outputs):
        """The outputs' columns, those of each block of classes."""
        return np.split(outputs, np.cumsum(self._segments)[:-1], axis=1)

    @available_if(has_probabilities)
    def predict_proba(self, X):
        """Probabilities of the classes.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features) or source
            Samples.

        Returns
        -------
        y_prob : ndarray of shape (n_samples, n_classes), or list of such
            In the order of `classes_`, in the dtype of ``X @ coefs_[0]`` or as `dtype` says. Rows sum to 1 unless
            multilabel. A list, one for each output, for multiclass-multioutput.

        Raises
        ------
        ValueError
            If X has another number of features, or values that are not finite.
        """
        outputs = self._outputs(X)
        if self._segments is not None:
            return [np.ascontiguousarray(part) for part in self._by_output(outputs)]
        if self.n_outputs_ > 1:
            return outputs
        both = np.empty((len(outputs), 2), dtype=outputs.dtype)
        both[:, 1] = outputs[:, 0]
        np.subtract(1, outputs[:, 0], out=both[:, 0])
        return both

    @available_if(has_probabilities)
    def predict_log_proba(self, X):
        """Logarithms of the probabilities of the classes.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features) or source
            Samples.

        Returns
        -------
        log_y_prob : ndarray of shape (n_samples, n_classes), or list of such
            ``log(predict_proba(X))``; -inf, without a warning, for a probability of 0.
        """
        probabilities = self.predict_proba(X)
        return list(map(logarithm, probabilities)) if isinstance(probabilities, list) else logarithm(probabilities)

    @available_if(has_margins)
    def decision_function(self, X):
        """Outputs of the network, for loss="hinge".

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features) or source
            Samples.

        Returns
        -------
        scores : ndarray of shape (n_samples,) or (n_samples, n_classes)
            For two classes positive where the second is predicted; for more the largest is; for multilabel positive
            where a label is.
        """
        outputs = self._outputs(X)
        return outputs[:, 0] if self.n_outputs_ == 1 else outputs

    def score(self, X, y=None, sample_weight=None):
        """Accuracy of the predictions; with several outputs of a sample all of them must be right.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features) or source
            Samples. A source has y and sample_weight too.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs), default=None
            True labels.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights.

        Returns
        -------
        score : float

        Raises
        ------
        ValueError, TypeError
            If y has labels of another type than the model's, such as numbers where those are text, if labels are
            missing, or if y has another number of columns than the model has outputs.
        """
        check_is_fitted(self)
        y, sample_weight = targets_of(X, y, sample_weight)
        y = checked_labels(y, "y")
        labels = y if issparse(y) else np.asarray(y)
        if self._segments is None:
            if labels.ndim < 2 or labels.shape[1] == 1:
                check_same_type(columns_of(labels)[0], self.classes_, "y")
            elif not is_indicator(labels):
                raise ValueError("y must have only 0 and 1, as an indicator matrix of labels has.")
            return super().score(X, y, sample_weight)
        predicted = self._most_probable(self._outputs(X))
        shape = (len(predicted[0]), len(predicted))
        if issparse(labels) or labels.shape != shape:
            kind = "a sparse matrix of " if issparse(labels) else ""
            raise ValueError(f"y must be of shape {shape}, one column for each output, got {kind}{labels.shape}.")
        columns = columns_of(labels)
        for i, (classes, column) in enumerate(zip(self.classes_, columns, strict=True)):
            check_same_type(column, classes, f"y[:, {i}]")
        right = np.all([guess == column for guess, column in zip(predicted, columns, strict=True)], axis=0)
        return float(np.average(right, weights=sample_weight))
