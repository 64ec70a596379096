#!/usr/bin/env python3
"""Checks the direction of imports and the size of functions.

In src/ a file imports from its own folder and from those before it in ORDER (except lib.rs, which re-exports). No files of a crate, and no modules of the Python package, import each other in a circle.
No function of src/training has more than 60 lines or 6 parameters besides `self`; others are listed with --functions.

What counts: `use` with all its branches, and paths in expressions, types and macros (`crate::json::parse(...)`), each
followed through `pub use` to the file that defines the name. Comments, strings and what is compiled for tests only do
not count, nor does a `pub use` of what the folder's own files define. Uses by the name of a method alone are not found.
In Python every import counts, also under `if TYPE_CHECKING` and in functions.

usage: scripts/imports.py [--functions | --self-test]
"""

import ast
import re
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

ORDER = ["error", "settings", "compute", "data", "network", "ranks", "training", "analysis", "files"]
# Beside the folders: re-exports.
FACE = ["lib"]
CRATES = ["kernels/src", "cli/src", "cli/report/src", "capi/src", "python/src"]
PYTHON = "python/python/sae"
MAX_LINES, MAX_PARAMETERS = 60, 6

TOKEN = re.compile(
    r"""(?P<space>\s+|//[^\n]*)
    |(?P<string>[bc]?r(?P<hashes>\#*)"(?s:.)*?"(?P=hashes)|[bc]?"(?:\\(?s:.)|[^"\\])*")
    |(?P<character>b?'(?:\\u\{[^}]*\}|\\x..|\\.|[^\\'])')
    |(?P<other>'\w+|(?:r\#)?[A-Za-z_]\w*|\d\w*(?:\.\d\w*)?|::|->|=>|.)""",
    re.VERBOSE,
)
NAME = re.compile(r"(r#)?[A-Za-z_]\w*$")
CLOSING = {"(": ")", "[": "]", "{": "}"}


def tokens_of(text):
    """Tokens and their lines, without comments; characters are left out, strings stay."""
    found, at, line = [], 0, 1
    while at < len(text):
        if text.startswith("/*", at):
            end, depth = at + 2, 1
            while depth:
                mark = re.compile(r"/\*|\*/").search(text, end)
                depth += 1 if mark.group() == "/*" else -1
                end = mark.end()
        else:
            match = TOKEN.match(text, at)
            end = match.end()
            if match["string"] or match["other"]:
                found.append((match.group(), line))
        line += text.count("\n", at, end)
        at = end
    return found


def closing(tokens, at):
    """The index of the token that closes what the token at `at` opens."""
    depth = 0
    for index in range(at, len(tokens)):
        if tokens[index][0] in CLOSING:
            depth += 1
        elif tokens[index][0] in CLOSING.values():
            depth -= 1
            if depth == 0:
                return index
    raise ValueError(f"line {tokens[at][1]}: {tokens[at][0]} is not closed")


def end_of_item(tokens, at):
    """The index behind an item: behind its `;`, or its block."""
    while tokens[at][0] != ";":
        if tokens[at][0] in CLOSING:
            block = tokens[at][0] == "{"
            at = closing(tokens, at)
            if block:
                break
        at += 1
    return at + 1


def for_tests_only(attribute):
    """Whether an attribute's tokens say `cfg(test)` or `cfg(all(test, ...))`."""
    text = "".join(attribute)
    return text == "cfg(test)" or text.startswith("cfg(all(") and "test" in attribute and "not(test" not in text


class Module:
    def __init__(self, file, parent=None):
        self.file, self.parent = file, parent
        self.children, self.bindings, self.globs, self.items = {}, defaultdict(list), [], set()

    def root(self):
        return self if self.parent is None else self.parent.root()

    def within(self, other):
        return self is other or self.parent is not None and self.parent.within(other)

    def lookup(self, name, seen=()):
        """The module that defines `name`, and whether the name is that module's own; or None."""
        if name in self.children:
            return self.children[name], True
        if (self, name) in seen:
            return None
        seen = (*seen, (self, name))
        for path in self.bindings[name]:
            if found := self.resolve(path, seen):
                return found
        if name in self.items:
            return self, False
        for path in self.globs:
            found = self.resolve(path, seen)
            if found and found[1] and found[0] is not self and (found := found[0].lookup(name, seen)):
                return found
        return None

    def resolve(self, path, seen=()):
        """As `lookup`, of a path; None if it begins in another crate."""
        at = self
        for index, name in enumerate(path):
            if name == "crate":
                at = self.root()
            elif name == "super":
                at = at.parent
            elif name != "self":
                found = at.lookup(name, seen)
                if found is None:
                    # Nothing of ours, or an item that a macro makes.
                    return None if index == 0 else (at, False)
                at, is_module = found
                if not is_module:
                    return at, False
        return at, True


