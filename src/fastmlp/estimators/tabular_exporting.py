"""The methods of the estimators of tables that give a fitted model another form."""

from ..exports.c_tables import table_to_c
from ..exports.onnx_tables import table_to_onnx
from .exporting import SaveMixin

__all__ = ["TabularExportMixin"]


class TabularExportMixin(SaveMixin):
    """For the estimators of tables."""

    _c_source = table_to_c

    def to_onnx(self, *, dtype="float64", opset=18):
        """The model in the Open Neural Network Exchange format, for ONNX Runtime and others; needs `fastmlp[onnx]`.

        It takes raw columns: an input of shape (n_samples, 1) for each, in the order of `fit`, any number of rows. Its
        name is that of the column, with an underscore for what is no letter, digit or underscore of ASCII and a number
        behind it where another value has the name; x0, x1, ... if columns have no names. What it takes depends on what
        the column was in `fit`, and is in its description:

        - Numbers, durations and times of the day in seconds: `dtype`; NaN is a gap.
        - Dates: int64, microseconds since 1970 in UTC; NaT as int64 is a gap.
        - Strings, categories and bools: strings. A whole number is written as "3", another one as Python writes it, a
          bool as "True" or "False". The empty string is a missing value; where that is a level, "NaN" is.

        A column that was empty in `fit` takes numbers, which have no effect. The outputs:

        - Regression: ``variable`` of shape (n_samples, n_outputs), also for one output.
        - Classification: ``label``, what `predict` gives, as int64 or strings, and ``probabilities``, what
          `predict_proba` gives, as float32.

        Parameters
        ----------
        dtype : {"float64", "float32"}, default="float64"
            Type of the numbers that go in and of ``variable``. Columns are scaled in float64 either way, and networks
            compute in float32.
        opset : int, default=18
            Version of the operators, from 15 to the latest of the installed onnx. A runtime must know it: ONNX Runtime
            does 18 since 1.14 (2023).

        Returns
        -------
        onnx.ModelProto
            Checked; ``onnx.save(model, path)`` writes it, ``model.SerializeToString()`` gives its bytes.

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        ImportError
            If onnx is not installed.
        ValueError
            If a parameter is refused, if targets are beyond `dtype` or the networks larger than such a file may be, or
            if classes are neither strings nor whole numbers.

        Notes
        -----
        Format and operators: https://onnx.ai/onnx/operators/.
        """
        return table_to_onnx(self, dtype=dtype, opset=opset)
