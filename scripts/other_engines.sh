#!/bin/sh
# Runs the tests that need nnInteractive's own packages, which bring nnU-Net along: in an environment of their own, on top of
# the one of the project, so that they change nothing there.
set -eu

VENV="${VENV:-.venv}"
OTHER="$VENV-engines"

if [ ! -e "$OTHER/.ready" ]; then
    "$VENV/bin/python" -m venv "$OTHER"
    site() { "$1/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))'; }
    site "$VENV" >"$(site "$OTHER")/project.pth"
    "$OTHER/bin/python" -m pip install --quiet --disable-pip-version-check -c constraints.txt "nninteractive>=2.6,<3"
    touch "$OTHER/.ready"
fi
OMP_NUM_THREADS=1 exec "$OTHER/bin/python" -m pytest tests/interactive/test_interactive_nninteractive.py
