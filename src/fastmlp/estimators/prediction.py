"""Prediction: rows of any kind to the engine, by predictors that are kept from call to call."""

from contextlib import suppress
from functools import partial

import numpy as np
from sklearn.utils.validation import assert_all_finite, check_is_fitted, validate_data

from ..data.sources import Source
from ..data.windows import BlockRows, features_of
from ..engine import Predictor
from ..engine.architecture import weight_shapes
from ..training.arrays import check_parameters, computing_dtype, fits_precision, parameters_dtype
from .inputs import effective_n_jobs, engine_rows, numeric_rows
from .streaming import check_features

__all__ = ["PredictionMixin"]


class _Predictors:
    """The predictors of one model: one for each precision that its rows ask for.

    Parameters
    ----------
    model : BaseMLP
        Fitted.

    Raises
    ------
    ValueError
        If its parameters are not those of one network.
    """

    def __init__(self, model):
        self.coefs, self.intercepts = list(model.coefs_), list(model.intercepts_)
        self.activation, self.out_activation, self.segments = model.activation, model.out_activation_, model._segments
        self.layers = _layers_of(model)
        self.dtype, self.n_jobs = model.dtype, model.n_jobs
        self.max_threads = None
        if self.n_jobs is not None:
            # asked by calls that are worth more than one thread: joblib takes longer to answer than a row to predict,
            # and its answer depends on where it is asked
            self.max_threads = partial(effective_n_jobs, self.n_jobs)
            self.max_threads()  # refuses what is no number of jobs
        self.own_dtype = parameters_dtype(self.coefs)
        self.by_precision = {}
        self.by_rows = {}
        # what is no array is converted for each call, as it may have changed
        self.lasting = all(
            isinstance(array, np.ndarray) and np.can_cast(array.dtype, self.own_dtype, "same_kind")
            for array in self.coefs + self.intercepts
        )
        self.own = self._of_precision(self.own_dtype)

    def serve(self, model):
        """Whether the model is as it was: its arrays may have other values, but must be the same objects."""
        return (
            model.n_jobs is self.n_jobs
            and model.dtype is self.dtype
            and self.own.serves(
                model.coefs_,
                model.intercepts_,
                model.activation,
                model.out_activation_,
                model._segments,
                _layers_of(model),
            )
        )

    def of_rows(self, dtype):
        """The predictor for rows of a dtype: it computes in the dtype that NumPy gives X @ coefs_."""
        predictor = self.by_rows.get(dtype)
        if predictor is None:
            dtypes = [getattr(coef, "dtype", np.float64) for coef in self.coefs]
            precision = self.own_dtype
            if self.dtype is None or precision != self.dtype:
                precision = computing_dtype([dtype, *dtypes])
            predictor = self.by_rows[dtype] = self._of_precision(precision)
        return predictor

    def _of_precision(self, dtype):
        predictor = self.by_precision.get(dtype)
        if predictor is None:
            shapes = None if self.layers is None else weight_shapes(self.layers)
            coefs, intercepts = check_parameters(self.coefs, self.intercepts, dtype, shapes)
            predictor = self.by_precision[dtype] = Predictor(
                coefs,
                intercepts,
                self.activation if self.layers is None else None,
                self.out_activation,
                layers=self.layers,
                segments=self.segments,
                max_threads=self.max_threads,
                held=(self.coefs, self.intercepts) if self.lasting else None,
            )
        return predictor


def _layers_of(model):
    return model._layers(getattr(model, "n_features_in_", None), model.n_outputs_)


def _outputs_of_block(predictors, block):
    """Outputs for rows of a source."""
    predictor = predictors.of_rows(block.X.dtype)
    outputs = predictor.quick(block.X)
    if outputs is None:
        rows = f"rows {block.start} to {block.start + len(block.X) - 1}"
        raise ValueError(f"X has values beyond {predictor.dtype}, the precision of the model, in {rows}.")
    return outputs


class PredictionMixin:
    """The forward pass of a fitted network."""

    def _outputs(self, X):
        """The network's outputs, (n_samples, n_outputs_), in the dtype that NumPy gives X @ coefs_."""
        if not hasattr(self, "coefs_"):
            check_is_fitted(self)
        predictors = self._current_predictors()
        # validate_data takes longer than a small network; what it would find right is let through here
        rows = numeric_rows(X, getattr(self, "feature_names_in_", None))
        if rows is not None:
            predictor = predictors.of_rows(rows.dtype)
            outputs = predictor.quick(rows if rows.dtype.char in "fd" else rows.astype(predictor.dtype))
            if outputs is not None:
                return outputs
        if isinstance(X, BlockRows):
            return _outputs_of_block(predictors, X)
        if isinstance(X, Source):
            return self._outputs_of_source(predictors, X)
        predictor, X = self._rows_to_predict(X)
        return predictor(X)

    def _outputs_of_source(self, predictors, source):
        check_features(self, source)
        outputs = None
        for block in features_of(source):
            part = _outputs_of_block(predictors, block)
            if outputs is None:
                outputs = np.empty((source.n_rows, part.shape[1]), part.dtype)
            outputs[block.start : block.start + len(part)] = part
        return outputs

    def _rows_to_predict(self, X):
        """The predictor for X, and validated X as it takes it."""
        predictors = self._current_predictors()
        X = validate_data(self, X, accept_sparse="csr", order="C", reset=False)
        predictor = predictors.of_rows(X.dtype)
        if X.dtype not in (np.float32, np.float64):
            X = X.astype(predictor.dtype)
            assert_all_finite(X, input_name="X")  # None becomes NaN
        X = engine_rows(X)
        if X.dtype.itemsize > predictor.dtype.itemsize and not fits_precision(X, predictor.dtype):
            raise ValueError(f"X has values beyond {predictor.dtype}, the precision of the model.")
        if self._layers(X.shape[1], self.n_outputs_) is None and predictor.coefs[0].shape[0] != X.shape[1]:
            raise ValueError(f"coefs_[0] must be of shape ({X.shape[1]}, fan_out), got {predictor.coefs[0].shape}.")
        return predictor, X

    def _current_predictors(self):
        """The predictors kept for the model, or new ones if it is another by now; kept, where they can be."""
        predictors = vars(self).get("_predictors")
        if predictors is None or not predictors.serve(self):
            predictors = _Predictors(self)
            if predictors.lasting:
                self._predictors = predictors
        return predictors

    def _keep_predictors(self):
        """Make the predictors of the fitted parameters, so that predict need not make them and changes nothing."""
        vars(self).pop("_predictors", None)
        if hasattr(self, "coefs_") and hasattr(self, "out_activation_"):
            # of weights that the user assigned: predict says what is wrong with them
            with suppress(AttributeError, TypeError, ValueError):
                self._current_predictors()
