# SPDX-License-Identifier: Apache-2.0
# Completion of serai and xe for bash: commands, parameters, fields, and uuids and names of what there is now.
_serai()
{
    local line=${COMP_LINE:0:COMP_POINT} words word candidates prefix IFS=$'\n'
    # The words as the shell would give them to serai; "=" and ":" do not cut them.
    words=()
    while read -r word; do
        words+=("$word")
    done < <(xargs -n 1 <<<"$line" 2>/dev/null)
    [[ $line == *[[:space:]] ]] && words+=("")
    ((${#words[@]} > 1)) || return 0
    word=${words[-1]}
    candidates=$("${words[0]}" __complete "${words[@]:1}" 2>/dev/null </dev/null)
    # Bash completes only what stands behind the last "=" or ":" of a word.
    prefix=
    if [[ $word == *[=:]* && $COMP_WORDBREAKS == *[=:]* ]]; then
        prefix=${word%"${word##*[=:]}"}
    fi
    COMPREPLY=()
    while read -r word; do
        [[ $word ]] || continue
        word=$(printf %q "${word#"$prefix"}")
        word=${word//\\=/=}
        word=${word//\\,/,}
        COMPREPLY+=("${word//\\:/:}")
    done <<<"$candidates"
    case ${COMPREPLY[0]-} in
    *= | *:) compopt -o nospace ;;
    esac
}
complete -o default -F _serai serai xe
