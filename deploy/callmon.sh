#!/bin/sh
# Runs callmon: /usr/bin/callmon of the Debian package, the entry point of the image.
# A file can hold a setting: CALLMON_REDIS__URL_FILE=/run/secrets/redis sets CALLMON_REDIS__URL.
# This keeps secrets out of units, manifests and process lists.
set -eu
for name in $(env | sed -n 's/^\(CALLMON_[A-Z0-9_]*__[A-Z0-9_]*\)_FILE=.*/\1/p'); do
    case $name in
        *__CA | *__CLIENT_SECRET | *__KEY | *__PASSWORD) continue ;; # ca_file and the like are settings themselves
    esac
    eval "file=\${${name}_FILE}"
    # shellcheck disable=SC2154  # eval gave it
    value=$(cat -- "$file") || {
        echo "callmon: ${name}_FILE must name a file that this user can read" >&2
        exit 78 # as for a wrong setting
    }
    export "$name=$value"
    unset "${name}_FILE"
done
# For administrators at a shell: root may read the units' credentials. All commands use the monitor's user on Redis,
# except callmon check --gateway. The program finds the settings file /etc/callmon/callmon.toml by itself. Another
# settings file has its own address of Redis.
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
# callmon status uses the gateway's address if the monitor's cannot be read.
if [ "${1-}" = status ] && [ ! -r "$redis" ] && [ -r "${redis%/*}/gateway.url" ]; then redis=${redis%/*}/gateway.url; fi
if [ "$(readlink -f -- "$config")" != "$(readlink -f -- "$system")" ]; then redis=; fi
if [ -z "${CALLMON_REDIS__URL:-}" ] && [ -r "$redis" ]; then
    CALLMON_REDIS__URL=$(cat -- "$redis")
    export CALLMON_REDIS__URL
fi
# Without the password the error would blame Redis. Settings outside /etc have a url of their own.
if [ -z "${CALLMON_REDIS__URL:-}" ] && [ "${CALLMON_CONFIG:-$config}" = "$config" ]; then
    case " $* " in *" -c"* | *" --config"*) ;; " check "* | " status "* | " key "* | " record "* | " monitor "* | " gateway "*)
        if [ -e "$redis" ] || { [ -d "${redis%/*}" ] && [ ! -x "${redis%/*}" ]; }; then
            echo "callmon: this user cannot read $redis; use sudo: sudo callmon $*" >&2
            exit 1
        fi ;;
    esac
fi
exec "${CALLMON_HOME:-/opt/callmon}/bin/callmon" "$@"
