"""From what `fit` is given to what members are trained on: columns and targets are learnt, and the rows encoded."""

import numpy as np
from sklearn.utils import check_consistent_length

from ..data.sources import Source
from ..data.tables import TableEncoder
from .inputs import check_total, check_weights
from .streaming import check_source, is_larger_than_memory, loaded_table
from .tabular_members import Rows
from .tabular_streaming import encoded_rows, first_pass

__all__ = ["TabularReadingMixin"]


class TabularReadingMixin:
    """Reading of the data of a fit, in memory or not."""

    def _read(self, X, y, sample_weight, X_val, y_val, seed):
        """The data of a fit as `Rows`, a sample of them drawn by the seed; learns columns and targets."""
        if isinstance(X_val, Source):
            X_val, y_val, _ = loaded_table(X_val, ("X_val", "y_val"), (y_val,))
        if (X_val is None) != (y_val is None):
            raise ValueError(f"{'X_val' if X_val is None else 'y_val'} is missing: X_val and y_val go together.")
        if is_larger_than_memory(X):
            check_source(X, ("X", "y", "sample_weight"), (y, sample_weight))
            return self._read_blocks(X, X_val, y_val, seed)
        X, y, sample_weight = loaded_table(X, ("X", "y", "sample_weight"), (y, sample_weight))
        name = type(self).__name__
        if y is None:
            raise ValueError(f"{name} requires y to be passed, but the target y is None.")
        encoder = TableEncoder(categorical_features=self.categorical_features, estimator=name)
        numbers, codes = encoder.fit_transform(X)
        labels = self._checked_y(y, "y")
        check_consistent_length(numbers, labels)
        n = len(numbers)
        if n < 2:
            raise ValueError(f"{name} needs at least two rows, got n_samples={n}.")
        self._learn_columns(encoder)
        score_weight = check_weights(sample_weight, numbers, np.float32)
        self._learn_targets(labels, labels)
        engine_y = self._engine_y(labels, "y")
        parts = [numbers, codes, engine_y, labels, score_weight]
        if X_val is not None:
            parts = [
                None if own is None else np.concatenate([own, of_val])
                for own, of_val in zip(parts, self._validation_parts(X_val, y_val), strict=True)
            ]
        numbers, codes, engine_y, all_labels, score_weight = parts
        class_weights = self._class_weights(labels)
        weight = self._weighed(class_weights, engine_y, score_weight)
        if class_weights is not None:
            check_total(weight[:n], np.float32, "sample_weight times class_weight")
        return Rows(numbers, codes, engine_y, weight, all_labels, score_weight, n)

    def _learn_columns(self, encoder):
        self.encoder_, self.n_features_in_ = encoder, encoder.n_features_in_
        if hasattr(encoder, "feature_names_in_"):
            self.feature_names_in_ = encoder.feature_names_in_

    def _validation_parts(self, X_val, y_val):
        """Numbers, codes, targets of both kinds and weights of validation data."""
        try:
            encoded = self.encoder_.transform(X_val)
        except (ValueError, TypeError) as error:
            raise type(error)(f"X_val: {error}") from error
        labels = self._checked_y(y_val, "y_val")
        check_consistent_length(encoded[0], labels)
        return [*encoded, self._engine_y(labels, "y_val"), labels, np.ones(len(labels))]

    def _read_blocks(self, source, X_val, y_val, seed):
        """The data of a fit to a source larger than its window: a sample, or validation data, and files of all rows."""
        found = first_pass(self, source, seed)
        self._learn_columns(found.encoder)
        few = found.statistics.few()
        self._learn_targets(found.labels, few)
        column = found.statistics.columns[0]
        class_weights = self._class_weights(column.values, column.counts)
        files = encoded_rows(self, source, found, class_weights)
        if X_val is not None:
            numbers, codes, y, labels, weights = self._validation_parts(X_val, y_val)
            return Rows(numbers, codes, y, self._weighed(class_weights, y, weights), labels, weights, 0, files)
        sample = [None if array is None else array[found.drawn] for array in files.data]
        return Rows(*sample, found.labels, found.weights, len(found.drawn), files)
