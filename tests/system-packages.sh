#!/bin/sh
# What the tests need from the system: a browser, a database server and Redis. Installs what is missing where it may.
set -eu
missing=""
command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null \
  || missing="$missing chromium"
ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || missing="$missing postgresql"
command -v redis-server >/dev/null || missing="$missing redis-server"
[ -n "$missing" ] || exit 0

if [ "$(id -u)" = 0 ]; then
  as_root=""
elif sudo -n true 2>/dev/null; then
  as_root="sudo"
else
  echo "The tests need$missing; install them: apt-get install$missing" >&2
  exit 1
fi
if ! command -v apt-get >/dev/null; then
  echo "The tests need$missing; install them with this system's package manager" >&2
  exit 1
fi
echo "Installing$missing ..."
export DEBIAN_FRONTEND=noninteractive
$as_root apt-get update -qq
$as_root apt-get install -qq -y --no-install-recommends $missing >/dev/null
