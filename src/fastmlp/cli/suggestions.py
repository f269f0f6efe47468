"""What a wrong name may have meant."""

import difflib

__all__ = ["did_you_mean"]


def did_you_mean(name, known):
    """The end of a sentence: the name that comes closest, or a full stop."""
    close = difflib.get_close_matches(str(name), [*map(str, known)], n=1, cutoff=0.5)
    return f"; did you mean {close[0]!r}?" if close else "."
