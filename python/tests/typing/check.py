"""Checks what type checkers say of uses of the installed package.

``check.py mypy`` or ``check.py pyright``: each line of refused.py that ends in ``# refused`` has to be an error,
and no other line of it or of accepted.py. Run where the sources of the package are not: it is imported as installed.
"""

import re
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).parent
FILES = [FOLDER / "accepted.py", FOLDER / "refused.py"]
# scikit-learn has no type annotations.
MYPY = ["mypy", "--strict", "--ignore-missing-imports", "--no-error-summary", "--hide-error-context"]
COMMANDS = {
    "mypy": [sys.executable, "-m", *MYPY, "--config-file=", "--cache-dir=/dev/null"],
    "pyright": [sys.executable, "-m", "pyright", "--pythonpath", sys.executable],
}
ERROR = re.compile(r"(\w+\.py):(\d+)(?::\d+)*(?: -)?:? error: (.*)")


def main() -> None:
    checker = sys.argv[1]
    done = subprocess.run([*COMMANDS[checker], *map(str, FILES)], capture_output=True, text=True)
    found: dict[tuple[str, int], str] = {}
    for line in done.stdout.splitlines():
        match = ERROR.search(line)
        if match:
            found[match[1], int(match[2])] = match[3]
    expected = {
        (path.name, number)
        for path in FILES
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if line.endswith("# refused")
    }
    problems = [f"{name}:{at}: refused: {found[name, at]}" for name, at in sorted(found.keys() - expected)]
    problems += [f"{name}:{at}: accepted, and should not be" for name, at in sorted(expected - found.keys())]
    if done.returncode not in (0, 1) or not found:
        problems.append(f"{checker} has not run:\n{done.stdout}{done.stderr}")
    if problems:
        sys.exit("\n".join(problems))
    print(f"types, by {checker}: {len(expected)} wrong uses are refused, all others accepted")


if __name__ == "__main__":
    main()
