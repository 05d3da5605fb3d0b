#!/usr/bin/env bash
# Makes sure that Debian's Chromium is there: installs it where that is allowed, else says what to do.
set -euo pipefail
[ -x /usr/bin/chromium ] && exit 0
if [ "$(id -u)" != 0 ] || ! command -v apt-get > /dev/null; then
  echo "The tests in the browser need /usr/bin/chromium. On Debian: apt-get install chromium" >&2
  exit 1
fi
apt-get update
DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends chromium fonts-dejavu-core
