#!/usr/bin/python3
"""Checks house rules that neither the compiler nor clang-format knows. Prints file:line of each violation.

    check_style.py [--root DIR]   checks a tree
    check_style.py --self-test    checks the checker on snippets, good and bad
"""

import argparse
import pathlib
import re
import subprocess
import sys

LINE_COLUMNS_MAX = 110
FUNCTION_LINES_MAX = 70
TEST_FUNCTION_LINES_MAX = 120
FILE_LINES_MAX = 500
FILE_BYTES_MAX = 256 * 1024

# Where exceptions end: the programs' main functions and the dispatchers, which turn one into a log line or a
# 500 answer. CLI11 reports usage errors by exception, at one place. The ledger's worker stops
# writing when its store or an invariant breaks, and the checks tell what they found. Everything else lets them pass.
CATCH_ALLOWED = {
    "src/control_plane/ledger_service.cpp",
    "src/ledger/ledger_check.cpp",
    "src/ledger/ledger_worker.cpp",
    "src/ledger/running_check.cpp",
    "src/main/agent.cpp",
    "src/main/control_plane.cpp",
    "src/main/eectl.cpp",
    "src/net/worker_pool.cpp",
    "src/http/server_connection.cpp",
    "src/cli/eectl.cpp",
}

MARKER = re.compile(r"\b(" + "|".join(["TO" + "DO", "FIX" + "ME", "X" * 3, "HA" + "CK"]) + r")\b")
EMPTY_NAMES = {"helper", "helpers", "util", "utils", "common", "manager", "misc"}
EMPTY_TYPE_NAME = re.compile(r"\b(?:class|struct)\s+\w*(?:Helper|Util|Utils|Common|Manager|Misc)\b")
CODE_FOLDERS = ("src", "tests", "bench")
BINARY_FOLDERS = ("tests/fuzz/corpus/",)
TEXT_SUFFIXES = {".h", ".cpp", ".py", ".sh", ".md", ".txt", ".cmake", ".json", ".html", ".yml", ".yaml", ""}

COMMENT_OR_STRING = re.compile(
    r'R"([^(\s]*)\(.*?\)\1"|//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|(?<![0-9a-fA-F])\'(?:\\.|[^\'\\\n])*\'', re.DOTALL)


def without_comments(text):
    """The code with comments and strings blanked, line breaks and columns kept."""
    return COMMENT_OR_STRING.sub(lambda found: re.sub(r"[^\n]", " ", found.group(0)), text)


def line_of(text, offset):
    return text.count("\n", 0, offset) + 1


# ---- co_await: GCC 12 miscompiles it in conditions, ?:, and beside braced temporaries ----------------------

CONTROL_HEAD = re.compile(r"^\s*(?:else\b|(?:if|for|while)\s*(?:constexpr\s*)?\()")
LABEL = re.compile(r"^\s*(?:case\b[^:]*(?:::[^:]*)*|default\s*|\w+\s*):(?!:)")
INITIALISER = re.compile(r"^\s*(?:const\s+|constexpr\s+|static\s+)*[\w:]+(?:\s*<[^;={}?]*>)?(?:\s+const\b)?[\s&*]*"
                         r"(?:\b\w+|\[[\w\s,]+\])\s*=\s*$")


def skip_control_head(prefix):
    """Drops `if (...)` with balanced parentheses; None when they are still open: a condition."""
    while True:
        found = CONTROL_HEAD.match(prefix)
        if not found:
            return prefix
        if found.group(0).strip() == "else":
            prefix = prefix[found.end():]
            continue
        depth = 0
        for i in range(found.end() - 1, len(prefix)):
            depth += {"(": 1, ")": -1}.get(prefix[i], 0)
            if depth == 0:
                prefix = prefix[i + 1:]
                break
        else:
            return None


def co_await_problem(code, at):
    """Why the co_await at this offset is not allowed; None when it is."""
    start = max(code.rfind(mark, 0, at) for mark in ";{}") + 1
    # A `;` inside for (...) or if (...; ...) is not the end of a statement.
    opener = re.search(r"\b(?:for|if|while|switch)\s*\([^(){};]*;[^{}]*$", code[max(0, at - 400):at])
    if opener and opener.group(0).count("(") > opener.group(0).count(")"):
        return "co_await in the head of a statement"
    prefix = LABEL.sub("", code[start:at])
    prefix = skip_control_head(prefix)
    if prefix is None:
        return "co_await in a condition"
    opened_by = code[start - 1] if start > 0 else ""
    before_brace = code[:start - 1].rstrip()[-1:] if opened_by == "{" else ""
    if opened_by == "{" and (before_brace in "=,(" or re.search(r"[\w>]$", before_brace)):
        # `{` after a name is an initialiser, after `)` or a keyword a block.
        if not re.search(r"\b(?:else|do|try|const|noexcept|override|mutable)$", code[:start - 1].rstrip()) \
                and not re.search(r"->\s*[\w:<>,\s]+$", code[:start - 1].rstrip()):
            return "co_await in braces"
    if prefix.strip() and not INITIALISER.match(prefix):
        return "co_await is neither a whole initialiser nor a statement of its own"
    return awaited_problem(code, at + len("co_await"))


