#!/bin/sh
# Install ichnode from this folder into a new virtual environment; no network is asked.
#   sh install.sh /opt/ichnode [PYTHON]
set -eu
target=${1:?usage: install.sh FOLDER [PYTHON]}
python=${2:-python@PYTHON@}
here=$(cd "$(dirname "$0")" && pwd)

echo "[1/4] checksums"
(cd "$here" && sha256sum --check --quiet --strict SHA256SUMS)

echo "[2/4] $target with $python"
found=$("$python" -c 'import sys, platform; print("%d.%d %s" % (*sys.version_info[:2], platform.machine()))')
if [ "$found" != "@PYTHON@ @MACHINE@" ]; then
    echo "these wheels are for Python @PYTHON@ @MACHINE@; $python is $found" >&2
    exit 1
fi
if [ -e "$target/bin" ]; then
    echo "$target holds an environment already; name a new folder and switch over (docs: deployment)" >&2
    exit 1
fi
"$python" -m venv "$target"

echo "[3/4] packages"
"$target/bin/python" -m pip --disable-pip-version-check --isolated install --no-index \
    --find-links "$here/wheels" --constraint "$here/constraints.txt" "@NODE@"

echo "[4/4] models"
if [ -d "$here/models" ]; then
    mkdir -p "$target/models"
    cp -R "$here/models/." "$target/models/"
fi
"$target/bin/ichnode" --version
echo "Settings: $target/share/ichnode/node.toml is the template; units for systemd: $here/systemd; the command beside them: $here/ichnode-command"
