#!/usr/bin/env bash
# A MongoDB to test against, where there is none: the PyPI package nx-27017 (MongoDB's wire protocol over SQLite).
# usage: setup.sh DIR   -> DIR/venv/bin/nx-27017
# Made once: remove DIR to make it again.
set -euo pipefail
D=$1; mkdir -p "$D"
[ -f "$D/ready" ] && exit
python3 -m venv "$D/venv"
"$D/venv/bin/pip" -q install 'nx-27017==0.8.1' 'neosqlite==1.17.2' 'pymongo==4.20.1' 'dnspython==2.9.2'
S=$("$D/venv/bin/python" -c 'import sysconfig;print(sysconfig.get_paths()["purelib"])')/neosqlite
# A date in $set was kept as text; inside of a document, and in an insert, it is kept as a date.
U=$S/collection/query_helper/_sql_updates.py
grep -q 'isinstance(converted_val, (dict, list)):' "$U"
sed -i 's/isinstance(converted_val, (dict, list)):/isinstance(converted_val, (dict, list, datetime)):/; 0,/^from typing/s//from datetime import datetime\nfrom typing/' "$U"
touch "$D/ready"
