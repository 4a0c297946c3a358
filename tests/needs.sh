# Sourced by `run` and `guarantee`: installs what is missing on a Debian machine.
# shellcheck shell=bash

say() { printf '\n== %s\n' "$*"; }

root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif command -v sudo > /dev/null; then
        sudo "$@"
    else
        echo "tests: needs root or sudo for: $*" >&2
        return 1
    fi
}

missing=()

# Command, and the Debian packages that bring it.
need() {
    local command=$1
    shift
    command -v "$command" > /dev/null || missing+=("$@")
}

# The server's programs are not on the path there.
need_postgres() {
    command -v postgres > /dev/null || compgen -G '/usr/lib/postgresql/*/bin/postgres' > /dev/null || missing+=(postgresql)
}

install_missing() {
    [ ${#missing[@]} -gt 0 ] || return 0
    say "installing ${missing[*]}"
    root env DEBIAN_FRONTEND=noninteractive apt-get update -qq
    root env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "${missing[@]}" > /dev/null
}