class Crate:
    """The modules below a folder's lib.rs or main.rs, and what they refer to."""

    def __init__(self, folder, base):
        self.base = base
        # (module, line, path, kind): kind is "use", "reexport" or "path".
        self.references = []
        # File, name, line, lines and parameters.
        self.functions = []
        # Modules that only tests are compiled with, without `.rs`.
        self.for_tests = []
        self.names = defaultdict(lambda: defaultdict(int))
        root = next(file for file in (folder / "lib.rs", folder / "main.rs") if file.exists())
        top = Module(self.name(root))
        self.read(root, top, folder)
        # Modules that a macro declares are added by the names of their files.
        for file in sorted(folder.rglob("*.rs")):
            tested = any(path in self.for_tests for path in (file.with_suffix(""), *file.parents))
            if self.name(file) not in self.names and not tested:
                module = top
                for name in file.relative_to(folder).parts[:-1]:
                    module = module.children[name]
                self.child(file.stem, None, module, file.parent)

    def name(self, file):
        return file.relative_to(self.base).as_posix()

    def read(self, file, module, folder):
        tokens = tokens_of(file.read_text())
        for text, _ in tokens:
            self.names[module.file][text] += 1
        self.walk(tokens, 0, len(tokens), module, folder)

    def walk(self, tokens, at, end, module, folder):
        path_attribute = None
        while at < end:
            text, line = tokens[at]
            after = tokens[at + 1][0] if at + 1 < end else ""
            if text == "#" and after in ("[", "!"):
                start = at + (1 if after == "[" else 2)
                stop = closing(tokens, start)
                attribute = [token for token, _ in tokens[start + 1 : stop]]
                at = stop + 1
                if for_tests_only(attribute):
                    if after == "!":
                        return
                    while tokens[at][0] == "#":
                        at = closing(tokens, at + 1) + 1
                    stop = end_of_item(tokens, at)
                    item = [token for token, _ in tokens[at:stop] if token != "pub"]
                    if item[:1] == ["mod"] and item[2] == ";":
                        self.for_tests.append(folder / item[1])
                    at = stop
                elif attribute[0] == "path":
                    path_attribute = attribute[2].strip('"')
                continue
            if text == "mod" and NAME.match(after):
                inline = tokens[at + 2][0] == "{"
                if inline:
                    stop = closing(tokens, at + 2)
                    child = module.children.setdefault(after, Module(module.file, module))
                    self.walk(tokens, at + 3, stop, child, folder / after)
                    at = stop
                elif tokens[at + 2][0] == ";":
                    self.child(after, path_attribute, module, folder)
                    at += 2
                path_attribute = None
            elif text == "use" and after != "<":
                # `pub` or `pub(crate)` before it.
                before = tokens[at - 1][0] if at else ""
                public = before == "pub" or before == ")" and tokens[at - 4][0] == "pub"
                at = self.use(tokens, at + 1, module, public)
            elif text in ("struct", "enum", "union", "trait", "type", "const", "static", "fn") and NAME.match(after):
                module.items.add(after)
                if text == "fn":
                    self.function(tokens, at + 1, module)
                at += 1
            elif text == "macro_rules" and after == "!":
                module.items.add(tokens[at + 2][0])
                at += 2
            elif NAME.match(text) and after == "::" and (at == 0 or tokens[at - 1][0] not in ("::", ".")):
                path = [text]
                while tokens[at + 1][0] == "::" and NAME.match(tokens[at + 2][0]):
                    path.append(tokens[at + 2][0])
                    at += 2
                self.references.append((module, line, path, "path"))
            at += 1

    def child(self, name, path_attribute, module, folder):
        places = [folder / f"{name}.rs", folder / name / "mod.rs"]
        if path_attribute:
            places = [(self.base / module.file).parent / path_attribute]
        file = next((place for place in places if place.exists()), None)
        if file is None:
            raise SystemExit(f"{module.file}: there is no file of the module {name}")
        child = module.children[name] = Module(self.name(file), module)
        self.read(file, child, file.parent if file.name == "mod.rs" else file.parent / file.stem)

    def use(self, tokens, at, module, public):
        """Reads the tree behind `use`; returns the index of its `;`."""
        if tokens[at][0] == "::":
            return end_of_item(tokens, at) - 1

        def tree(at, prefix):
            path = list(prefix)
            while True:
                text, line = tokens[at]
                if text == "{":
                    at += 1
                    while tokens[at][0] != "}":
                        at = tree(at, path)
                        at += tokens[at][0] == ","
                    return at + 1
                path.append(text)
                at += 1
                if tokens[at][0] != "::":
                    break
                at += 1
            name = path[-1]
            if name == "self" and len(path) > 1:
                path.pop()
                name = path[-1]
            if tokens[at][0] == "as":
                name = tokens[at + 1][0]
                at += 2
            if name == "*":
                path.pop()
                module.globs.append(path)
            elif path != [name]:
                module.bindings[name].append(path)
            used = name == "*" or self.names[module.file][name] > 1
            self.references.append((module, line, path, "use" if used or not public else "reexport"))
            if name == "*":
                self.references.append((module, line, path, "glob"))
            return at

        return tree(at, [])

    def function(self, tokens, at, module):
        name, line = tokens[at]
        while tokens[at][0] != "(":
            # Of a generic bound such as `Fn(A) -> B` the parentheses are not the parameters'.
            at = self.behind_generics(tokens, at) if tokens[at][0] == "<" else at + 1
        stop, depth, begun, parameters = closing(tokens, at), 0, False, 0
        for text, _ in tokens[at + 1 : stop]:
            if text == "," and depth == 0:
                begun = False
                continue
            if not begun:
                begun = True
                parameters += 1
            depth += (text in "([{<") - (text in ")]}>")
        start = [text for text, _ in tokens[at + 1 : at + 6] if text not in ("&", "mut") and text[0] != "'"]
        parameters -= start[:1] == ["self"]
        while tokens[stop][0] not in ("{", ";"):
            stop += 1
        last = tokens[closing(tokens, stop)][1] if tokens[stop][0] == "{" else line
        self.functions.append((module.file, name, line, last - line + 1, parameters))

    @staticmethod
    def behind_generics(tokens, at):
        depth = 0
        while True:
            depth += (tokens[at][0] == "<") - (tokens[at][0] == ">")
            at += 1
            if depth == 0:
                return at

    def imports(self):
        """(file, line, file imported, path), and whether it only re-exports what a module below it defines."""
        for module, line, path, kind in self.references:
            found = module.resolve(path)
            if found is None:
                continue
            targets = [found[0]]
            if kind == "glob" and found[1]:
                inside = [found[0].lookup(name) for name in list(self.names[module.file])]
                targets = [target[0] for target in inside if target]
            for target in targets:
                if target.file != module.file:
                    handed_on = kind == "reexport" and target.within(module)
                    yield module.file, line, target.file, "::".join(path), handed_on


