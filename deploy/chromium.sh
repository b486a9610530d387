#!/bin/sh
# Chromium for the tests of the pages, from Debian's packages, where that needs nobody's leave. Never fails: where there
# is none, the tests that need it say so and are left out.
set -u

[ -z "${CALLMON_TEST_CHROMIUM-}" ] || exit 0
for name in chromium chromium-browser google-chrome google-chrome-stable; do
    command -v "$name" >/dev/null && exit 0
done

missing() {
    echo "There is no Chromium, $1: the tests of the pages will be left out. As root: apt-get install chromium"
    exit 0
}

command -v apt-get >/dev/null || missing "and no apt-get to install it"
if [ "$(id -u)" = 0 ]; then
    as_root=""
elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
    as_root="sudo -n"
else
    missing "and only root may install it"
fi

echo "Installing Chromium from Debian's packages, for the tests of the pages."
install() {
    # shellcheck disable=SC2086 # nothing, or sudo with its option
    timeout 300 $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends chromium
}
# shellcheck disable=SC2086 # likewise
{ install || { timeout 120 ${as_root} apt-get update -qq && install; }; } >/dev/null 2>&1 ||
    missing "and installing it failed"
