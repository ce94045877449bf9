#!/usr/bin/env bash
# The tests of fd2talk/integrations with the frameworks themselves, in .venv-integrations: they need a newer protobuf than
# mediapipe 0.10.21 admits, so that mediapipe is 1.2 or later here. Where that cannot be installed the tests are skipped.
set -euo pipefail
cd "$(dirname "$0")/../../.."

venv=.venv-integrations
skip() { echo "test-integrations: skipped: $*"; exit 0; }
fits() { "$1" -c 'import sys, venv; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; }
if [[ ! -f $venv/.installed || pyproject.toml -nt $venv/.installed ]]; then
  python=
  for name in .venv/bin/python python3.11 python3.12 python3.13 python3; do
    if fits "$name"; then python=$name; break; fi
  done
  [[ -n $python ]] || skip "Pipecat and LiveKit Agents need Python 3.11 to 3.13"
  [[ -x $venv/bin/python ]] || "$python" -m venv "$venv"
  echo "installing Pipecat, LiveKit Agents and what fd2talk needs into $venv"
  mapfile -t packages < <("$venv/bin/python" - <<'PY'
import tomllib

project = tomllib.load(open("pyproject.toml", "rb"))["project"]
extras = project["optional-dependencies"]
base = [line for line in project["dependencies"] if not line.startswith("mediapipe")]
print(*base, *extras["pipecat"], *extras["livekit"], "mediapipe>=1.2", "pytest>=8", sep="\n")
PY
  )
  pip() { "$venv/bin/python" -m pip install --quiet "$@"; }
  pip -c constraints.txt "${packages[@]}" || pip "${packages[@]}" || skip "pip could not install ${packages[*]}"
  pip --no-deps -e . || skip "pip could not install fd2talk"
  touch $venv/.installed
fi
"$venv/bin/python" -m pytest -p no:cacheprovider -W ignore::pytest.PytestUnknownMarkWarning tests/fd2talk/integrations
