"""The methods of the estimators of tables that give a fitted model another form."""

from ..exports.c_tables import table_to_c
from ..exports.onnx_tables import table_to_onnx
from .exporting import SaveMixin, written

__all__ = ["TabularExportMixin"]


class TabularExportMixin(SaveMixin):
    """For the estimators of tables."""

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

    def to_c(self, path=None, *, name="fastmlp", dtype="float32"):
        """Write the fitted model as one file of C, for places that run no Python.

        The file is C99 (and valid C++11), needs only ``<math.h>``, ``<stdint.h>`` and ``<string.h>``, allocates nothing
        and predicts one row at a time, from an array of numbers and one of texts: ``NAME_predict`` and, of a
        classifier, ``NAME_predict_proba``. Its first comment says how to call them, which column is where, and how much
        memory it takes. Columns are scaled in double, and networks compute in float32. docs/c.md has more, the errors
        of "int8" included.

        Parameters
        ----------
        path : str or path-like, default=None
            Where to write the file; what was there is replaced once the new one is whole. A pipe with a reader,
            a character device and an open file of the process, such as /dev/stdout, are written to. None returns the
            text.
        name : str, default="fastmlp"
            What the names of the functions and, in capitals, of the constants begin with.
        dtype : {"float32", "int8"}, default="float32"
            Of the weights of dense layers. "int8" takes about a quarter of the memory, and integer multiplications:
            weights are rounded to 127 steps of the largest weight of their unit, inputs of a layer to 32767 steps of
            the largest of the row, sums are exact.

        Returns
        -------
        source : str or None
            The text if `path` is None.

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        ValueError
            If `name` is no C identifier, or `dtype` another.
        OSError
            If the file cannot be written. What was there is as it was.

        See Also
        --------
        MLPClassifier.to_c : The same for matrices of numbers.
        """
        return written(table_to_c(self, name, dtype), path)
