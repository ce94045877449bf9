#!/usr/bin/env bash
# What the tests marked `apps` run: node with the packages of package-lock.json, and Chromium. What is there is used;
# the rest is installed where apt-get may (as root, or with sudo that asks nothing).
set -euo pipefail
cd "$(dirname "$0")"

has() { for name in "$@"; do command -v "$name" >/dev/null && return; done; return 1; }
missing=()
has chromium chromium-browser google-chrome || missing+=(chromium)
{ has node && has npm; } || missing+=(nodejs npm)
if ((${#missing[@]})); then
  sudo=(); ((EUID == 0)) || sudo=(sudo -n)
  if has apt-get && { ((EUID == 0)) || sudo -n true 2>/dev/null; }; then
    "${sudo[@]}" apt-get update -qq
    DEBIAN_FRONTEND=noninteractive "${sudo[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
  else
    echo "make test-apps: install ${missing[*]}; until then the tests that need them are skipped"
  fi
fi
if has npm && [[ package-lock.json -nt node_modules/.package-lock.json ]]; then
  npm ci --no-audit --no-fund --loglevel=error
fi
