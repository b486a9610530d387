#!/bin/sh
# Builds callmon_VERSION_ARCH.deb, for the Python of the environment that it is made from.
# It holds what production runs, and what callmon top needs; the simulated PBX and the demo lack their packages.
# usage: deploy/debian/build.sh [OUTPUT_DIRECTORY]
#   PYTHON      with the packages of requirements-top.lock; .venv/bin/python, as deploy/venv.sh makes it
#   BASE        the interpreter that the package will find; /usr/bin/python3.N, as in PYTHON's environment
#   COMPRESS    options for dpkg-deb; -Zxz
#   PACKAGE_VERSION     what version.sh says
# Nothing is fetched. Build it on the system that it is for: Debian 12 has Python 3.11, Debian 13 has 3.13.
set -eu
umask 022
root=$(cd -- "$(dirname -- "$0")/../.." && pwd)
out=$(cd -- "${1:-.}" && pwd)
python=${PYTHON:-$root/.venv/bin/python}
[ -x "$python" ] || { echo "build.sh: $python is not there: deploy/venv.sh requirements-top.lock makes it." >&2; exit 1; }

work=$(mktemp -d)
trap 'rm -rf -- "$work"' EXIT
package=$work/package
minor=$("$python" -c 'import sys; print(sys.version_info[1])')
base=${BASE:-/usr/bin/python3.$minor}
[ -x "$base" ] || { echo "build.sh: $base is not there; PYTHON's environment must be made with the system's Python." >&2; exit 1; }
home=$package/opt/callmon
site=$home/lib/python3.$minor/site-packages

# A virtual environment, without what venv would write of this machine.
mkdir -p "$home/bin" "$site"
printf 'home = %s\ninclude-system-site-packages = false\n' "$(dirname -- "$base")" >"$home/pyvenv.cfg"
ln -s "$base" "$home/bin/python3"
(cd "$root" && "$python" -m hatchling build -t wheel -d "$work" >"$work/wheel.log" 2>&1) || { cat "$work/wheel.log" >&2; exit 1; }
"$python" -m zipfile -e "$work"/callmon-*.whl "$site"
"$python" "$root/deploy/debian/collect.py" "$root/requirements-top.lock" "$site" \
    "$("$base" -c 'import platform; print(platform.python_version())')" top
printf '#!/opt/callmon/bin/python3\nfrom gateway.cli import main\n\nmain()\n' >"$home/bin/callmon"
chmod 755 "$home/bin/callmon"
deploy=$root/deploy
version=${PACKAGE_VERSION:-}
if [ -z "$version" ]; then
    version=$(sed -n 's/^Version: //p' "$site"/callmon-*.dist-info/METADATA | head -n 1)
    version=$("$deploy/debian/version.sh" "$version")
fi
maintainer=$(sed -n 's/^Maintainer: //p' "$deploy/debian/control")

# The manual page and the completions.
share=$package/usr/share
"$python" "$deploy/reference.py" "$share"
gzip -9n "$share/man/man1/callmon.1"
install -D -m 755 "$deploy/callmon.sh" "$package/usr/bin/callmon"
install -D -m 644 -t "$package/usr/lib/systemd/system" "$deploy"/systemd/*.service
install -D -m 644 "$deploy/systemd/callmon.sysusers" "$package/usr/lib/sysusers.d/callmon.conf"
install -D -m 644 -t "$share/doc/callmon" "$deploy"/*.md "$root/CHANGELOG.md" "$root/SECURITY.md"
install -D -m 644 "$root/LICENSE" "$share/doc/callmon/copyright"
printf 'callmon (%s) unstable; urgency=medium\n\n  * See CHANGELOG.md.\n\n -- %s  %s\n' \
    "$version" "$maintainer" "$(date -R)" | gzip -9n >"$share/doc/callmon/changelog.gz"
install -D -m 644 -t "$share/callmon" "$deploy/callmon.example.toml" "$deploy/caddy/Caddyfile"
install -D -m 644 -t "$share/callmon/nginx" "$deploy"/nginx/*.conf
install -D -m 644 -t "$share/callmon/redis" "$deploy/redis/users.acl"
install -D -m 755 -t "$share/callmon/redis" "$deploy"/redis/*.sh
install -D -m 644 -t "$share/callmon/prometheus" "$deploy"/prometheus/*.yml
install -D -m 644 -t "$share/callmon/grafana" "$deploy"/grafana/*.json
install -d -m 755 "$package/etc/callmon"
# Neither the builder's umask nor the modes of its files come in.
chmod -R u-s,g-s,u=rwX,go=rX "$package"
install -d -m 700 "$package/etc/callmon/pbx" "$package/etc/callmon/redis"

install -d "$package/DEBIAN"
sed -e "s/@VERSION@/$version/" -e "s/@ARCH@/$(dpkg --print-architecture)/" \
    -e "s/@PYTHON@/3.$minor/" -e "s/@NEXT@/3.$((minor + 1))/" \
    -e "s/@SIZE@/$(du -sk "$package" | cut -f 1)/" "$deploy/debian/control" >"$package/DEBIAN/control"
install -m 755 -t "$package/DEBIAN" "$deploy/debian/postinst" "$deploy/debian/prerm" "$deploy/debian/postrm"

# shellcheck disable=SC2086  # COMPRESS holds several options
dpkg-deb ${COMPRESS:--Zxz} --root-owner-group --build "$package" "$out" >&2
echo "$out/callmon_${version}_$(dpkg --print-architecture).deb"
