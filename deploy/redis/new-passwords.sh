#!/bin/sh
# Makes passwords for the users of users.acl, and the addresses with them that the settings want, each in a file of its
# own in DIR: monitor.password, monitor.url, gateway.password, gateway.url. Makes tickets.secret too, which all gateways
# have and Redis never gets. What is there already stays.
# usage: new-passwords.sh DIR HOST:PORT
set -eu
usage="usage: new-passwords.sh DIR HOST:PORT, such as: new-passwords.sh /etc/callmon/redis 127.0.0.1:6379"
case $#:${2-} in
    2:*[/@]*) echo "$usage" >&2; exit 2 ;;
    2:*:*) ;;
    *) echo "$usage" >&2; exit 2 ;;
esac
umask 077
mkdir -p -- "$1"
secret_in() {
    [ -s "$1" ] || od -An "-N$2" -tx1 /dev/urandom | tr -d ' \n' >"$1"
}
secret_in "$1/tickets.secret" 32
for user in monitor gateway; do
    file=$1/$user.password
    secret_in "$file" 24
    printf 'redis://%s:%s@%s/0\n' "$user" "$(cat -- "$file")" "$2" >"$1/$user.url"
done
