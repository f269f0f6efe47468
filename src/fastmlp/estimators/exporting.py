"""The estimators' methods that give a fitted model another form."""

import os

from ..exports.c_source import c_source
from ..exports.files import write
from ..exports.onnx_graph import to_onnx
from ..exports.scikit_learn import to_sklearn
from ..training.disk import replace_file
from .rebuilding import rebuilt

__all__ = ["ExportMixin", "SaveMixin"]


class SaveMixin:
    """For all estimators: what writes a file."""

    def save(self, path):
        """Write the estimator, fitted or not, to a file of data alone, which `fastmlp.load` reads.

        Its arrays are those of a safetensors container, named ``coefs_.0``, ``intercepts_.0`` and so on; the rest is
        JSON in its metadata. The same estimator always makes the same bytes. Of a `Perceptron` the arrays are ``coef_``
        and ``intercept_``, of an estimator of tables ``members_.0.parameters.0`` and so on, and those of its columns,
        ``encoder_.columns.center`` and others.

        Parameters
        ----------
        path : str or path-like
            The file; its directory must exist. What was there is replaced once the new file is whole.

        Raises
        ------
        TypeError
            If it is an instance of a subclass, or has a parameter or attribute that is no data.
        ValueError
            If its parameters are not valid, or its attributes not those of one model.
        OSError
            If the file cannot be written, or is a directory, a pipe or a device. What was there is as it was.
        ImportError
            If safetensors is not installed: ``pip install "fastmlp[files]"``.

        Warns
        -----
        UserWarning
            If something of training alone is left out, by its name: callbacks, functions as `lr_schedule` or
            `scoring`, checkpoint_path, attributes that are not the estimator's own.
        """
        write(self, path, lambda name, params, fitted: rebuilt(type(self), params, fitted))

    def to_c(self, path=None, *, name="fastmlp", dtype="float32"):
        """Write the fitted model as one file of C, for devices that run no Python.

        The file is C99 (and valid C++11), needs only the headers ``<math.h>`` and ``<stdint.h>``, a model of tables
        ``<string.h>`` as well, allocates nothing and predicts one row at a time: ``NAME_predict`` and, of a
        classifier, ``NAME_predict_proba`` or, for loss="hinge" and of a `Perceptron`, ``NAME_decision_function``. Its
        first comment says how to call them and how much memory it takes. Networks compute in float32, whatever the
        precision of the model. docs/c.md has more, the errors of "int8" included.

        A model of tables takes an array of numbers and one of texts; the first comment says which column is where.
        Columns are scaled in double.

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
            If `name` is no C identifier, `dtype` another, or a parameter of a network not finite in float32.
        OSError
            If the file cannot be written. What was there is as it was.

        References
        ----------
        Wu et al., "Integer Quantization for Deep Learning Inference: Principles and Empirical Evaluation" (2020), for
        symmetric steps, one for each unit. Nagel et al., "Data-Free Quantization Through Weight Equalization and Bias
        Correction" (2019), for features multiplied by their largest weight, which is divided out of the weights.
        """
        source = self._c_source(name, dtype)
        if path is None:
            return source
        replace_file(os.fsdecode(path), lambda file: file.write(source.encode("ascii")), streams=True)
        return None


class ExportMixin(SaveMixin):
    """For the estimators of matrices."""

    _c_source = c_source

    def to_sklearn(self):
        """Give the model back as scikit-learn's own estimator; the opposite of `from_sklearn`.

        Returns
        -------
        sklearn.neural_network.MLPClassifier or MLPRegressor, or sklearn.linear_model.Perceptron
            With the same parameters, as far as there are such, and, if fitted, copies of all that was learnt, the
            optimizer's state included.

        Raises
        ------
        ValueError
            If scikit-learn's has no such activation, loss, solver or kind of target.
        """
        return to_sklearn(self)

    def to_onnx(self, *, dtype="float32", opset=18):
        """The model in the Open Neural Network Exchange format, for ONNX Runtime and others; needs `fastmlp[onnx]`.

        Its input is ``X`` of shape (n_samples, n_features), any number of rows. Its outputs have the names that
        skl2onnx gives them:

        - Regression: ``variable`` of shape (n_samples, n_outputs), also for one output.
        - Classification: ``label``, what `predict` gives, as int64 or strings, and ``probabilities``, what
          `predict_proba` gives; for loss="hinge" and of a `Perceptron` ``scores`` instead, what `decision_function`
          gives. For several outputs of classes ``probabilities`` is a sequence with a tensor for each.

        Parameters
        ----------
        dtype : {"float32", "float64"}, default="float32"
            Type of the input and of the arithmetic, whatever that of the model.
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
            If a parameter is refused, if the weights are beyond `dtype` or larger than such a file may be, or if
            classes are neither strings nor whole numbers.

        See Also
        --------
        fastmlp.register_onnx_converters : For pipelines.

        Notes
        -----
        Format and operators: https://onnx.ai/onnx/operators/.
        """
        return to_onnx(self, dtype=dtype, opset=opset)