def circles(imports):
    """Violations: each import of a file that imports this one, directly or not."""
    edges = defaultdict(dict)
    for file, line, target, shown in imports:
        edges[file].setdefault(target, (line, shown))

    def way(start, goal):
        ways, seen = [[start]], {start}
        for way in ways:
            if way[-1] == goal:
                return way
            for file in edges.get(way[-1], ()):
                if file not in seen:
                    seen.add(file)
                    ways.append([*way, file])
        return None

    for file in sorted(edges):
        for target, (line, shown) in edges[file].items():
            if back := way(target, file):
                yield f"{file}:{line} imports {shown}, which leads back to it: {' -> '.join(back)}"


def stage(file):
    return Path(file).parts[1].removesuffix(".rs")


def order(imports):
    """Violations: imports of what stands later in ORDER, and files that have no place in it."""
    for file, line, target, shown in imports:
        here, there = stage(file), stage(target)
        if here in FACE:
            continue
        if here not in ORDER:
            yield f"{file}:1 has no place in the order {', '.join(ORDER)}"
        elif there == "lib":
            yield f"{file}:{line} imports {shown}, which src/lib.rs defines"
        elif there in ORDER and ORDER.index(there) > ORDER.index(here):
            yield f"{file}:{line} imports {shown}, which stands after it"


