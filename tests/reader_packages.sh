#!/usr/bin/env bash
# The Python libraries of tag readers and keyboards: two of them are built from source. Where the
# compiler or headers are lacking, the tests that need them are skipped, each with its reason.
set -euo pipefail
bin=$1
stamp=$bin/../.readers
[ "$stamp" -nt requirements-readers.lock ] && exit 0
if ! command -v swig >/dev/null || ! command -v gcc >/dev/null || [ ! -e /usr/include/PCSC/winscard.h ]; then
  echo "Not built: pyscard, evdev, nfcpy (Debian: gcc, swig, libpcsclite-dev). Their tests are skipped."
  exit 0
fi
echo "Building the readers' libraries (once, about half a minute) ..."
"$bin/pip" install --quiet --disable-pip-version-check -r requirements-readers.lock
touch "$stamp"
