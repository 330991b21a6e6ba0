"""`perfect completion bash|zsh|fish`: a script for the shell, which asks `perfect __complete` at each press of tab."""

import argparse
from typing import Any

from perfect_sdk.cli.exits import OK

BASH = """\
# eval "$(perfect completion bash)"   in ~/.bashrc
_perfect() {
    local IFS=$'\\n' cur
    local -a words
    _get_comp_words_by_ref -n := -w words -c cur 2>/dev/null || { words=("${COMP_WORDS[@]}"); cur=${COMP_WORDS[COMP_CWORD]}; }
    local -a found=($(perfect __complete -- "${words[@]:1:COMP_CWORD}" 2>/dev/null))
    if [[ ${found[0]} == __files__ ]]; then
        compopt -o filenames 2>/dev/null
        COMPREPLY=($(compgen -f -- "$cur"))
        return
    fi
    local one
    COMPREPLY=()
    for one in "${found[@]}"; do COMPREPLY+=("$(printf %q "${one%%$'\\t'*}")"); done
    [[ ${#COMPREPLY[@]} == 1 && ${COMPREPLY[0]} == *= ]] && compopt -o nospace 2>/dev/null
}
complete -F _perfect perfect
"""
ZSH = """\
#compdef perfect
# eval "$(perfect completion zsh)"   in ~/.zshrc, after compinit
_perfect() {
    local -a found shown
    found=("${(@f)$(perfect __complete -- "${words[@]:1:$((CURRENT-1))}" 2>/dev/null)}")
    if [[ ${found[1]} == __files__ ]]; then
        _files
        return
    fi
    local one
    for one in $found; do
        [[ -n $one ]] && shown+=("${${one%%$'\\t'*}//:/\\\\:}${${(M)one:#*$'\\t'*}:+:${one#*$'\\t'}}")
    done
    _describe perfect shown
}
compdef _perfect perfect
"""
FISH = """\
# perfect completion fish > ~/.config/fish/completions/perfect.fish
function __perfect_complete
    set -l words (commandline -opc) (commandline -ct)
    set -l found (perfect __complete -- $words[2..-1] 2>/dev/null)
    if test "$found[1]" = __files__
        __fish_complete_path (commandline -ct)
    else
        printf '%s\\n' $found
    end
end
complete -c perfect -f -a '(__perfect_complete)'
"""
SCRIPTS = {"bash": BASH, "zsh": ZSH, "fish": FISH}


def register(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "completion",
        help="print a script that teaches the shell to complete commands, flows, runs and files",
        description="Print the completion script of a shell; its first line says where it belongs.",
    )
    parser.add_argument("shell", choices=tuple(SCRIPTS), metavar="SHELL", help="bash, zsh or fish")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    print(SCRIPTS[arguments.shell], end="")
    return OK
