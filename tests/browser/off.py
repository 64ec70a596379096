"""The code of sample 3 with every second of its active units off, for `sae decode`: what the page has to draw then.

    off.py FOLDER

Reads FOLDER/codes.csv of `sae encode`; writes off.csv, and off.json with the units that stay on.
"""

import json
import sys
from pathlib import Path

folder = Path(sys.argv[1])
code = (folder / "codes.csv").read_text().splitlines()[3].split(",")
active = [unit for unit, value in enumerate(code) if float(value) != 0]
on = set(active[::2])
(folder / "off.csv").write_text(",".join(value if unit in on else "0" for unit, value in enumerate(code)) + "\n")
(folder / "off.json").write_text(json.dumps(sorted(on)))
