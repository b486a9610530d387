#!/bin/sh
# Makes .venv with the pinned packages of the given lock file, from nothing but Python 3.11 or newer.
# usage: deploy/venv.sh LOCK_FILE
# Three ways, the first that works: the standard library's venv; a venv without pip, filled by a pip found elsewhere
# (bare Debian splits ensurepip off); uv. Otherwise one sentence that names what to install.
set -eu
lock=$1
cd "$(dirname "$0")/.."

find_python() {
    for name in ${PYTHON:-python3 python3.14 python3.13 python3.12 python3.11}; do
        if command -v "$name" >/dev/null 2>&1 &&
            "$name" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 15))' 2>/dev/null; then
            command -v "$name"
            return
        fi
    done
    echo "callmon needs Python 3.11 to 3.14 as python3 (Debian or Ubuntu: apt-get install python3 python3-venv), or name one with PYTHON=." >&2
    return 1
}

python=$(find_python)
make_venv() {
    "$python" -m venv .venv >/dev/null 2>&1 && return 0
    rm -rf .venv
    if command -v uv >/dev/null 2>&1; then
        uv venv -q --seed --python "$python" .venv && return 0
    fi
    if "$python" -m pip --version >/dev/null 2>&1 && "$python" -m venv --without-pip .venv; then
        "$python" -m pip -q --python .venv/bin/python install pip && return 0
    fi
    rm -rf .venv
    echo "Python's venv module has no pip to offer here. Install it once: apt-get install python3-venv (or python3-pip, or uv)." >&2
    return 1
}

.venv/bin/python -m pip --version >/dev/null 2>&1 || { rm -rf .venv; make_venv; }
echo "installing the pinned packages of $lock into .venv"
# --use-pep517: what comes as source alone is made a wheel of, by Debian 12's pip too; else nobody knows its files.
.venv/bin/python -m pip install -q --disable-pip-version-check --use-pep517 --require-hashes -r "$lock"
.venv/bin/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
