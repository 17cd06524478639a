#!/usr/bin/python3
"""Checks that the pages name files that exist: relative links, and paths in backquotes; and that no mapping of a YAML
file has a key twice, which readers of YAML refuse or take for one. Prints file:line.

    check_pages.py [--root DIR]
    check_pages.py --self-test
"""

import argparse
import pathlib
import re
import sys
import tempfile

import yaml

LINK = re.compile(r"\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)
CODE_PATH = re.compile(r"`((?:src|tests|docs|scripts|demo|cmake|bench)/[\w./*-]*)`")


def anchors(text):
    """The fragments that a page's headings give, as GitHub makes them."""
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in HEADING.findall(text)}


def problem(root, page, target):
    """Why this link or path is wrong; None when it is not."""
    if re.match(r"[a-z]+:", target):
        return None
    path, _, fragment = target.partition("#")
    file = (page.parent / path) if path else page
    if not file.exists():
        return f"{target} does not exist"
    if fragment and file.suffix == ".md" and fragment not in anchors(file.read_text()):
        return f"{target}: no such heading"
    return None


def keys_twice(text):
    """(line, key) of each key that its mapping has already."""
    nodes = [yaml.compose(text)]
    while nodes:
        node = nodes.pop()
        if isinstance(node, yaml.SequenceNode):
            nodes += node.value
        elif isinstance(node, yaml.MappingNode):
            known = set()
            for key, value in node.value:
                if key.value in known:
                    yield key.start_mark.line + 1, key.value
                known.add(key.value)
                nodes.append(value)


def check(root):
    problems = []
    for file in sorted([*root.glob("src/**/*.yaml"), *root.glob("*.yaml")]):
        name = file.relative_to(root)
        try:
            problems += [f"{name}:{number}: {key} is there twice" for number, key in keys_twice(file.read_text())]
        except yaml.YAMLError as error:
            problems.append(f"{name}: {' '.join(str(error).split())}")
    for page in sorted([*root.glob("*.md"), *root.glob("docs/**/*.md"), *root.glob("bench/*.md")]):
        for number, line in enumerate(page.read_text().splitlines(), 1):
            wrong = [problem(root, page, target) for target in LINK.findall(line)]
            wrong += [f"{path} does not exist" for path in CODE_PATH.findall(line) if not any(root.glob(path))]
            problems += [f"{page.relative_to(root)}:{number}: {why}" for why in wrong if why]
    return problems


def self_test():
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        (root / "src").mkdir()
        (root / "src/real.cpp").write_text("")
        (root / "docs").mkdir()
        (root / "docs/page.md").write_text("# Some `code`, too\n[up](../README.md) [web](https://example.com/x)\n")
        good = "`src/real.cpp` [page](docs/page.md#some-code-too) `src/` `src/*.cpp`\n"
        (root / "README.md").write_text(good)
        assert check(root) == [], check(root)
        for bad in ("`src/unreal.cpp`", "[x](docs/none.md)", "[x](docs/page.md#nowhere)", "[x](#nowhere)"):
            (root / "README.md").write_text(good + bad + "\n")
            assert len(check(root)) == 1 and check(root)[0].startswith("README.md:2: "), (bad, check(root))
    good = "a:\n  b: 1\n  c: {b: 2,\n    d: 3}\n  d: |\n    b: 4\n    b: 5\n  e:\n    - b: 6\n      c: 7\n    - b: 8\nf: 'x: y'\n"
    assert list(keys_twice(good)) == [], list(keys_twice(good))
    for more, where in (("a: 1\n", 13), ("g:\n  b: 1\n  'c': 2\n  b: 3\n", 16), ("h:\n  - b: 1\n    b: 2\n", 15),
                        ("i: {b: 1,\n  b: 2}\n", 14)):
        assert [number for number, _ in keys_twice(good + more)] == [where], (more, list(keys_twice(good + more)))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--root", type=pathlib.Path, default=pathlib.Path(__file__).resolve().parents[2])
    parser.add_argument("--self-test", action="store_true")
    arguments = parser.parse_args()
    if arguments.self_test:
        return self_test()
    problems = check(arguments.root)
    print("\n".join(problems), end="\n" if problems else "")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
