"""What the commands' arguments have in common."""

import argparse

__all__ = ["command", "count", "json_option", "positive", "runs_option", "share", "size"]


def command(subparsers, name, run, does, *examples):
    """The parser of a command, which `run` does; `does` says what that is."""
    shown = "\n".join(f"  {example}" for example in examples)
    parser = subparsers.add_parser(
        name, help=does, description=f"{does[0].upper()}{does[1:]}.", epilog=f"examples:\n{shown}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.set_defaults(run=run)
    return parser


def json_option(parser):
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def share(text):
    value = float(text)
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"must be between 0 and 1, got {text}")
    return value


def count(text):
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, got {text}")
    return value


def size(text):
    """Bytes, given in MiB."""
    value = float(text)
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"must be at least 0, got {text}")
    return int(value * 2**20)


def positive(text):
    value = float(text)
    if not value > 0:
        raise argparse.ArgumentTypeError(f"must be above 0, got {text}")
    return value


def runs_option(parser):
    """The option of all commands that look at runs."""
    parser.add_argument("--runs", default="runs", metavar="FOLDER", help="folder of runs; default: %(default)s")
