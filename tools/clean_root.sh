#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Proves a command on a fresh Debian 12: debootstraps a root that has only bash, git and
# python3, clones this repository into it and runs the command there.
#
#   tools/clean_root.sh [--worktree] [--path FILE_OR_FOLDER]... DIR COMMAND...
#   tools/clean_root.sh ../clean-root ./dev test
#
#   --worktree   copy the files as they are instead of cloning the last commit
#   --path P     show P of this machine in the root too, at the same place, read-only
#                (for example a folder of Python packages that pip is set up to use)
#
# DIR is created by the first run and kept; later runs reuse it and take the sources again
# only if DIR/src/tpufi was removed. Needs root, debootstrap and the network's Debian mirror.
set -euo pipefail

worktree=false
paths=()
while [[ ${1-} == --* ]]; do
  case $1 in
  --worktree) worktree=true && shift ;;
  --path) paths+=("$(realpath "$2")") && shift 2 ;;
  *) echo "clean_root: unknown option $1" >&2 && exit 2 ;;
  esac
done
[[ $# -ge 2 ]] || { sed -n '3,16s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2 && exit 2; }
repository=$(realpath "$(dirname "${BASH_SOURCE[0]}")/..")
root=$(realpath -m "$1")
shift

make_root() {
  debootstrap --variant=minbase --include=ca-certificates,git,python3 bookworm "$root"
  # The updates and security fixes that any Debian 12 machine has, from the same mirror.
  local mirror
  read -r _ mirror _ <"$root/etc/apt/sources.list"
  cat >"$root/etc/apt/sources.list" <<END
deb $mirror bookworm main
deb $mirror bookworm-updates main
deb $mirror-security bookworm-security main
END
  local file
  for file in /etc/resolv.conf /etc/hosts /etc/ssl/certs/ca-certificates.crt \
    /etc/pip.conf ~/.config/pip/pip.conf ~/.pip/pip.conf; do
    [[ ! -f $file ]] || install -D -m 644 "$file" "$root${file/#$HOME//root}"
  done
  touch "$root/.complete"
}

copy_sources() {
  mkdir -p "$root/src/tpufi"
  if $worktree; then
    git -C "$repository" ls-files -z --cached --others --exclude-standard |
      tar -C "$repository" --null --no-recursion -T - -c | tar -C "$root/src/tpufi" --no-same-owner -x
  else
    git clone -q "$repository" "$root/src/tpufi"
  fi
}

# Runs a command in the root's checkout, with this machine's settings for pip alone.
enter() {
  local settings
  mapfile -t settings < <(env | grep -E '^(PIP_[A-Z_]+|SSL_CERT_FILE|https?_proxy|no_proxy)=' || true)
  chroot "$root" /usr/bin/env -i HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin \
    "${settings[@]}" bash -c 'cd /src/tpufi && exec "$@"' bash "$@"
}

mounted=()
mount_into() {
  mount "$@" && mounted+=("${!#}")
}
clean_up() {
  [[ ! -x $root/usr/bin/bazel ]] || enter bazel shutdown || true # Else its server stays.
  local i
  for ((i = ${#mounted[@]} - 1; i >= 0; i--)); do umount -l "${mounted[i]}"; done
}
trap clean_up EXIT

timed() {
  local label=$1 start=$SECONDS status=0
  shift
  "$@" || status=$?
  echo "clean_root: $label: $((SECONDS - start)) s, exit code $status" >&2
  return $status
}

[[ -e $root/.complete ]] || timed "debootstrap" make_root
[[ -d $root/src/tpufi ]] || timed "sources" copy_sources

mount_into -t proc proc "$root/proc"
mount_into -t tmpfs tmpfs "$root/dev/shm"
for path in "${paths[@]}"; do
  if [[ -d $path ]]; then mkdir -p "$root$path"; else install -D /dev/null "$root$path"; fi
  mount_into --bind -o ro "$path" "$root$path"
done

timed "$*" enter "$@"
