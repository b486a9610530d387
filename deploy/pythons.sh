#!/bin/sh
# Runs the tests under each Python that callmon supports and that is installed, each in an environment of its own.
# usage: deploy/pythons.sh [OPTIONS FOR PYTEST]
#   PYTHONS     versions to try; "3.11 3.12 3.13 3.14 3.15"
# An interpreter is looked for as python3.N on the path, then among pyenv's. The last lines say which versions passed,
# failed and are missing; fails if one failed or none was found.
set -u
cd "$(dirname "$0")/.." || exit

find_version() {
    for program in "python$1" "${PYENV_ROOT:-$HOME/.pyenv}/versions/$1".*/bin/"python$1"; do
        if [ "$("$program" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)" = "$1" ]; then
            command -v "$program"
            return
        fi
    done
    return 1
}

passed="" failed="" missing=""
for version in ${PYTHONS:-3.11 3.12 3.13 3.14 3.15}; do
    python=$(find_version "$version") || { missing="$missing $version"; continue; }
    venv=.venv/pythons/$version
    echo "Python $version: $python"
    if PYTHON=$python deploy/venv.sh requirements-dev.lock "$venv" && "$venv/bin/python" -m pytest "$@"; then
        passed="$passed $version"
    else
        failed="$failed $version"
    fi
done
echo "passed:${passed:- none}"
echo "failed:${failed:- none}"
echo "not installed:${missing:- none}"
[ -z "$failed" ] && [ -n "$passed" ]
