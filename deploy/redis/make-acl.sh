#!/bin/sh
# Prints users.acl with the passwords that stand in DIR/monitor.password and DIR/gateway.password, as SHA-256.
# usage: make-acl.sh DIR
set -eu
[ $# = 1 ] || { echo "usage: make-acl.sh DIR, the directory with monitor.password and gateway.password" >&2; exit 2; }
here=$(dirname -- "$0")
hash_of() {
    [ -s "$1/$2.password" ] || { echo "make-acl.sh: $1/$2.password is missing or empty" >&2; return 1; }
    tr -d '\r\n' <"$1/$2.password" | sha256sum | cut -d ' ' -f 1
}
monitor=$(hash_of "$1" monitor)
gateway=$(hash_of "$1" gateway)
sed -e "s/^user monitor on resetpass /&#$monitor /" -e "s/^user gateway on resetpass /&#$gateway /" "$here/users.acl"
