#!/bin/sh
# Runs callmon: /usr/bin/callmon of the Debian package, the entry point of the image.
# A setting may be given by the file in which it stands: CALLMON_REDIS__URL_FILE=/run/secrets/redis gives
# CALLMON_REDIS__URL. So no secret stands in a unit, a manifest or a process list.
set -eu
for name in $(env | sed -n 's/^\(CALLMON_[A-Z0-9_]*__[A-Z0-9_]*\)_FILE=.*/\1/p'); do
    eval "file=\${${name}_FILE}"
    # shellcheck disable=SC2154  # eval gave it
    value=$(cat -- "$file") || exit 78 # as for a wrong setting
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
exec "${CALLMON_HOME:-/opt/callmon}/bin/callmon" "$@"
