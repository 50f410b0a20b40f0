#!/bin/sh
# Makes the virtual environment and, on Debian or Ubuntu as root, installs the libraries that Qt and OpenGL need.
set -eu

PYTHON="${PYTHON:-python3}"
VENV="${VENV:-.venv}"
LIBRARIES="xvfb xauth libegl1 libgl1 libgl1-mesa-dri libdbus-1-3 libxkbcommon-x11-0 libxcb-cursor0 libxcb-icccm4
libxcb-image0 libxcb-keysyms1 libxcb-randr0 libxcb-render-util0 libxcb-shape0 libxcb-xinerama0"

fail() {
    echo "setup: $1" >&2
    exit 1
}

missing_libraries() {
    for name in $LIBRARIES; do
        dpkg-query -W -f='${Status}\n' "$name" 2>/dev/null | grep -q "ok installed" || printf '%s ' "$name"
    done
}

install_libraries() {
    command -v dpkg-query >/dev/null 2>&1 || return 0
    missing=$(missing_libraries)
    [ -n "$missing" ] || return 0
    if [ "$(id -u)" = 0 ]; then
        run=""
    elif command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then
        run="sudo"
    else
        echo "setup: the window needs these Debian packages; install them with: sudo apt-get install $missing" >&2
        return 0
    fi
    echo "setup: installing $missing"
    $run apt-get update -qq
    # shellcheck disable=SC2086
    DEBIAN_FRONTEND=noninteractive $run apt-get install -y -qq --no-install-recommends $missing >/dev/null
}

command -v "$PYTHON" >/dev/null 2>&1 || fail "$PYTHON was not found: install Python 3.11 or newer, or set PYTHON=…"
"$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    fail "$("$PYTHON" --version) is too old: install Python 3.11 or newer, or set PYTHON=…"

install_libraries
[ -x "$VENV/bin/python" ] || "$PYTHON" -m venv "$VENV"
echo "setup: installing Python packages into $VENV"
"$VENV/bin/python" -m pip install --quiet --disable-pip-version-check \
    -c constraints.txt -e ".[all,pyqt6,test]"
