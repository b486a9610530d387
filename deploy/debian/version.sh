#!/bin/sh
# Prints the package's version: dpkg takes each commit's for newer than that of the commits before it.
# usage: deploy/debian/version.sh VERSION [DIRECTORY]
#   VERSION     the program's, such as 1.2.0
#   DIRECTORY   the working tree; this one
#
#   1.2.0                   at the tag v1.2.0, and where there is no git repository
#   1.2.0~34.g1a2b3c4d      before the tag: 34 commits are there; the release is newer
#   1.2.0+5.g1a2b3c4d       5 commits after the tag: newer than the release, older than any 1.2.1~…
#   ….20260102030405        besides, with changes that are not committed: when it was built
set -eu
version=$1
root=${2:-$(dirname -- "$0")/../..}
refuse() { echo "version.sh: $*" >&2; exit 1; }
git() { command git -C "$root" "$@"; }

if [ ! -e "$root/.git" ]; then # a file in a worktree
    echo "version.sh: there is no git repository here: the package is called $version, as a release is." >&2
    echo "$version"
    exit
fi
command -v git >/dev/null || refuse "git is needed to number the package: apt-get install git"
head=$(git rev-parse --short=8 HEAD) || refuse "git does not show this commit; build as the owner of the working tree"
[ "$(git rev-parse --is-shallow-repository)" = false ] ||
    refuse "this clone is shallow, so that its commits cannot be counted: git fetch --unshallow --tags"

tag=refs/tags/v$version
if git rev-parse --quiet --verify "$tag" >/dev/null && git merge-base --is-ancestor "$tag" HEAD; then
    count=$(git rev-list --count "$tag..HEAD")
    suffix=+$count.g$head
else
    count=$(git rev-list --count HEAD)
    suffix=~$count.g$head
fi
changed=$(git status --porcelain)
if [ -n "$changed" ]; then
    echo "$version$suffix.$(date -u +%Y%m%d%H%M%S)"
elif [ "$suffix" = "+0.g$head" ]; then
    echo "$version"
else
    echo "$version$suffix"
fi
