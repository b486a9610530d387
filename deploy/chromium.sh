#!/bin/sh
# Says whether the tests of the pages have a Chromium. Installs Debian's package only if it is told to.
# usage: deploy/chromium.sh [install]
# Never fails: without a browser those tests are skipped, with a message.
set -u

[ -z "${CALLMON_TEST_CHROMIUM-}" ] || exit 0
for name in chromium chromium-browser google-chrome google-chrome-stable; do
    command -v "$name" >/dev/null && exit 0
done

as_root="sudo "
[ "$(id -u)" != 0 ] || as_root=""
command="${as_root}apt-get install --no-install-recommends chromium"

missing() {
    echo "There is no Chromium$1: the tests of the pages are skipped. To run them: $command"
    exit 0
}

[ "${1-}" = install ] || missing ""
command -v apt-get >/dev/null || missing ", and no apt-get to install it"
[ -z "$as_root" ] || command -v sudo >/dev/null || missing ", and only root may install it"

echo "Installing Chromium for the tests of the pages: $command"
install() {
    # shellcheck disable=SC2086 # sudo or nothing
    timeout 300 ${as_root}env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends chromium
}
# shellcheck disable=SC2086 # likewise
install || { timeout 120 ${as_root}apt-get update -qq && install; } || missing ", and installing it failed"
