#!/usr/bin/env bash
# The Debian folders with Slurm that clusters run from: one per release, made once, shared by all, never written to later.
#
#   infra/slurm/roots.sh              make both, or what is missing (as root, with debootstrap; about a minute each)
#   infra/slurm/roots.sh trixie       only that one
#   infra/slurm/roots.sh --check      say what is there; fails when one is missing
#
# They lie in ${XDG_CACHE_HOME:-~/.cache}/kyoyo/slurm/{trixie,sid}. Packages come from where this machine's apt gets its
# own. A folder is built aside and renamed when it is whole, so what has its name and its stamp (etc/kyoyo-root) works.
set -euo pipefail
exec </dev/null

RECIPE=1 # raise it when a root must have something more: older ones are then completed where they are
SUITES=(trixie sid)
PACKAGES=(slurm-wlm slurmdbd slurmrestd slurm-client slurm-wlm-jwt-plugin slurm-wlm-mysql-plugin
    munge mariadb-server procps python3)
CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/kyoyo/slurm

say() { echo "slurm roots: $*" >&2; }

stamp() { cat "$CACHE/$1/etc/kyoyo-root" 2>/dev/null || true; }

is_whole() { [[ "$(stamp "$1")" == *"recipe=$RECIPE"* ]]; }

mirror() { # where apt gets its packages, but not security updates: those are no whole archive
    apt-get indextargets --format '$(SITE)' 2>/dev/null | grep -v security | head -n 1
}

# Installs what is missing in a folder. Whatever is there already is left as it is.
complete() {
    local root=$1
    export DEBIAN_FRONTEND=noninteractive LC_ALL=C
    printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d" # nothing starts while it is installed
    chmod 755 "$root/usr/sbin/policy-rc.d"
    {
        echo 'Acquire::Check-Valid-Until "false";' # a mirror of sid may lag
        apt-config dump | grep -E '^Acquire::https?::Proxy ' || true
    } >"$root/etc/apt/apt.conf.d/99kyoyo"
    chroot "$root" apt-get update -qq
    chroot "$root" apt-get install -y -qq --no-install-recommends "${PACKAGES[@]}"
    chroot "$root" apt-get clean
    rm -rf "$root"/var/lib/apt/lists/* "$root"/var/lib/mysql/*
    printf 'recipe=%s\nsuite=%s\nslurm=%s\n' "$RECIPE" "$2" "$(slurm_version "$root")" >"$root/etc/kyoyo-root"
}

slurm_version() { chroot "$1" slurmctld -V | grep -oE '[0-9]+(\.[0-9]+)+' | head -n 1; }

build() {
    local suite=$1 from aside=$CACHE/$1.part
    from=$(mirror)
    [ -n "$from" ] || { say "apt names no mirror: is this Debian?"; return 1; }
    local options=(--variant=minbase)
    [[ "$from" != https:* ]] || options+=(--include=ca-certificates)
    rm -rf "$aside"
    debootstrap "${options[@]}" "$suite" "$aside" "$from"
    complete "$aside" "$suite"
    rm -rf "${CACHE:?}/$suite"
    mv -T "$aside" "$CACHE/$suite"
}

# One builder at a time for each suite: who comes second finds it made.
make() {
    local suite=$1 log=$CACHE/$1.log step=build
    exec 9>"$CACHE/$suite.lock"
    flock 9
    is_whole "$suite" && return
    [ -x "$CACHE/$suite/usr/bin/apt-get" ] && step=complete
    say "$suite: $step (about a minute)"
    # A process of its own: inside a condition the shell would not stop at the first error.
    "$0" "--$step" "$suite" 9>&- >"$log" 2>&1 || { say "$suite failed; the end of $log:"; tail -n 5 "$log" >&2; return 1; }
}

show() {
    local suite missing=0
    for suite in "$@"; do
        if is_whole "$suite"; then
            echo "$suite: Slurm $(stamp "$suite" | sed -n 's/^slurm=//p') in $CACHE/$suite"
        else
            echo "$suite: not there (as root: infra/slurm/roots.sh $suite)"
            missing=1
        fi
    done
    return "$missing"
}

main() {
    local suite pids=() failed=0
    case "${1:-}" in
        --build) build "$2"; exit ;;
        --complete) complete "$CACHE/$2" "$2"; exit ;;
        --check) shift; show "${@:-${SUITES[@]}}"; exit ;;
    esac
    [ $# -gt 0 ] || set -- "${SUITES[@]}"
    if ! show "$@" >/dev/null; then
        [ "$(id -u)" = 0 ] || { say "only root can make them (chroot, device files)"; return 1; }
        command -v debootstrap >/dev/null || { say "debootstrap is missing: apt-get install debootstrap"; return 1; }
        mkdir -p "$CACHE"
        for suite in "$@"; do
            (make "$suite") & pids+=($!)
        done
        for pid in "${pids[@]}"; do wait "$pid" || failed=1; done
    fi
    show "$@" && [ "$failed" = 0 ]
}

main "$@"
