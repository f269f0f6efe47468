"""The command that prints a script by which a shell completes the commands and their options."""

import argparse

__all__ = ["add"]

_BASH = """\
_fastmlp() {{
    local word="${{COMP_WORDS[COMP_CWORD]}}" words=""
    if [ "$COMP_CWORD" -eq 1 ]; then
        words="{commands}"
    elif [[ "$word" == -* ]]; then
        case "${{COMP_WORDS[1]}}" in
{cases}
        esac
    else
        COMPREPLY=($(compgen -f -- "$word"))
        return
    fi
    COMPREPLY=($(compgen -W "$words" -- "$word"))
}}
complete -o filenames -F _fastmlp fastmlp
"""
_ZSH = "autoload -U +X bashcompinit && bashcompinit\n"


def add(subparsers):
    """Add the command to the parser of ``fastmlp``."""
    parser = subparsers.add_parser(
        "completion", help="print a script that completes commands in a shell",
        description="Print a script that completes commands in a shell.",
        epilog='example:\n  eval "$(fastmlp completion bash)"', formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("shell", choices=["bash", "zsh"])
    parser.set_defaults(run=lambda args: _complete(args, subparsers.choices))


def _complete(args, commands):
    cases = "\n".join(
        f'            {name}) words="{" ".join(sorted(parser._option_string_actions))}" ;;'
        for name, parser in commands.items()
    )
    print((_ZSH if args.shell == "zsh" else "") + _BASH.format(commands=" ".join(commands), cases=cases), end="")
    return 0
