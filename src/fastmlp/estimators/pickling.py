"""What a pickle of an estimator holds, and what becomes of one that another version wrote."""

import re
import warnings
from typing import ClassVar

from .parameters import constructor_defaults

__all__ = ["PickleMixin"]

_VERSION = "_fastmlp_version"
# The random state of the last fit, which no later call uses: a pickle that has it can be read only by a NumPy whose
# module of random numbers has the same parts
_UNUSED = "_random_state"


def _release(version):
    """The numbers that a version begins with: (1, 2, 3) of "1.2.3.dev0"."""
    return tuple(map(int, re.findall(r"\d+", re.match(r"[\d.]*", version)[0])))


class PickleMixin:
    """The state of an estimator with the version that it is of; goes before scikit-learn's BaseEstimator."""

    _transient: ClassVar[tuple] = ()  # attributes that belong to this process
    _attributes: ClassVar[dict] = {}  # fitted attributes by name, as `Attribute`
    _fitted_by: ClassVar[str]  # the one that tells that there is a model

    def _pickled_attributes(self):
        """Names of the attributes that a pickle keeps."""
        return [name for name in list(vars(self)) if name not in (*self._transient, _UNUSED)]

    def __getstate__(self):
        from .. import __version__  # which is there once all modules are

        kept = self._pickled_attributes()
        state = dict(super().__getstate__())  # at once: another thread may be in a call of `fit`
        return {name: value for name, value in state.items() if name in kept} | {_VERSION: __version__}

    def __setstate__(self, state):
        from .. import __version__

        state = dict(state)
        version = state.pop(_VERSION, None)
        name = type(self).__name__
        by = "another version of fastmlp" if version is None else f"fastmlp {version}"
        needed = [other for other, attribute in self._attributes.items() if attribute.needed]
        if self._fitted_by in state and (missing := [other for other in needed if other not in state]):
            raise ValueError(
                f"This pickle of {name}, written by {by}, has {self._fitted_by} but not {', '.join(missing)}, and"
                f" cannot be used by fastmlp {__version__}: fit anew, or load it where it was written and use `save`."
            )
        if version is not None and _release(version) > _release(__version__):
            warnings.warn(
                f"This pickle of {name} was written by fastmlp {version}, which is newer than this one, {__version__}:"
                " what came with it is not heeded, or does not work. Files of `save` are checked for that.",
                stacklevel=2,
            )
        for parameter in self._get_param_names():  # parameters that the older version lacked
            state.setdefault(parameter, constructor_defaults(type(self))[parameter])
        super().__setstate__(state)