def awaited_problem(code, start):
    depth = 0
    for i in range(start, len(code)):
        c = code[i]
        if c == "{":
            return "a braced temporary or a lambda in an awaited call"
        if c == "?":
            return "?: in an awaited expression"
        if c in "([":
            depth += 1
        elif c in ")]":
            depth -= 1
            if depth < 0:
                return "co_await in an argument list"
        elif c == "," and depth == 0:
            return "co_await in a list"
        elif c == ";" and depth == 0:
            rest = code[start:i]
            if "co_await" in rest:
                return "two co_await in one statement"
            if re.search(r"\s(?:&&|\|\||[-+*/%|&^<>]|[=!<>]=|<<|>>)\s", rest):
                return "an operator beside co_await"
            return None
    return "co_await without an end"


def check_co_await(code):
    for found in re.finditer(r"\bco_await\b", code):
        problem = co_await_problem(code, found.start())
        if problem:
            yield line_of(code, found.start()), problem


# ---- Functions ---------------------------------------------------------------------------------------------

NOT_A_FUNCTION = re.compile(r"\b(?:namespace|class|struct|union|enum|extern)\b[^()]*$")


def functions(code):
    """(first line, last line) of each function body, roughly: a block at namespace or class level that
    follows a parameter list."""
    scopes = []  # True for namespaces and classes.
    starts = []
    boundary = 0
    for i, c in enumerate(code):
        if c in ";}":
            boundary = i + 1
        if c == "{":
            head = code[boundary:i]
            at_scope = all(scopes)
            is_scope = at_scope and bool(NOT_A_FUNCTION.search(head))
            is_function = at_scope and not is_scope and ")" in head and not head.rstrip().endswith(("=", ",", "("))
            scopes.append(is_scope)
            starts.append(line_of(code, i) if is_function else None)
            boundary = i + 1
        elif c == "}" and scopes:
            scopes.pop()
            start = starts.pop()
            if start is not None:
                yield start, line_of(code, i)


# ---- Files -------------------------------------------------------------------------------------------------

def check_cpp(name, text):
    code = without_comments(text)
    is_test = name.endswith("_test.cpp") or name.startswith(("tests/", "bench/"))
    lines = text.splitlines()
    for number, line in enumerate(lines, 1):
        if len(line) > LINE_COLUMNS_MAX:
            yield number, f"{len(line)} columns, at most {LINE_COLUMNS_MAX}"
        if "@brief" in line:
            yield number, "@brief: comments are sentences"
    if len(lines) > FILE_LINES_MAX and not is_test:
        yield 1, f"{len(lines)} lines, at most {FILE_LINES_MAX}: is it one room, or several?"
    limit = TEST_FUNCTION_LINES_MAX if is_test else FUNCTION_LINES_MAX
    for first, last in functions(code):
        if last - first + 1 > limit:
            yield first, f"a function of {last - first + 1} lines, at most {limit}"
    for found in EMPTY_TYPE_NAME.finditer(code):
        yield line_of(code, found.start()), f"`{found.group(0)}` says nothing about what it does"
    if not is_test and name not in CATCH_ALLOWED:
        for found in re.finditer(r"\bcatch\s*\(", code):
            yield line_of(code, found.start()), "catch outside the places where exceptions end"
    if name.endswith(".h"):
        if not re.match(r"(?:\s|//[^\n]*\n)*#pragma once\b", text):
            yield 1, "a header begins with #pragma once"
        for found in re.finditer(r"\busing\s+namespace\b", code):
            yield line_of(code, found.start()), "using namespace in a header"
    yield from check_co_await(code)


def check_text(name, text, machine_paths):
    for number, line in enumerate(text.splitlines(), 1):
        found = MARKER.search(line)
        if found and name.startswith(CODE_FOLDERS + ("scripts", "cmake")):
            yield number, f"{found.group(0)}: do it, or open an issue"
        for path in machine_paths:
            if path in line:
                yield number, "a path of one machine"


