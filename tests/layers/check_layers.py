#!/usr/bin/python3
"""Checks the includes of src/ against the policy in src/layers.json: no cycle, no unknown folder, no include
that the policy does not allow, nothing impure in the pure core. Prints file:line of each violation.

    check_layers.py [--src DIR]   checks a tree
    check_layers.py --self-test   checks the checker on small trees, good and bad
"""

import argparse
import fnmatch
import graphlib
import json
import pathlib
import re
import sys
import tempfile

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^">]+)[">]')

# Headers of the C++ and C libraries and of the kernel's interface, which need no permission by themselves.
STANDARD = re.compile(
    r"^([a-z_0-9]+(\.h)?|(sys|netinet|arpa|linux|net|bits)/[a-z_0-9/]+\.h)$")
# Of these, what a pure file may not include: sockets, descriptors, threads, clocks, randomness.
IMPURE_HEADER = re.compile(
    r"^((sys|netinet|linux|net)/.*|thread|mutex|shared_mutex|condition_variable|future|semaphore|latch|barrier|"
    r"stop_token|coroutine|random|ctime|time\.h|unistd\.h|poll\.h|netdb\.h|fcntl\.h|pthread\.h|csignal|signal\.h)$")
IMPURE_CALL = re.compile(
    r"\b(?:(?:system_clock|steady_clock|high_resolution_clock|utc_clock|Clock)::now|wall_now|clock_gettime|"
    r"gettimeofday|fill_random|random_bytes|random_device|getrandom|RAND_bytes|std::rand|std::time)\b")
COMMENT_OR_STRING = re.compile(
    r'R"([^(\s]*)\(.*?\)\1"|//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|(?<![0-9a-fA-F])\'(?:\\.|[^\'\\\n])*\'', re.DOTALL)


def without_comments(text):
    """The code with comments and the insides of strings blanked, line breaks kept."""
    return COMMENT_OR_STRING.sub(lambda found: re.sub(r"[^\n]", " ", found.group(0)), text)


def load_policy(text):
    """The policy, and what is wrong with it."""
    policy = json.loads(text)
    layers = policy["layers"]
    problems = []
    for name, layer in layers.items():
        for target in layer["may_include"]:
            if target not in layers:
                problems.append(f"layers.json: {name} may include {target}, which is not a layer")
    known = {name: [t for t in layer["may_include"] if t in layers] for name, layer in layers.items()}
    try:
        tuple(graphlib.TopologicalSorter(known).static_order())
    except graphlib.CycleError as error:
        problems.append("layers.json: a cycle: " + " -> ".join(reversed(error.args[1])))
    return policy, problems


