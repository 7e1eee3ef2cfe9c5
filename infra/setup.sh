#!/usr/bin/env bash
# What `make` needs on a new machine. Asks nothing, and does nothing twice.
#
#   infra/setup.sh python REQUIREMENT             .venv with this project and the exact versions of constraints.txt
#   infra/setup.sh system COMMAND:PACKAGE ...     system packages whose command, or file, is missing (as root, on Debian or Ubuntu)
#   infra/setup.sh slurm                          the Debian folders with Slurm, outside this one (as root; infra/slurm)
set -euo pipefail
cd "$(dirname "$0")/.."
exec </dev/null

has() { [ -e "$1" ] || command -v "$1" >/dev/null 2>&1; }
can_install() { [ "$(id -u)" = 0 ] && has apt-get; }

apt_install() {
    echo "setup: installing $*" >&2
    local package failed=0
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq
    for package in "$@"; do  # one by one: not every release has every package
        apt-get install -y -qq --no-install-recommends "$package" >/dev/null || failed=1
    done
    return "$failed"
}

# The newest Python of the machine, but at least 3.11.
find_python() {
    local python
    for python in "${PYTHON:-}" python3 python3.14 python3.13 python3.12 python3.11; do
        if [ -n "$python" ] && has "$python" && "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
            echo "$python"
            return
        fi
    done
    echo "setup: Python 3.11 or newer is missing (PYTHON=/path/to/python names one)" >&2
    return 1
}

make_venv() {
    local python
    python=$(find_python)
    if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then  # Debian ships it apart
        if ! can_install; then
            echo "setup: $python has no venv: install python3-venv" >&2
            return 1
        fi
        apt_install "$("$python" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')"
    fi
    "$python" -m venv .venv
}

install_python() {
    [ -x .venv/bin/python ] || make_venv
    echo "setup: installing Python packages into .venv (the first time takes a few minutes)" >&2
    .venv/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e "$1" -e ./client
}

install_system() {
    local pair missing=()
    for pair in "$@"; do
        has "${pair%%:*}" || missing+=("${pair#*:}")
    done
    [ "${#missing[@]}" -gt 0 ] || return 0
    if can_install; then
        apt_install "${missing[@]}" || echo "setup: could not install all of: ${missing[*]}. Carrying on." >&2
    else
        echo "setup: missing, and only root can install it: ${missing[*]}. Carrying on without." >&2
    fi
}

install_slurm() {
    if infra/slurm/roots.sh --check >/dev/null; then
        return
    fi
    if [ "$(id -u)" != 0 ]; then
        echo "setup: Slurm is missing, and only root can make its Debian folders. Carrying on without." >&2
    elif ! infra/slurm/roots.sh >&2; then
        echo "setup: could not make the Debian folders with Slurm. Carrying on without." >&2
    fi
}

case "${1:-}" in
    python) install_python "$2" ;;
    system) shift && install_system "$@" ;;
    slurm) install_slurm ;;
    *) sed -n '2,6p' "$0" >&2 && exit 2 ;;
esac
