#!/usr/bin/env bash
# Makes the PyPI package autobahntestsuite==25.10.1 (Python 2 source inside) run on Python 3.11.
# usage: setup.sh DIR   -> DIR/venv, DIR/pkg ; then: DIR/venv/bin/python driver.py ws://127.0.0.1:PORT out.json '*' '-12.*' '-13.*'
# Made once: remove DIR to make it again.
set -euo pipefail
D=$1; mkdir -p "$D"
[ -f "$D/ready" ] && exit
python3 -m venv "$D/venv"
"$D/venv/bin/pip" -q install 'autobahntestsuite==25.10.1' 'autobahn==22.7.1' twisted jinja2 wsaccel 'setuptools<81'
S=$("$D/venv/bin/python" -c 'import sysconfig;print(sysconfig.get_paths()["purelib"])')/autobahntestsuite
rm -rf "$D/pkg"; mkdir -p "$D/pkg"; cp -r "$S" "$D/pkg/autobahntestsuite"; find "$D/pkg" -name __pycache__ -prune -exec rm -rf {} +
python3 -W ignore -m lib2to3 -w -n --no-diffs "$D/pkg/autobahntestsuite" >/dev/null 2>&1 || true
P=$D/pkg/autobahntestsuite
printf '__version__="25.10.1"\nversion=__version__\n' > "$P/__init__.py"
sed -i -E 's/\(object, Case, ?\)/(Case, )/' "$P"/case/*.py
sed -i '/case9_9_1 import/d' "$P/case/__init__.py"          # 9.9.1 is commented out upstream, but imports a removed zope API
sed -i -E 's/requestNoContextTakeover/request_no_context_takeover/g; s/requestMaxWindowBits/request_max_window_bits/g; s/acceptNoContextTakeover/accept_no_context_takeover/g; s/acceptMaxWindowBits/accept_max_window_bits/g; s/noContextTakeover/no_context_takeover/g; s/windowBits/window_bits/g' "$P/case/case12_x_x.py"
# Py2 "str" literals with UTF-8 bytes: read those files as latin-1, so each byte becomes one char again
for f in $(grep -lP '[^\x00-\x7F]' "$P"/case/*.py); do sed -i '1,2{/coding/d}' "$f"; sed -i '1i # -*- coding: latin-1 -*-' "$f"; done
sed -i 's#len(self.payload) / self.p.autoFragmentSize#len(self.payload) // self.p.autoFragmentSize#' "$P/case/case10_1_1.py"   # Py2 integer division
touch "$D/ready"
