"""Functions in several threads at once."""

import threading
from concurrent.futures import ThreadPoolExecutor


def in_threads(*functions):
    """Run functions in a thread each, which begin together; their results. What one of them raises is raised here."""
    begin = threading.Barrier(len(functions))

    def run(function):
        begin.wait()
        return function()

    with ThreadPoolExecutor(len(functions)) as threads:
        return list(threads.map(run, functions))
