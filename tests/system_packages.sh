#!/usr/bin/env bash
# The Debian packages that tests start as real partners. Root installs what is missing; for anyone
# else the tests that need them are skipped, each with its reason.
set -euo pipefail

declare -A program_of=(
  [mosquitto]=mosquitto
  [chromium]=chromium
  [socat]=socat
  [faketime]=faketime
  [strace]=strace
  [influxdb]=influxd
  [victoria-metrics]=victoria-metrics
  [nginx-light]=nginx
  [pcscd]=pcscd
  [swig]=swig
  [gcc]=gcc
  [umockdev]=umockdev-run
  [iproute2]=ip
)
missing=()
for package in "${!program_of[@]}"; do
  program=${program_of[$package]}
  command -v "$program" >/dev/null || [ -x "/usr/sbin/$program" ] || missing+=("$package")
done
[ -e "/usr/lib/$(uname -m)-linux-gnu/libmodbus.so.5" ] || missing+=(libmodbus5)
[ -e /usr/include/PCSC/winscard.h ] || missing+=(libpcsclite-dev)
ls /usr/lib/pcsc/drivers/serial/libifdvpcd.so >/dev/null 2>&1 || missing+=(vsmartcard-vpcd)
ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1 || missing+=(postgresql)
[ -d /usr/share/fonts/opentype/noto ] || missing+=(fonts-noto-cjk)

[ ${#missing[@]} -eq 0 ] && exit 0
if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
  echo "Not installed: ${missing[*]}. Tests that need them are skipped (Debian: apt-get install)."
  exit 0
fi
echo "Installing ${missing[*]} ..."
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