class Checker:
    def __init__(self, src, policy):
        self.src = src
        self.policy = policy
        self.layers = policy["layers"]
        self.problems = []

    def layer_of(self, relative):
        """The deepest layer that holds the path: attestation/provider/x.h is of attestation/provider."""
        folder = relative.rpartition("/")[0]
        while folder and folder not in self.layers:
            folder = folder.rpartition("/")[0]
        return folder

    def is_test(self, relative):
        return relative.endswith("_test.cpp") or relative in self.policy.get("test_files", [])

    def is_pure(self, relative):
        layer = self.layers[self.layer_of(relative)]
        name = relative.rpartition("/")[2]
        matches = lambda key: any(fnmatch.fnmatch(name, pattern) for pattern in layer.get(key, []))
        return matches("pure_files") or (layer.get("pure", False) and not matches("impure_files"))

    def check(self):
        files = sorted(p for p in self.src.rglob("*") if p.suffix in (".h", ".cpp"))
        for path in files:
            relative = path.relative_to(self.src).as_posix()
            layer = self.layer_of(relative)
            if not layer or (layer != relative.rpartition("/")[0]):
                self.problems.append(f"{relative}:1: its folder is not in layers.json")
                continue
            self.check_file(relative, layer, path.read_text(encoding="utf-8"))
        self.check_patterns(files)
        return self.problems

    def check_patterns(self, files):
        for name, layer in self.layers.items():
            names = [p.name for p in files if p.parent == self.src / name]
            for pattern in layer.get("pure_files", []) + layer.get("impure_files", []):
                if names and not fnmatch.filter(names, pattern):
                    self.problems.append(f"layers.json: no file of {name} matches {pattern}")

    def check_file(self, relative, layer, text):
        is_test = self.is_test(relative)
        pure = not is_test and self.is_pure(relative)
        for number, line in enumerate(text.splitlines(), 1):
            found = INCLUDE.match(line)
            if not found:
                continue
            complain = lambda what: self.problems.append(f"{relative}:{number}: {what}")
            bracket, target = found.groups()
            if bracket == '"':
                self.check_own_include(complain, layer, target, is_test, pure)
            else:
                self.check_library_include(complain, layer, target, is_test, pure)
        if not pure:
            return
        for number, line in enumerate(without_comments(text).splitlines(), 1):
            found = IMPURE_CALL.search(line)
            if found:
                self.problems.append(
                    f"{relative}:{number}: {found.group(0)} in a pure file: time and randomness are arguments")

    def check_own_include(self, complain, layer, target, is_test, pure):
        if not (self.src / target).is_file():
            return complain(f'"{target}" does not exist under src/')
        if self.is_test(target) and not is_test:
            return complain(f'"{target}" is for tests only')
        target_layer = self.layer_of(target)
        if pure and target_layer == "net":
            return complain(f'"{target}" in a pure file')
        if pure and target_layer == layer and not self.is_pure(target):
            return complain(f'"{target}" is not pure, this file is')
        if target_layer == layer or target_layer in self.layers[layer]["may_include"]:
            return None
        if is_test and target in self.policy.get("test_may_include", []):
            return None
        return complain(f'{layer} may not include {target_layer} ("{target}")')

    def check_library_include(self, complain, layer, target, is_test, pure):
        allowed = list(self.layers[layer].get("libraries", []))
        if is_test:
            allowed += self.policy.get("test_libraries", [])
        if any(target == name or (name.endswith("/") and target.startswith(name)) for name in allowed):
            return None
        known_library = target in ("simdjson.h", "sqlite3.h")
        if known_library or not STANDARD.match(target):
            return complain(f"{layer} may not use <{target}>")
        if pure and IMPURE_HEADER.match(target):
            return complain(f"<{target}> in a pure file")
        return None


def check_tree(src):
    policy, problems = load_policy((src / "layers.json").read_text(encoding="utf-8"))
    return problems or Checker(src, policy).check()


# ---- Self-test ----------------------------------------------------------------------------------------

SELF_TEST_POLICY = {
    "layers": {
        "base": {"may_include": [], "libraries": ["fmt/"]},
        "net": {"may_include": ["base"]},
        "core": {"may_include": ["base"], "pure": True, "impure_files": ["fake*"]},
        "core/edge": {"may_include": ["base", "core"]},
        "mixed": {"may_include": ["base", "net"], "pure_files": ["codec*"]},
    },
    "test_may_include": ["core/fake.h"],
    "test_files": ["base/harness.h"],
    "test_libraries": ["gtest/"],
}

GOOD_FILES = {
    "base/a.h": "#include <vector>\n#include <fmt/format.h>\n",
    "net/n.h": '#include <sys/epoll.h>\n#include "base/a.h"\nauto t = std::chrono::steady_clock::now();\n',
    "core/c.h": '#include "base/a.h"\n// steady_clock::now() is not called here.\nconst char* s = "wall_now()";\n',
    "core/fake.h": "int r = random_bytes();\n",
    "core/edge/e.h": '#include "core/c.h"\n#include <thread>\n',
    "mixed/codec.h": '#include "base/a.h"\n',
    "mixed/loop.h": '#include "net/n.h"\n#include "mixed/codec.h"\n',
    "base/harness.h": "#include <gtest/gtest.h>\n",
    "base/a_test.cpp": '#include <gtest/gtest.h>\n#include "base/harness.h"\n#include "core/fake.h"\n',
}

