#!/usr/bin/env bash
# An activated .venv whose pins are stale: bootstrap.sh brings torch up to date before it configures, and adds what the tests want
# afterwards. Compilers, pip and the rest are stand-ins that note what they are asked for; nothing is installed or built.
#   tests/static/bootstrap_pins.sh EMPTY_FOLDER
set -euo pipefail

source_root="$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)"
work="$1"
rm -rf "$work"
mkdir -p "$work/project/cmake" "$work/project/.venv/bin" "$work/tools"
cp "$source_root"/cmake/bootstrap.sh "$source_root"/cmake/requirements*.txt "$work/project/cmake/"
export NOTES="$work/notes"
touch "$NOTES"

# Arguments: a program's path and what it does.
stand_in() {
  printf '#!/usr/bin/env bash\n%s\n' "$2" >"$1"
  chmod +x "$1"
}

for name in c++ clang++; do stand_in "$work/tools/$name" 'cat >/dev/null'; done # bootstrap.sh writes to them
for name in ninja python3 apt-get; do stand_in "$work/tools/$name" 'exit 0'; done
stand_in "$work/tools/ctest" 'echo tests >>"$NOTES"'
stand_in "$work/tools/cmake" 'case "$1" in
  --version) echo "cmake version 99.0" ;;
  --preset) echo configure >>"$NOTES" ;;
  --build) for _ in {1..300}; do grep -q requirements-test "$NOTES" && break; sleep 0.1; done; echo built >>"$NOTES" ;;
esac'
# Has torch, and of the pins those that it was asked to install.
stand_in "$work/project/.venv/bin/python" 'case "$1" in
  -) cat >/dev/null; grep -qx "install $(basename "$2")" "$NOTES" ;;
  -m) echo "install $(basename "${@: -1}")" >>"$NOTES" ;;
esac'
stand_in "$work/project/.venv/bin/pip" 'exit 0'

env -u KVTRANSFER_PYTHON VIRTUAL_ENV="$work/project/.venv" PATH="$work/tools:$PATH" "$work/project/cmake/bootstrap.sh" test >"$work/log" 2>&1 || {
  cat "$work/log" >&2
  exit 1
}

expected=$'install requirements.txt\nconfigure\ninstall requirements-test.txt\nbuilt\ntests'
if [[ "$(cat "$NOTES")" != "$expected" ]]; then
  printf 'bootstrap.sh test: expected\n%s\ngot\n%s\n' "$expected" "$(cat "$NOTES")" >&2
  exit 1
fi
