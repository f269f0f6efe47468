"""Classification: labels in, labels and probabilities out."""

import numpy as np
from scipy.sparse import issparse
from sklearn.base import ClassifierMixin, _fit_context
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import _check_partial_fit_first_call, unique_labels
from sklearn.utils.validation import column_or_1d

from ..engine import logarithm
from ..training.scores import Accuracy
from .base import BaseMLP, is_stochastic
from .inputs import unchanged_on_error

__all__ = ["MLPClassifier"]


class MLPClassifier(ClassifierMixin, BaseMLP):
    """Multilayer perceptron for classification, with scikit-learn's parameters, attributes and results.

    Minimises the log-loss with an L2 penalty ``alpha / 2 * sum(coefs_**2)`` divided by the number (weight) of the
    samples in the batch. Labels of two classes and indicator matrices (multilabel) end in logistic units, more
    classes in a softmax.

    Parameters
    ----------
    hidden_layer_sizes : array-like of int or int, default=(100,)
        Units of each hidden layer. ``()`` is logistic regression.
    activation : {"identity", "logistic", "tanh", "relu"}, default="relu"
        Activation of the hidden layers.
    solver : {"lbfgs", "sgd", "adam"}, default="adam"
        "sgd" and "adam" train by mini-batches, "lbfgs" on all the data at once and in float64.
    alpha : float, default=0.0001
        Strength of the L2 penalty on `coefs_`; intercepts are free.
    batch_size : int or "auto", default="auto"
        Rows of a mini-batch; "auto" is ``min(200, n_samples)``. Not used by "lbfgs".
    learning_rate : {"constant", "invscaling", "adaptive"}, default="constant"
        Schedule of solver "sgd". "invscaling" is ``learning_rate_init / (t_ + 1)**power_t``, `t_` counting the
        samples seen; "adaptive" divides the rate by 5 instead of stopping, until it is 1e-6 or less.
    learning_rate_init : float, default=0.001
        Initial rate of "sgd" and "adam".
    power_t : float, default=0.5
        Exponent of "invscaling".
    max_iter : int, default=200
        Most epochs, or iterations of "lbfgs".
    shuffle : bool, default=True
        Draw a new order of the rows for every epoch.
    random_state : int, RandomState instance or None, default=None
        Source of initial weights, of the validation split and of the order of rows. An int starts anew at every
        call of `fit` and `partial_fit`.
    tol : float, default=1e-4
        An epoch must improve the best loss, or validation score, by this much to count as progress; for "lbfgs" the
        largest gradient at which to stop.
    verbose : bool or int, default=False
        Print the loss of every epoch or iteration.
    warm_start : bool, default=False
        Let `fit` go on from the parameters that are there.
    momentum : float, default=0.9
        Momentum of "sgd", in [0, 1].
    nesterovs_momentum : bool, default=True
        Use Nesterov's form of it.
    early_stopping : bool, default=False
        Set rows aside, score them after every epoch, stop when the score no longer improves, and keep the
        parameters of the best. Not used by "lbfgs".
    validation_fraction : float, default=0.1
        Share of the rows set aside by `early_stopping`.
    beta_1 : float, default=0.9
        Decay of adam's first moment, in [0, 1).
    beta_2 : float, default=0.999
        Decay of adam's second moment, in [0, 1).
    epsilon : float, default=1e-8
        Added to adam's denominator, outside of the bias correction.
    n_iter_no_change : int or inf, default=10
        Epochs without progress to put up with.
    max_fun : int, default=15000
        Most evaluations of loss and gradient by "lbfgs".

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Labels, sorted; of an indicator matrix the column numbers.
    coefs_ : list of ndarray of shape (fan_in, fan_out)
        Weights of each layer. What is assigned to them is what the next call uses.
    intercepts_ : list of ndarray of shape (fan_out,)
        Biases of each layer, likewise.
    loss_ : float
        Loss of the last epoch or iteration, penalty included; NaN if interrupted before the end of the first.
    best_loss_ : float or None
        Lowest loss of an epoch; None with `early_stopping`. Not for "lbfgs".
    loss_curve_ : list of float
        Loss of each epoch. Not for "lbfgs".
    n_iter_ : int
        Epochs or iterations of the last call.
    n_layers_ : int
        Layers, input and output included.
    n_outputs_ : int
        Outputs.
    t_ : int
        Training samples seen, epochs times rows.
    n_features_in_ : int
        Features.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the features, if X had any that were all strings.
    validation_scores_ : list of float or None
        Accuracy on the validation rows after each epoch, with `early_stopping`. Not for "lbfgs".
    best_validation_score_ : float or None
        Highest of them. Not for "lbfgs".
    out_activation_ : str
        "softmax" for three classes and more, else "logistic".

    See Also
    --------
    MLPRegressor : The same network for regression.
    from_sklearn : Take over a model fitted by scikit-learn.

    Notes
    -----
    With the same integer seed and float64 data the results are scikit-learn's to rounding; `docs/deviations.md` lists
    where they are meant to differ. The source of the method is Glorot and Bengio (2010) for the initial weights,
    Kingma and Ba (2014) for adam, Nesterov (1983) and Sutskever et al. (2013) for sgd's momentum.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from fastmlp import MLPClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> model = MLPClassifier(random_state=1, max_iter=500).fit(X, y)
    >>> model.predict_proba(X[:2]).shape
    (2, 3)
    >>> model.score(X, y) > 0.95
    True
    """

    loss = "log_loss"  # an attribute of scikit-learn's, not a parameter
    _validation_score = Accuracy

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags

    def _encode(self, y, first, incremental):
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y.toarray() if issparse(y) else y, warn=True)
        learn = not hasattr(self, "classes_") or not (self.warm_start or incremental)
        if learn:
            self._label_binarizer = LabelBinarizer().fit(y)
            self.classes_ = self._label_binarizer.classes_
        elif not hasattr(self, "_label_binarizer"):
            # the first partial_fit: labels come from its `classes`, but only y tells whether it is multilabel
            self._label_binarizer = LabelBinarizer().fit(y if y.ndim == 2 else self.classes_)
        kind = self._label_binarizer.y_type_
        if kind.startswith("multilabel") != (y.ndim == 2):
            raise ValueError(f"y of shape {y.shape} does not go on from the {kind} targets of the call before.")
        if y.ndim == 2:
            if not learn:
                labels = unique_labels(y)
                if len(labels) != len(self._label_binarizer.classes_) or not np.isin(labels, self.classes_).all():
                    raise self._labels_error(labels, incremental)
            y = y.toarray() if issparse(y) else y
            return (y != 0).astype(np.uint8, order="C"), y.shape[1], "binary_log_loss"
        codes = self._codes(y)
        lacking = not learn and not incremental and codes is not None and len(np.unique(codes)) < len(self.classes_)
        if codes is None or lacking:
            raise self._labels_error(unique_labels(y), incremental)
        if kind == "multiclass":
            return codes, len(self.classes_), "log_loss"
        return (codes == 1).astype(np.uint8)[:, None], 1, "binary_log_loss"

    def _codes(self, y):
        """Positions of labels in classes_, without a matrix of one column per class; None if some are not there."""
        try:
            codes = np.searchsorted(self.classes_, y)
            np.minimum(codes, len(self.classes_) - 1, out=codes)
            return codes.astype(np.intp, copy=False) if np.all(self.classes_[codes] == y) else None
        except TypeError:  # labels that do not compare with those known
            return None

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
    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X, y, sample_weight=None, classes=None):
        """Train one epoch on the given data, going on from the parameters and the optimizer's state as they are.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Training data.
        y : array-like of shape (n_samples,) or (n_samples, n_labels)
            Class labels or an indicator matrix.
        sample_weight : float or array-like of shape (n_samples,), default=None
            Non-negative weights, not all zero.
        classes : array-like of shape (n_classes,), default=None
            All labels that will ever be seen. Needed at the first call, optional and unchanged afterwards. `y` may
            lack some of them.

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
        with unchanged_on_error(self):
            if _check_partial_fit_first_call(self, classes):
                vars(self).pop("_label_binarizer", None)
            return self._fit(X, y, sample_weight, incremental=True)

    def predict(self, X):
        """Predict class labels.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Samples.

        Returns
        -------
        y : ndarray of shape (n_samples,) or (n_samples, n_labels)
            The most probable class of each sample; for multilabel 1 where the probability exceeds 0.5, sparse if the
            model was fitted to a sparse y.

        Raises
        ------
        ValueError
            If X has another number of features, or values that are not finite.
        """
        outputs = self._outputs(X)
        if self.n_outputs_ == 1:
            return self.classes_.take(outputs[:, 0] > 0.5, mode="clip")  # one class alone has no second
        if self.out_activation_ == "softmax":
            return self.classes_.take(outputs.argmax(axis=1))
        return self._label_binarizer.inverse_transform(outputs)

    def predict_proba(self, X):
        """Probabilities of the classes.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Samples.

        Returns
        -------
        y_prob : ndarray of shape (n_samples, n_classes)
            In the order of `classes_`, in the dtype of ``X @ coefs_[0]``. Rows sum to 1 unless multilabel.

        Raises
        ------
        ValueError
            If X has another number of features, or values that are not finite.
        """
        outputs = self._outputs(X)
        if self.n_outputs_ > 1:
            return outputs
        both = np.empty((len(outputs), 2), dtype=outputs.dtype)
        both[:, 1] = outputs[:, 0]
        np.subtract(1, outputs[:, 0], out=both[:, 0])
        return both

    def predict_log_proba(self, X):
        """Logarithms of the probabilities of the classes.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Samples.

        Returns
        -------
        log_y_prob : ndarray of shape (n_samples, n_classes)
            ``log(predict_proba(X))``; -inf, without a warning, for a probability of 0.
        """
        return logarithm(self.predict_proba(X))