# One fault each: the file to add or change, and what the checker must say.
BAD_FILES = [
    ("base/b.h", '#include "core/c.h"\n', 'base/b.h:1: base may not include core ("core/c.h")'),
    ("core/d.h", '\n#include "core/edge/e.h"\n', "core/d.h:2: core may not include core/edge"),
    ("core/d.h", "#include <thread>\n", "core/d.h:1: <thread> in a pure file"),
    ("core/d.h", "#include <sys/epoll.h>\n", "core/d.h:1: <sys/epoll.h> in a pure file"),
    ("core/d.h", "#include <sys/socket.h>\n", "core/d.h:1: <sys/socket.h> in a pure file"),
    ("core/d.h", "\nauto t = std::chrono::system_clock::now();\n", "core/d.h:2: system_clock::now"),
    ("core/d.h", "auto t = wall_now();\n", "core/d.h:1: wall_now"),
    ("core/d.h", "crypto::fill_random(x);\n", "core/d.h:1: fill_random"),
    ("core/d.h", "#include <fmt/format.h>\n", "core/d.h:1: core may not use <fmt/format.h>"),
    ("core/d.h", "#include <simdjson.h>\n", "core/d.h:1: core may not use <simdjson.h>"),
    ("core/d.h", '#include "core/fake.h"\n', '"core/fake.h" is not pure'),
    ("core/d.h", '#include "core/none.h"\n', '"core/none.h" does not exist'),
    ("mixed/codec2.h", '#include "net/n.h"\n', '"net/n.h" in a pure file'),
    ("mixed/codec2.h", '#include "mixed/loop.h"\n', '"mixed/loop.h" is not pure'),
    ("strange/x.h", "", "strange/x.h:1: its folder is not in layers.json"),
    ("core/deep/x.h", "", "core/deep/x.h:1: its folder is not in layers.json"),
    ("base/b.h", "#include <gtest/gtest.h>\n", "base/b.h:1: base may not use <gtest/gtest.h>"),
    ("base/b.h", '#include "base/harness.h"\n', '"base/harness.h" is for tests only'),
    ("net/m.h", '#include "core/fake.h"\n', "net/m.h:1: net may not include core"),
]


def check_files(files, policy=None):
    with tempfile.TemporaryDirectory() as folder:
        src = pathlib.Path(folder)
        for name, text in files.items():
            (src / name).parent.mkdir(parents=True, exist_ok=True)
            (src / name).write_text(text, encoding="utf-8")
        (src / "layers.json").write_text(json.dumps(policy or SELF_TEST_POLICY), encoding="utf-8")
        return check_tree(src)


def self_test():
    failures = []
    good = check_files(GOOD_FILES)
    if good:
        failures.append(f"the good tree is refused: {good}")
    for name, text, expected in BAD_FILES:
        problems = check_files({**GOOD_FILES, name: text})
        if len(problems) != 1 or expected not in problems[0]:
            failures.append(f"{name}: expected {expected!r}, got {problems}")
    cycle = {"layers": {"a": {"may_include": ["b"]}, "b": {"may_include": ["a"]}}}
    if not any("cycle" in problem for problem in check_files({}, cycle)):
        failures.append("a cycle is accepted")
    unknown = {"layers": {"a": {"may_include": ["b"]}}}
    if not any("which is not a layer" in problem for problem in check_files({}, unknown)):
        failures.append("an unknown layer is accepted")
    stale = {"layers": {"base": {"may_include": [], "pure_files": ["gone*"]}}}
    if not any("matches gone*" in problem for problem in check_files({"base/a.h": ""}, stale)):
        failures.append("a pattern without files is accepted")
    return failures


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--src", type=pathlib.Path, default=pathlib.Path(__file__).parents[2] / "src")
    parser.add_argument("--self-test", action="store_true")
    arguments = parser.parse_args()
    problems = self_test() if arguments.self_test else check_tree(arguments.src)
    for problem in problems:
        print(problem if arguments.self_test else f"src/{problem}")
    if problems:
        return 1
    print("layers: " + ("the checker finds what it should" if arguments.self_test else "good"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