def check_file(name, text, machine_paths=()):
    words = pathlib.PurePosixPath(name).stem.lower().replace("-", "_").split("_")
    folders = pathlib.PurePosixPath(name).parent.parts
    if EMPTY_NAMES & (set(words) | set(folders)):
        yield 1, "the name says nothing about what is in it"
    yield from check_text(name, text, machine_paths)
    if name.startswith(CODE_FOLDERS) and name.endswith((".h", ".cpp")):
        yield from check_cpp(name, text)


def files_of(root):
    """The files git knows or would add, or all but build/ where there is no git."""
    listed = subprocess.run(["git", "-C", str(root), "ls-files", "-co", "--exclude-standard", "-z"],
                            capture_output=True, check=False)
    if listed.returncode == 0:
        names = sorted(set(listed.stdout.decode().split("\0")) - {""})
        return [name for name in names if (root / name).is_file()]
    return sorted(p.relative_to(root).as_posix() for p in root.rglob("*")
                  if p.is_file() and not p.relative_to(root).parts[0] in ("build", ".git", "data"))


def machine_paths_of(root):
    """Where this tree and its user live: neither may stand in a file. Folders that every machine has may."""
    places = {str(root.parent), str(pathlib.Path.home())}
    return tuple(place + "/" for place in sorted(places) if place not in ("/", "/tmp", "/var/tmp", "/home", "/srv", "/opt"))


def check_bytes(name, content, machine_paths=()):
    """Of a file as it is: that it is small, and text, but for what the fuzz targets start from."""
    if len(content) > FILE_BYTES_MAX:
        yield 1, f"{len(content)} bytes, {FILE_BYTES_MAX} are allowed"
        return
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        if not name.startswith(BINARY_FOLDERS):
            yield 1, "not text"
        return
    if pathlib.PurePosixPath(name).suffix in TEXT_SUFFIXES:
        yield from check_file(name, text, machine_paths)


def check_tree(root):
    problems = []
    for name in files_of(root):
        found = check_bytes(name, (root / name).read_bytes(), machine_paths_of(root))
        problems += [f"{name}:{number}: {what}" for number, what in found]
    return problems


# ---- Self-test ---------------------------------------------------------------------------------------------

GOOD_AWAITS = [
    "Task<void> f() { co_await g(); }",
    "Task<void> f() { const Result<int> r = co_await g(x, y[1]); use(r); }",
    "Task<void> f() { auto [ec, n] = co_await read(socket, buffer(data)); }",
    "Task<void> f() { if (ready) co_await g(); else co_await h(); }",
    "Task<void> f() { for (;;) { const auto m = co_await session->receive<Message>(deadline); } }",
    "Task<void> f() { const std::vector<int> v = co_await list(a, b); }",
    "Task<void> f() { switch (x) { case Kind::a: co_await g(); break; default: co_await h(); } }",
    "Task<void> f() { /* co_await (a ? b : c) */ // if (co_await g())\n co_await g(); }",
    "Task<Result<int>> f() const { co_await g(); }",
    "auto f() -> Task<int> { co_await g(); }",
]
BAD_AWAITS = [
    "Task<void> f() { if (co_await g()) h(); }",
    "Task<void> f() { while (co_await g()) h(); }",
    "Task<void> f() { if (auto r = co_await g(); r) h(); }",
    "Task<void> f() { for (auto x = co_await g(); x; ) h(); }",
    "Task<void> f() { for (auto x : co_await g()) h(); }",
    "Task<void> f() { const int n = co_await g() ? 1 : 2; }",
    "Task<void> f() { const int n = a ? co_await g() : 2; }",
    "Task<void> f() { h(co_await g()); }",
    "Task<void> f() { h(1, co_await g(), 2); }",
    "Task<void> f() { const X x{1, co_await g()}; }",
    "Task<void> f() { const X x{co_await g()}; }",
    "Task<void> f() { return X{co_await g()}; }",
    "Task<void> f() { co_await g({1, 2}); }",
    "Task<void> f() { co_await g(Options{.a = 1}); }",
    "Task<void> f() { co_await g([&] { return 1; }); }",
    "Task<void> f() { const int n = co_await g() + co_await h(); }",
    "Task<void> f() { const int n = co_await g() + 1; }",
    "Task<void> f() { const int n = 1 + co_await g(); }",
    "Task<void> f() { const bool b = co_await g() && c; }",
    "Task<void> f() { const bool b = c && co_await g(); }",
    "Task<void> f() { const auto x = (co_await g()).value(); }",
    "Task<void> f() { co_return co_await g(); }",
    "Task<void> f() { member_ = co_await g(); }",
    "Task<void> f() { co_await (a ? g() : h()); }",
]

