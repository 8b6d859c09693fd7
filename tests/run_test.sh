#!/bin/sh
# How `make check` runs a test program, by its name: test_* are unit tests and link the core, so they run as they are;
# abort_* must end in a deliberate abort; every other program is an ordinary one that runs with Quarry preloaded.
set -eu

folder=$(dirname "$0")
case ${1##*/} in
test_*) exec timeout -k 5 "${TEST_TIMEOUT:-120}" "$@" ;;
abort_*) exec "$folder/run_abort.sh" "$@" ;;
*) exec "$folder/run_preloaded.sh" "$@" ;;
esac
