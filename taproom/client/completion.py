"""Shell completion of the command `taproom`: a script for each shell, and the words that the script asks for.

The scripts call `taproom completion SHELL WORD...` with the words so far, of which the last is incomplete.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

SCRIPTS = {
    "bash": """\
_taproom() {
    local IFS=$'\\n'
    COMPREPLY=($(taproom completion bash "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null))
}
complete -o default -F _taproom taproom""",
    "zsh": """\
#compdef taproom
_taproom() {
    local -a found=("${(@f)$(taproom completion zsh "${(@)words[2,CURRENT]}" 2>/dev/null)}")
    if [[ -n "$found" ]]; then compadd -a found; else _files; fi
}
compdef _taproom taproom""",
    "fish": """\
function __taproom_complete
    set -l found (taproom completion fish (commandline -opc)[2..] "$(commandline -ct)" 2>/dev/null)
    if test -n "$found"
        printf '%s\\n' $found
    else
        __fish_complete_path (commandline -ct)
    end
end
complete -c taproom -f -a '(__taproom_complete)'""",
}

Arguments = Mapping[str, Mapping[str, Any]]


def completions(words: Sequence[str], commands: Mapping[str, Arguments]) -> list[str]:
    """The words that may come last. Where there are none, shells offer files.

    Args:
        words: the words after `taproom`; the last is incomplete or empty.
        commands: the subcommands with their arguments, by name, as argparse takes them.

    >>> commands = {"head": {"table": {}, "--rows": {}}, "help": {}}
    >>> completions(["he"], commands), completions(["head", "--"], commands)
    (['head', 'help'], ['--rows'])
    """
    *before, last = words
    found = _candidates(before, last, commands) if before else list(commands)
    return [word for word in found if word.startswith(last)]


def _candidates(before: Sequence[str], last: str, commands: Mapping[str, Arguments]) -> list[str]:
    arguments = commands.get(before[0], {})
    options = {name: about for name, about in arguments.items() if name.startswith("-")}
    positional = [name for name in arguments if name not in options]
    values, option = _parsed(before[1:], options)
    if option:
        return [*options[option].get("choices", ())]
    if last.startswith("-"):
        return [*options]
    expected = positional[len(values) : len(values) + 1] or [
        name for name in positional[-1:] if arguments[name].get("nargs") == "*"
    ]
    if {"table", "tables"} & {*expected}:
        return _tables(before)
    return [choice for name in expected for choice in arguments[name].get("choices", ())]


def _parsed(words: Sequence[str], options: Arguments) -> tuple[list[str], str | None]:
    """The positional arguments among the words, and the option whose value comes next."""
    values, option = [], None
    for word in words:
        if option:
            option = None
        elif word in options:
            option = word if "action" not in options[word] else None
        else:
            values.append(word)
    return values, option


def _tables(words: Sequence[str]) -> list[str]:
    """The tables of the warehouse that the words name, or of the default one; none where it cannot be read."""
    from taproom.errors import TaproomError
    from taproom.warehouse.catalog import heads
    from taproom.warehouse.storage import Storage, default_root

    named = dict(pairwise(words)).get("--warehouse")
    try:
        return list(heads(Storage(named or default_root())))
    except (TaproomError, OSError):
        return []
