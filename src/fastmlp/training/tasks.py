"""Tasks: pure functions of their arguments, which an executor runs anywhere, and again where a process has died."""

from concurrent.futures import BrokenExecutor

__all__ = ["Tasks", "tree"]


class Tasks:
    """What a fit needs of `concurrent.futures` and its like.

    Parameters
    ----------
    executor : object
        With ``submit(function, *arguments)``, which returns a future with `result` and `cancel`. Functions and
        arguments can be pickled.
    """

    def __init__(self, executor):
        self._executor = executor

    def shared(self, value):
        """A value as several tasks take it among their arguments."""
        return value

    def map(self, function, common, each):
        """Results of tasks, in order.

        Parameters
        ----------
        function : callable
        common : tuple
            The first arguments of all tasks.
        each : sequence of tuple
            The others of each.

        Raises
        ------
        RuntimeError
            If the executor takes no tasks any more.
        """
        futures = []
        try:
            futures.extend(self._submitted(function, *common, *arguments) for arguments in each)
            return [future.result() for future in futures]
        finally:
            for future in futures:
                future.cancel()

    def _submitted(self, *task):
        try:
            return self._executor.submit(*task)
        except BrokenExecutor:
            raise
        except RuntimeError as error:
            raise RuntimeError(f"client={self._executor!r} takes no tasks: {error}.") from error

    def reduce(self, combine, function, common, each):
        """The results of tasks, combined two by two as `tree` does it."""
        return tree(combine, self.map(function, common, each))


def tree(combine, values):
    """Neighbours combined, then neighbours among those, and so on: the same order whoever computes it."""
    while len(values) > 1:
        pairs = zip(values[::2], values[1::2], strict=False)
        values = [combine(*pair) for pair in pairs] + values[len(values) // 2 * 2 :]
    return values[0]
