#!/bin/sh
# debuglink.sh IN OUT: IN stripped, with OUT.debug beside it and a .gnu_debuglink to it.
set -e
objcopy --only-keep-debug "$1" "$2.debug"
strip --strip-all -o "$2" "$1"
cd "$(dirname "$2")"
objcopy --add-gnu-debuglink="$(basename "$2").debug" "$(basename "$2")"
