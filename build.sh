#!/usr/bin/env bash
# The one entry: install what is needed, build, try, test, measure.
#
#   ./build.sh demo [--once]     watch whales' trades being copied, on loopback, under .run/
#   ./build.sh test [NAME...]    every test, or those suites (unit asan conformance nginx e2e faults house)
#   ./build.sh bench [NAME...]   benchmarks, each with its baseline
#   ./build.sh deps | build | fuzz [SECONDS] | faults [ROUNDS] [SEED] | image
#
# Packages come from Debian 12 alone; sudo is asked for only to install them.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")"

runtime_packages=(nginx postgresql-15 nodejs ca-certificates)
build_packages=(gcc make pkg-config nginx-dev libpq-dev libuv1-dev libcurl4-openssl-dev libwslay-dev
  libmicrohttpd-dev libcjson-dev libjsmn-dev libssl-dev libsystemd-dev zlib1g-dev)
test_packages=(libcmocka-dev perl curl npm systemd libclang-rt-14-dev clang clang-format procps iproute2)
bench_packages=(wrk)

say() { printf '\033[1m==> %s\033[0m\n' "$*" >&2; }
die() { printf 'build.sh: %s\n' "$*" >&2; exit 1; }

# Installs what is missing of the packages named. Servers that come with them are not started.
need() {
    local missing=() package
    for package in "$@"; do
        case $package in # another Node than Debian's will do
            nodejs) command -v node >/dev/null && continue ;;
            npm) command -v npm >/dev/null && continue ;;
        esac
        [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing+=("$package")
    done
    [ ${#missing[@]} -eq 0 ] && return 0
    local as_root=()
    if [ "$(id -u)" != 0 ]; then
        command -v sudo >/dev/null || die "these Debian packages are missing, and there is no sudo: ${missing[*]}"
        as_root=(sudo)
    fi
    say "installing ${missing[*]}"
    local policy=/usr/sbin/policy-rc.d made=
    if [ ! -e "$policy" ]; then
        printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee "$policy" >/dev/null
        "${as_root[@]}" chmod 755 "$policy"
        made=yes
    fi
    local status=0
    "${as_root[@]}" apt-get -qq update || status=$?
    [ $status -eq 0 ] && { "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends \
        install "${missing[@]}" >/dev/null || status=$?; }
    [ -n "$made" ] && "${as_root[@]}" rm -f "$policy"
    [ $status -eq 0 ] || die "apt-get failed ($status)"
}

compile() {
    need "${runtime_packages[@]}" "${build_packages[@]}"
    make -s -j"$(nproc)" all
}

client_packages() { # public exchange clients for the end-to-end tests
    [ -d tests/e2e/node_modules ] && [ tests/e2e/node_modules -nt tests/e2e/package-lock.json ] && return 0
    say 'installing public exchange clients (npm)'
    npm --prefix tests/e2e ci --silent --no-audit --no-fund && touch tests/e2e/node_modules
}

demo() {
    compile
    exec node scripts/demo.mjs "$@"
}

suite_unit() {
    make -s -j"$(nproc)" tests
    run_binaries build/release/tests/unit/test_*
}
suite_conformance() {
    make -s -j"$(nproc)" tests
    run_binaries build/release/tests/conformance/test_*
}
suite_asan() { # unit, conformance and fault programs again, under AddressSanitizer and UBSan
    make -s -j"$(nproc)" FLAVOUR=asan tests build/asan/workerd
    run_binaries build/asan/tests/unit/test_* build/asan/tests/conformance/test_* build/asan/tests/faults/*
}
run_binaries() {
    local program
    for program in "$@"; do
        [ -x "$program" ] && [ -f "$program" ] || continue
        say "$program"
        UBSAN_OPTIONS=print_stacktrace=1 ASAN_OPTIONS=detect_leaks=1 "$program" || return 1
    done
}
suite_nginx() { make -s all && prove -v tests/nginx; }
suite_e2e() {
    make -s all
    client_packages
    node --test tests/e2e/*.test.mjs
}
suite_faults() {
    make -s -j"$(nproc)" all tests
    run_binaries build/release/tests/faults/*
    node scripts/faults.mjs --rounds "${FAULT_ROUNDS:-10}" --seed "${FAULT_SEED:-1000}" # any number by hand: ./build.sh faults
}
suite_house() { prove -v tests/house; }

run_tests() {
    need "${runtime_packages[@]}" "${build_packages[@]}" "${test_packages[@]}"
    make -s -j"$(nproc)" all
    local suites=("$@") suite failed=() passed=0
    [ ${#suites[@]} -gt 0 ] || suites=(house unit conformance asan nginx e2e faults)
    for suite in "${suites[@]}"; do
        declare -F "suite_$suite" >/dev/null || die "no such suite: $suite"
        say "suite $suite"
        set +e # a subshell of its own, not a condition: there, bash would go on after a failure
        (set -e; "suite_$suite")
        local status=$?
        set -e
        if [ $status -eq 0 ]; then passed=$((passed + 1)); else failed+=("$suite"); fi
    done
    [ ${#failed[@]} -eq 0 ] || printf 'failed suites: %s\n' "${failed[*]}"
    printf '%d passed, %d failed\n' "$passed" "${#failed[@]}"
    [ ${#failed[@]} -eq 0 ]
}

run_benches() {
    need "${runtime_packages[@]}" "${build_packages[@]}" "${bench_packages[@]}"
    make -s -j"$(nproc)" all benches
    bash bench/run.sh "$@"
}

run_fuzzers() {
    need "${build_packages[@]}" clang libclang-rt-14-dev
    make -s -j"$(nproc)" fuzzers
    local target
    for target in build/fuzz/fuzz_*; do
        say "$target"
        mkdir -p "build/corpus/$(basename "$target")"
        "$target" -max_total_time="${1:-60}" -print_final_stats=1 "build/corpus/$(basename "$target")"
    done
}

command=${1:-help}
shift || :
case $command in
    deps) need "${runtime_packages[@]}" "${build_packages[@]}" "${test_packages[@]}" "${bench_packages[@]}" ;;
    build) compile ;;
    demo) demo "$@" ;;
    test) run_tests "$@" ;;
    bench) run_benches "$@" ;;
    fuzz) run_fuzzers "$@" ;;
    faults) need "${runtime_packages[@]}" "${build_packages[@]}"; make -s all; exec node scripts/faults.mjs --rounds "${1:-10}" ${2:+--seed "$2"} ;;
    image) docker build -t whale . ;;
    *) sed -n '2,9s/^# \{0,1\}//p' "$0"; [ "$command" = help ] || exit 2 ;;
esac
