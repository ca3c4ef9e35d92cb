#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# completion_test.sh PROGRAM SERAI.BASH: what bash makes of the program's answers.
set -eu
PATH=$(dirname "$1"):$PATH
# shellcheck source=/dev/null
. "$2"
# shellcheck disable=SC2317 # the completion calls it
compopt() { :; } # only there while the shell completes
n=0
failed=0

check() { # line, what it completes to
    n=$((n + 1))
    COMP_LINE=$1 COMP_POINT=${#1} COMPREPLY=()
    _serai
    if [[ "${COMPREPLY[*]-}" == "$2" ]]; then
        echo "ok $n - $1"
    else
        echo "not ok $n - $1: got '${COMPREPLY[*]-}', want '$2'"
        failed=1
    fi
}

echo 1..6
check "serai vm-unp" "vm-unpause"
check "serai -s nowhere vm-unp" "vm-unpause"
check "serai vm-param-get param-name=allowed-V" "allowed-VBD-devices allowed-VIF-devices"
check "serai vm-list params=uuid,power" "uuid,power-state"
check "serai vm-param-set other-c" "other-config:"
check "serai nonsense x" ""
exit $failed
