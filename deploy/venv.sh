#!/bin/sh
# Makes a virtual environment with the packages of a lock file, from nothing but Python 3.11 or newer.
# usage: deploy/venv.sh LOCK_FILE [DIRECTORY]
#   PYTHON      the interpreter; otherwise the first that fits of python3, python3.14, python3.13, …
#   DIRECTORY   .venv
# Only wheels whose hashes are in the lock file are installed: nothing is built that would fetch its tools unchecked.
# The installer is the environment's own pip or, where Debian has split that off, a pip or uv found elsewhere. Without
# any of them one sentence names what to install.
set -eu
lock=$1
venv=${2:-.venv}
cd "$(dirname "$0")/.."
export PIP_DISABLE_PIP_VERSION_CHECK=1

find_python() {
    for name in ${PYTHON:-python3 python3.15 python3.14 python3.13 python3.12 python3.11}; do
        if command -v "$name" >/dev/null 2>&1 &&
            "$name" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (4, 0))' 2>/dev/null; then
            command -v "$name"
            return
        fi
    done
    if [ -n "${PYTHON:-}" ]; then
        echo "$PYTHON is not Python 3.11 or newer, which callmon needs." >&2
    else
        echo "callmon needs Python 3.11 or newer, as python3 or python3.14 (Debian or Ubuntu: apt-get install python3-venv), or name one with PYTHON=." >&2
    fi
    return 1
}

has_pip() { "$1" -m pip --version >/dev/null 2>&1; }

find_installer() {
    if has_pip "$venv/bin/python"; then
        echo own
    elif has_pip "$python"; then
        echo pip
    elif command -v uv >/dev/null 2>&1; then
        echo uv
    else
        rm -rf "$venv"
        echo "Python's venv module has no pip to offer here. Install it once: apt-get install python3-venv (or python3-pip, or uv)." >&2
        return 1
    fi
}

install() {
    case $installer in
        own) "$venv/bin/python" -m pip install -q "$@" ;;
        pip) "$python" -m pip --python "$venv/bin/python" install -q "$@" ;;
        uv) uv pip install -q --python "$venv/bin/python" "$@" ;;
    esac
}

# Whether the environment works and is of the version that was asked for, if one was.
fits() {
    version='import sys; print(sys.version_info[:2])'
    has=$("$venv/bin/python" -c "$version" 2>/dev/null) || return 1
    [ -z "${PYTHON:-}" ] || [ "$has" = "$("$python" -c "$version")" ]
}

python=$(find_python)
if ! fits; then
    rm -rf "$venv"
    "$python" -m venv "$venv" >/dev/null 2>&1 || { rm -rf "$venv"; "$python" -m venv --without-pip "$venv"; }
fi
installer=$(find_installer)
echo "installing the pinned packages of $lock into $venv"
install --only-binary :all: --require-hashes -r "$lock" || {
    echo "The packages of $lock could not be installed for $("$venv/bin/python" --version). There are wheels for Python 3.11 to 3.15 on Linux; others can be named with PYTHON=." >&2
    exit 1
}
# What builds callmon itself came from the lock file too.
install --no-deps --no-build-isolation -e .