LONG_BODY = "    step();\n" * 70

GOOD_FILES = [
    ("src/a/b.h", "// Says what.\n#pragma once\nnamespace a {}\n"),
    ("src/a/b.cpp", "namespace a {\nvoid f() {\n" + "    step();\n" * 68 + "}\n}\n"),
    ("src/a/b.cpp", "namespace a {\n" + "void f() {}\n" * 100 + "}\n"),
    ("src/a/b.cpp", "constexpr int table[] = {\n" + "    f(1),\n" * 100 + "};\n"),
    ("src/a/b_test.cpp", "void f() { try { g(); } catch (...) {} }\n"),
    ("src/a/b.cpp", 'const char* text = "try { } catch (...) { }";\n'),
    (sorted(CATCH_ALLOWED)[0], "void f() { try { g(); } catch (...) {} }\n"),
    ("src/a/b_test.cpp", 'std::string pattern = "ee_XXXXXX";\n'),
    ("docs/x.md", "x" * 200 + "\n"),
    ("src/a/commonplace.cpp", "struct Community {};\n"),
]
BAD_FILES = [
    ("src/a/b.h", "namespace a {}\n", "#pragma once"),
    ("src/a/b.h", "#pragma once\nusing namespace std;\n", "using namespace"),
    ("src/a/b.cpp", "// " + "x" * 108 + "\n", "111 columns"),
    ("src/a/b.cpp", "namespace a {\nvoid f() {\n" + LONG_BODY + "}\n}\n", "a function of 72 lines"),
    ("src/a/b.cpp", "struct S {\n    int f() const {\n" + LONG_BODY + "    }\n};\n", "a function of 72 lines"),
    ("src/a/b.cpp", "S::S(int a)\n    : a_(a) {\n" + LONG_BODY + "}\n", "a function of 72 lines"),
    ("src/a/b.cpp", "int x;\n" * 501, "501 lines"),
    ("src/a/b.cpp", "void f() { try { g(); } catch (...) {} }\n", "catch outside"),
    ("src/a/b.cpp", "// TO" + "DO: later\n", "open an issue"),
    ("scripts/x.sh", "# FIX" + "ME\n", "open an issue"),
    ("src/a/b.cpp", "// @brief X\n", "@brief"),
    ("src/a/b.cpp", "class SocketManager {};\n", "says nothing"),
    ("src/a/string_util.cpp", "", "says nothing"),
    ("src/common/x.cpp", "", "says nothing"),
    ("docs/x.md", "see /home/somebody/x\n", "a path of one machine"),
]


FILES_OF_BYTES = [
    ("tests/fuzz/corpus/quote/a", b"\xff\xfe", []),
    ("docs/y.md", "größer\n".encode(), []),
    ("core", b"\x7fELF\xff", ["not text"]),
    ("docs/x.txt", b"a" * FILE_BYTES_MAX, []),
    ("docs/x.txt", b"a" * (FILE_BYTES_MAX + 1), ["are allowed"]),
]


def self_test():
    failures = []
    for snippet in GOOD_AWAITS:
        found = list(check_co_await(without_comments(snippet)))
        if found:
            failures.append(f"refused: {snippet}: {found}")
    for snippet in BAD_AWAITS:
        if not list(check_co_await(without_comments(snippet))):
            failures.append(f"accepted: {snippet}")
    for name, text in GOOD_FILES:
        found = list(check_file(name, text, ("/home/somebody/",)))
        if found:
            failures.append(f"refused: {name} {text[:40]!r}: {found}")
    for name, text, expected in BAD_FILES:
        found = list(check_file(name, text, ("/home/somebody/",)))
        if len(found) != 1 or expected not in found[0][1]:
            failures.append(f"{name} {text[:40]!r}: expected {expected!r}, got {found}")
    for name, content, expected in FILES_OF_BYTES:
        found = [what for _, what in check_bytes(name, content)]
        if len(found) != len(expected) or any(part not in what for part, what in zip(expected, found)):
            failures.append(f"{name} {content[:20]!r}: expected {expected}, got {found}")
    return failures


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=pathlib.Path, default=pathlib.Path(__file__).resolve().parents[2])
    parser.add_argument("--self-test", action="store_true")
    arguments = parser.parse_args()
    problems = self_test() if arguments.self_test else check_tree(arguments.root.resolve())
    for problem in problems:
        print(problem)
    if problems:
        return 1
    print("style: " + ("the checker finds what it should" if arguments.self_test else "good"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
