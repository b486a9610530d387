#!/bin/sh
# Prints the package's version: dpkg takes each commit's for newer than that of the commits before it.
# usage: deploy/debian/version.sh VERSION [DIRECTORY]
#   VERSION     the program's, such as 1.2.0
#   DIRECTORY   the working tree; this one
#
#   1.2.0                                   at the tag v1.2.0, and where there is no git repository
#   1.2.0~34.20260102030405.g1a2b3c4d       before the tag: 34 commits are there; the release is newer
#   1.2.0+5.20260102030405.g1a2b3c4d        5 commits after it: newer than 1.2.0, older than any 1.2.1~…
#
# The time is that of the commit, so that one which was amended is newer too; with changes that are not committed it is
# now, and .changed stands at the end.
set -eu
version=$1
root=${2:-$(dirname -- "$0")/../..}
refuse() { echo "version.sh: $*" >&2; exit 1; }
in_tree() { git -C "$root" "$@"; }

if [ ! -e "$root/.git" ]; then # a file in a worktree
    echo "version.sh: there is no git repository here: the package is called $version, as a release is." >&2
    echo "$version"
    exit
fi
command -v git >/dev/null || refuse "git is needed to number the package: apt-get install git"
head=$(in_tree rev-parse --short=8 HEAD) || refuse "git does not show this commit; build as the owner of the working tree"
[ "$(in_tree rev-parse --is-shallow-repository)" = false ] ||
    refuse "this clone is shallow, so that its commits cannot be counted: git fetch --unshallow --tags"

tag=refs/tags/v$version
if in_tree rev-parse --quiet --verify "$tag" >/dev/null && in_tree merge-base --is-ancestor "$tag" HEAD; then
    suffix="+$(in_tree rev-list --count "$tag..HEAD")"
else
    suffix="~$(in_tree rev-list --count HEAD)"
fi
format=%Y%m%d%H%M%S
if [ -n "$(in_tree status --porcelain)" ]; then
    echo "$version$suffix.$(date -u +$format).g$head.changed"
elif [ "$suffix" = +0 ]; then
    echo "$version"
else
    echo "$version$suffix.$(TZ=UTC git -C "$root" log -1 --format=%cd --date="format-local:$format").g$head"
fi
