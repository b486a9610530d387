#!/bin/sh
# Runs callmon: /usr/bin/callmon of the Debian package, the entry point of the image.
# A setting may be given by the file in which it stands: CALLMON_REDIS__URL_FILE=/run/secrets/redis gives
# CALLMON_REDIS__URL. So no secret stands in a unit, a manifest or a process list.
set -eu
for name in $(env | sed -n 's/^\(CALLMON_[A-Z0-9_]*__[A-Z0-9_]*\)_FILE=.*/\1/p'); do
    eval "file=\${${name}_FILE}"
    # shellcheck disable=SC2154  # eval gave it
    value=$(cat -- "$file") || exit 1
    export "$name=$value"
    unset "${name}_FILE"
done
# For administrators at a shell: root may read what the units are given. All commands go as the monitor's user on Redis,
# but for callmon check --gateway.
config=${CALLMON_ETC:-/etc/callmon}/callmon.toml
redis=${CALLMON_ETC:-/etc/callmon}/redis/monitor.url
if [ "${1-}" = check ]; then
    for option; do
        if [ "$option" = --gateway ]; then redis=${redis%/*}/gateway.url; fi
    done
fi
if [ -z "${CALLMON_CONFIG:-}" ] && [ -r "$config" ]; then export CALLMON_CONFIG="$config"; fi
if [ -z "${CALLMON_REDIS__URL:-}" ] && [ -r "$redis" ]; then
    CALLMON_REDIS__URL=$(cat -- "$redis")
    export CALLMON_REDIS__URL
fi
# Without its password Redis would be blamed. Other settings than those in /etc have a url of their own.
if [ -z "${CALLMON_REDIS__URL:-}" ] && [ "${CALLMON_CONFIG:-$config}" = "$config" ]; then
    case " $* " in *" -c"* | *" --config"*) ;; " check "* | " key "* | " record "* | " monitor "* | " gateway "*)
        if [ -e "$redis" ] || { [ -d "${redis%/*}" ] && [ ! -x "${redis%/*}" ]; }; then
            echo "callmon: $redis is not for this user; run this with sudo: sudo callmon $*" >&2
            exit 1
        fi ;;
    esac
fi
exec "${CALLMON_HOME:-/opt/callmon}/bin/callmon" "$@"
