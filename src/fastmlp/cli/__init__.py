"""The command ``fastmlp``: each module of commands adds its own to the parser."""

import argparse
import sys
from collections.abc import Sequence

from .. import __version__
from . import completion, experiments, models, records

__all__ = ["main", "parser"]

_MODULES = (models, experiments, records, completion)


def parser() -> argparse.ArgumentParser:
    """The parser of all commands."""
    made = argparse.ArgumentParser(prog="fastmlp", description="Neural networks for tables, from the command line.")
    made.add_argument("--version", action="version", version=f"fastmlp {__version__}")
    subparsers = made.add_subparsers(metavar="COMMAND", required=True)
    for module in _MODULES:
        module.add(subparsers)
    return made


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command.

    Parameters
    ----------
    argv : list of str, default=None
        Its arguments; None is those of the process.

    Returns
    -------
    code : int
        0 where it is done, 1 where it could not be, 130 where it was interrupted. Arguments that are wrong end the
        process with 2, as argparse has it.
    """
    args = parser().parse_args(argv)
    try:
        return args.run(args)
    except BrokenPipeError:  # who reads has seen enough
        sys.stderr.close()
        return 0
    except KeyboardInterrupt:
        print("fastmlp: interrupted", file=sys.stderr)
        return 130
    except (ValueError, TypeError, OSError, ImportError) as error:
        print(f"fastmlp: {error}", file=sys.stderr)
        return 1
