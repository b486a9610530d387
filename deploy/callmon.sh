#!/bin/sh
# Runs callmon: /usr/bin/callmon of the Debian package, the entry point of the image.
# A setting may be given by the file in which it stands: CALLMON_REDIS__URL_FILE=/run/secrets/redis gives
# CALLMON_REDIS__URL. So no secret stands in a unit, a manifest or a process list.
set -eu
for name in $(env | sed -n 's/^\(CALLMON_[A-Z0-9_]*__[A-Z0-9_]*\)_FILE=.*/\1/p'); do
    case $name in
        *__CA | *__CLIENT_SECRET | *__KEY | *__PASSWORD) continue ;; # ca_file and the like are settings themselves
    esac
    eval "file=\${${name}_FILE}"
    # shellcheck disable=SC2154  # eval gave it
    value=$(cat -- "$file") || exit 78 # as for a wrong setting
    export "$name=$value"
    unset "${name}_FILE"
done
# For administrators at a shell: root may read what the units are given. All commands go as the monitor's user on Redis,
# but for callmon check --gateway. The settings file, /etc/callmon/callmon.toml, the program finds by itself. Who names
# another one means the Redis that stands in it.
system=${CALLMON_ETC:-/etc/callmon}/callmon.toml
config=${CALLMON_CONFIG:-$system}
redis=${system%/*}/redis/monitor.url
before=
for option; do
    case $before in --config | -c) config=$option ;; esac
    case $option in --config=*) config=${option#*=} ;; esac
    if [ "${1-}" = check ] && [ "$option" = --gateway ]; then redis=${redis%/*}/gateway.url; fi
    before=$option
done
# callmon status is content with the gateway's, where the monitor's is not.
if [ "${1-}" = status ] && [ ! -r "$redis" ] && [ -r "${redis%/*}/gateway.url" ]; then redis=${redis%/*}/gateway.url; fi
if [ "$(readlink -f -- "$config")" != "$(readlink -f -- "$system")" ]; then redis=; fi
if [ -z "${CALLMON_REDIS__URL:-}" ] && [ -r "$redis" ]; then
    CALLMON_REDIS__URL=$(cat -- "$redis")
    export CALLMON_REDIS__URL
fi
# Without its password Redis would be blamed. Other settings than those in /etc have a url of their own.
if [ -z "${CALLMON_REDIS__URL:-}" ] && [ "${CALLMON_CONFIG:-$config}" = "$config" ]; then
    case " $* " in *" -c"* | *" --config"*) ;; " check "* | " status "* | " key "* | " record "* | " monitor "* | " gateway "*)
        if [ -e "$redis" ] || { [ -d "${redis%/*}" ] && [ ! -x "${redis%/*}" ]; }; then
            echo "callmon: $redis is not for this user; run this with sudo: sudo callmon $*" >&2
            exit 1
        fi ;;
    esac
fi
exec "${CALLMON_HOME:-/opt/callmon}/bin/callmon" "$@"
