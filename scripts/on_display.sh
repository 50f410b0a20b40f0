#!/bin/sh
# Runs a command on a virtual display of its own, so that tests need neither a screen nor leave windows on one.
set -eu
if command -v xvfb-run >/dev/null 2>&1; then
    exec xvfb-run -a -s "-screen 0 1600x1000x24" "$@"
fi
if [ "$(uname -s)" = Linux ]; then
    echo "xvfb-run was not found: install the packages xvfb and xauth" >&2
    exit 1
fi
exec "$@"