def python_imports(folder, base):
    files = {file.stem: file.relative_to(base).as_posix() for file in folder.glob("*.py*")}
    package = folder.name
    for name, file in files.items():
        for node in ast.walk(ast.parse((base / file).read_text())):
            found = []
            if isinstance(node, ast.Import):
                found = [alias.name.split(".") for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                start = (node.module or "").split(".") if node.module else []
                start = [package, *start] if node.level else start
                found = [[*start, alias.name] for alias in node.names]
            for path in found:
                if path[0] == package:
                    target = path[1] if len(path) > 1 and path[1] in files else "__init__"
                    if target != name:
                        yield file, node.lineno, files[target], ".".join(path)


def violations(base):
    found = []
    source = Crate(base / "src", base)
    imports = list(source.imports())
    found += order(row[:4] for row in imports)
    found += circles(row[:4] for row in imports if not row[4] and stage(row[0]) == stage(row[2]))
    for folder in CRATES:
        if (base / folder).exists():
            found += circles(row[:4] for row in Crate(base / folder, base).imports() if not row[4])
    if (base / PYTHON).exists():
        found += circles(python_imports(base / PYTHON, base))
    found += large(function for function in source.functions if stage(function[0]) == "training")
    return list(dict.fromkeys(found))


def large(functions):
    for file, name, line, lines, parameters in functions:
        if lines > MAX_LINES:
            yield f"{file}:{line} {name} has {lines} lines, {MAX_LINES} allowed"
        if parameters > MAX_PARAMETERS:
            yield f"{file}:{line} {name} has {parameters} parameters, {MAX_PARAMETERS} allowed"


def self_test():
    clean = {
        "src/lib.rs": "mod error; pub mod settings; pub mod data; mod network; mod training;\n"
        "pub use error::Error; pub use training::Trainer; pub use settings::Settings;",
        "src/error.rs": "pub struct Error;",
        "src/settings.rs": "use crate::Error;\npub struct Settings;",
        "src/data.rs": "mod idx; mod npy; pub use idx::Idx; pub use npy::Npy;",
        "src/data/idx.rs": "pub struct Idx;",
        "src/data/npy.rs": "use super::Idx; pub struct Npy;",
        "src/network.rs": "pub struct Network;",
        "src/training.rs": "mod step; pub use step::Trainer;",
        "src/training/step.rs": "use crate::{Error, network::Network}; pub struct Trainer;",
    }
    long = "fn long() {\n" + "    0;\n" * 60 + "}"
    seven = "fn seven<F: Fn(u8) -> u8>(&self, a: F, b: (u8, u8), c: u8, d: u8, e: u8, f: u8, g: u8) {}"
    cases = [
        ({}, []),
        # Wrong direction: by use, by a branch of a tree, through a re-export, by super, by a path, in a macro.
        ({"src/settings.rs": "\nuse crate::data::Idx;"}, ["src/settings.rs:2 imports crate::data::Idx, which stands"]),
        (
            {"src/network.rs": "use crate::{\n    data::{self, Idx},\n    Trainer as Other,\n};"},
            ["src/network.rs:3 imports crate::Trainer, which stands after it"],
        ),
        ({"src/error.rs": "use super::settings::*;"}, ["src/error.rs:1 imports super::settings, which stands"]),
        (
            {"src/data/idx.rs": "\nfn f() -> u8 { crate::network::make::<u8>(1) }"},
            ["src/data/idx.rs:2 imports crate::network::make, which stands after it"],
        ),
        (
            {"src/error.rs": "macro_rules! m { () => { $crate::settings::Settings }; }"},
            ["src/error.rs:1 imports crate::settings::Settings, which stands after it"],
        ),
        ({"src/data.rs": clean["src/data.rs"] + " pub use crate::Trainer;"}, ["src/data.rs:1 imports crate::Trainer"]),
        (
            {"src/error.rs": "mod inner { use super::super::settings; fn f() { settings::g() } }"},
            ["src/error.rs:1 imports super::super::settings, ", "src/error.rs:1 imports settings::g, "],
        ),
        # No violation: comments, strings, what tests use, an external crate's path.
        (
            {
                "src/error.rs": "// use crate::settings;\n/* crate::settings /* */ crate::data */\n"
                "const A: &str = \"crate::settings::a\"; const B: &str = r#\"\" crate::data::b\"#; const C: char = '\"';\n"
                "#[cfg(test)]\nmod tests { use crate::settings::Settings; }\n#[cfg(all(test, unix))]\nuse crate::data;\n"
                "#[cfg(test)]\nmod tests_of_error;\nfn f<'a>(x: &'a str) { std::data::idx(x) }",
                "src/error/tests_of_error.rs": "use crate::settings::Settings;",
            },
            [],
        ),
        # Not in the order; of lib.rs itself.
        (
            {"src/lib.rs": clean["src/lib.rs"] + " mod json;", "src/json.rs": "use crate::Error;"},
            ["src/json.rs:1 has no place in the order"],
        ),
        (
            {"src/lib.rs": clean["src/lib.rs"] + " fn own() {}", "src/error.rs": "use crate::own;"},
            ["src/error.rs:1 imports crate::own, which src/lib.rs defines"],
        ),
        # Circles: of siblings, of a file and the folder's, through a glob of the folder's file.
        (
            {"src/data/idx.rs": "use super::npy::Npy;"},
            ["src/data/idx.rs:1 imports super::npy::Npy, which leads back to it: ", "src/data/npy.rs:1 imports super::Idx"],
        ),
        (
            {"src/data.rs": clean["src/data.rs"] + " pub struct Both(Idx);", "src/data/idx.rs": "use super::Both;"},
            ["src/data.rs:1 imports idx::Idx, which leads back", "src/data/idx.rs:1 imports super::Both, which leads back"],
        ),
        (
            {"src/data/idx.rs": "use super::*; struct Other(Npy);"},
            ["src/data/idx.rs:1 imports super, which leads back", "src/data/npy.rs:1 imports super::Idx, which leads back"],
        ),
        (
            {"cli/src/main.rs": "mod a;\nuse a::A;\npub struct B;", "cli/src/a.rs": "pub struct A;\ntype C = crate::B;"},
            ["cli/src/a.rs:2 imports crate::B, which leads back", "cli/src/main.rs:2 imports a::A, which leads back"],
        ),
        (
            {
                f"{PYTHON}/__init__.py": "from sae._a import A",
                f"{PYTHON}/_a.py": "if TYPE_CHECKING:\n    from ._b import B",
                f"{PYTHON}/_b.py": "def f():\n    import sae._a",
            },
            [f"{PYTHON}/_a.py:2 imports sae._b.B, which leads back", f"{PYTHON}/_b.py:2 imports sae._a, which leads"],
        ),
        # A module that a macro declares.
        (
            {
                "cli/src/main.rs": "macro_rules! sets { ($m:ident) => { mod $m; } }\nsets!(a); type A = a::A; struct B;",
                "cli/src/a.rs": "pub struct A;\nuse crate::B;",
            },
            ["cli/src/a.rs:2 imports crate::B, which leads back", "cli/src/main.rs:2 imports a::A, which leads back"],
        ),
        # Functions.
        (
            {"src/training/step.rs": f"\n{long}\nimpl Trainer {{ {seven} }}"},
            ["src/training/step.rs:2 long has 62 lines, 60 allowed", "src/training/step.rs:64 seven has 7 parameters, 6"],
        ),
        ({"src/network.rs": long}, []),
    ]
    for files, expected in cases:
        with tempfile.TemporaryDirectory() as folder:
            for name, text in {**clean, **files}.items():
                # What others import stays defined.
                kept = re.search(r"pub struct \w+;", clean.get(name, ""))
                if kept and kept.group() not in text:
                    text += "\n" + kept.group()
                file = Path(folder, name)
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(text)
            found = violations(Path(folder))
        good = len(found) == len(expected) and all(map(str.startswith, sorted(found), sorted(expected)))
        assert good, f"{files}\nfound {found}\nexpected {expected}"
    print(f"imports.py: {len(cases)} trees as expected")


def main():
    base = Path(__file__).resolve().parent.parent
    if "--self-test" in sys.argv:
        return self_test()
    if "--functions" in sys.argv:
        for folder in ["src", *CRATES]:
            print(*large(Crate(base / folder, base).functions), sep="\n")
        return None
    found = violations(base)
    print(*found, sep="\n")
    if found:
        sys.exit(f"{len(found)} violations")
    print("imports: all in the right direction, no circles")
    return None


if __name__ == "__main__":
    main()
