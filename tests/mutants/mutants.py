#!/usr/bin/env python3
"""Takes the checks of the verifier, the ledger and the readers of strangers' bytes out one by one, turns routing's
decisions one by one, and shows that each time a test notices.

  mutants.py [--only TEXT] [--jobs N]
  mutants.py --list | --self-test

Every `if` whose body refuses is a check, and so is each alternative of its condition (`a || b`). A decision of
routing is each part of a condition (`a && b`, `a || b`), which is taken out, and each comparison, which is moved by
one (`<` to `<=`) or turned (`==` to `!=`), wherever they are in a condition, an answer or a bool. All of them are
built into one test binary, from a copy of the tree; EE_MUTANT=N chooses the one that is not made. A mutant is
killed when the tests then fail, crash or hang. Exits 1 when one survives, unless EQUIVALENT says why it must, or
when one that EQUIVALENT names is killed."""

import argparse
import collections
import concurrent.futures
import os
import pathlib
import re
import shutil
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
WORK = ROOT / "build" / "mutants"
# What decides about quotes, certificates, collateral, policies and allowlists, about what the log proves, about
# money, and about the bytes of strangers.
SOURCES = ["src/attestation/*.cpp", "src/crypto/certificate.cpp", "src/crypto/crl.cpp", "src/crypto/ecdsa.cpp",
           "src/crypto/ed25519.cpp", "src/crypto/der.cpp", "src/ledger/*.cpp", "src/ledger/*.h",
           # What reads the bytes of visitors, agents and backends.
           "src/http/*.cpp", "src/protocol/*.cpp", "src/tunnel/*.cpp", "src/proxy/*.cpp", "src/agent/*.cpp"]
# What decides who may serve, and who is chosen; and in the ledger what refuses by an empty answer.
DECIDES = ["src/router/*.cpp", "src/registry/*.cpp", "src/registry/node.h", "src/registry/registry.h",
           "src/ledger/account_name.cpp", "src/ledger/batch.cpp", "src/ledger/loss_mark.cpp"]
NOT_CHECKS = re.compile(r"_test\.cpp$|/test_|simulated_|resolution_json|directory_source|vector_manifest|remedy|"
                        r"tcb_status|attestation/evidence|policy_file")
# By which tests what is in a folder is noticed: the quick ones first.
TESTS = {"src/ledger/memory_store": ["ee_ledger_sqlite_test --gtest_filter=StoreConformance*"],
         "src/ledger/running_check": ["ee_control_plane_test --gtest_filter=RunningCheckTest.*"],
         "src/ledger/": ["ee_ledger_test --gtest_filter=*Rules.*", "ee_ledger_test --gtest_filter=-*Rules.*",
                         "ledger_simulation --seeds 300"],
         **dict.fromkeys(("src/router/", "src/registry/"),
                         ["ee_router_test", "ee_registry_test", "routing_simulation --seeds 200"]),
         "src/http/": ["ee_http_test", "ee_proxy_test", "ee_agent_test", "ee_tunnel_test"],
         "src/protocol/": ["ee_protocol_test", "ee_tunnel_test", "ee_agent_test"],
         "src/tunnel/": ["ee_tunnel_test", "ee_control_plane_test"],
         "src/proxy/": ["ee_proxy_test", "ee_control_plane_test"],
         "src/agent/": ["ee_agent_test"],
         "src/": ["ee_attestation_test", "ee_crypto_test"]}
TEST_SECONDS = 120
# Checks whose absence no test can show, each with the reason: (file, what is taken out). Each is exactly one.
EQUIVALENT = {
    ("src/attestation/collateral.cpp", "json.empty()"):
        "no object is read from nothing either; simdjson is kept from copying it from no address",
    ("src/attestation/quote_verifier.cpp", "known"):
        "a chain that is not remembered is verified anew, with the same outcome",
    ("src/http/head_scanner.cpp", "comma == std::string_view::npos"):
        "without a comma all of it is the last coding, and not chunked",
    ("src/http/http2_request.cpp", "out.authority.empty()"):
        "an empty one is not host[:port] either",
    ("src/http/http2_session.cpp", "nghttp2_session_want_read(session_) == 0 && !draining_"):
        "whoever owns the session sees that it is finished once what it says last is sent",
    ("src/http/server_connection.cpp", "unread_.empty() && input.front() != http2_preface.front()"):
        "what begins otherwise is told from the preface below, too",
    ("src/http/structured_fields.cpp", "end == std::string_view::npos"):
        "it goes on at the beginning then, where no comma is",
    ("src/http/target.cpp", "close == std::string_view::npos"):
        "the rest is all of it then, and begins with no colon",
    ("src/protocol/json_document.cpp", "no_memory"):
        "memory does not run out",
    ("src/tunnel/multiplexer_v1.cpp", "base64_size(request.body.size()) > limits_.request_text_bytes_max"):
        "the message would be too long, too; this saves making it",
    ("src/tunnel/session.cpp", "closed_"):
        "the multiplexer of a tunnel that is closed is, too, and says the same",
    ("src/proxy/call.cpp", "!is_written"):
        "what HTTP/2 lets through can be written",
    ("src/proxy/ejections.cpp", "records_.empty()"):
        "where there are none, none is found; this saves looking",
    ("src/proxy/forwarder.cpp", "rollout.empty()"):
        "by no weights no release is picked",
    ("src/proxy/passthrough_call.cpp", "!app"):
        "nobody is called by the empty name, and that is refused with the same code",
    ("src/agent/identity.cpp", "made && error"):
        "who has just made a folder may say who may use it",
    ("src/agent/witness.cpp", "error"):
        "where no folder is made nothing is written either, and that is refused with the same code",
    ("src/ledger/abuse.cpp", "report.filed_by == context.principal"):
        "only the launcher files and only the admin decides",
    ("src/ledger/accounts.cpp", "payment.ref.empty()"):
        "nothing is kept under an empty payment_ref",
    ("src/ledger/batch.cpp", "next != changed.end()"):
        "behind the last there is no key that equals one; that nobody looks there the sanitizers see",
    ("src/ledger/evidence.cpp", "from_us(in.time()) >= unit.cell.end"):
        "what comes later does not touch the unit, and is asked about that, too",
    ("src/ledger/leaf_check.cpp", "!is_broken_ && tree_.head() != target_"):
        "the checkpoint of that size, which is there and is the newest one, says so, too",
    ("src/ledger/leaf_check.cpp", "number == journal.size()"):
        "a line that is not there yet is of leaf 0, which is no entry",
    ("src/ledger/ledger_worker.cpp", "!recorded"):
        "what the server says of itself is never refused",
    ("src/ledger/ledger_worker.cpp", "standstill_"):
        "its thread refuses what waits with the same words; this is sooner",
    ("src/ledger/locks.cpp", "!open"):
        "a unit is settled when its cell has ended, and then there are no new locks",
    ("src/ledger/loss_mark.cpp", "as size >= digest_size"):
        "a line that is a digest only names no losses either",
    ("src/ledger/nodes.cpp", "node.stake_parts.empty()"):
        "the parts of a stake come to what it holds",
    ("src/ledger/nodes.cpp", "source == issued_account && !context.is_admin()"):
        "without an owner nobody's token has let the node set a stake",
    ("src/ledger/nodes.cpp", "!returned"):
        "a stake holds what its parts say, and all there is fits any account",
    ("src/ledger/nodes.cpp", "!taken"):
        "no more is slashed than there is, and all there is fits any account",
    ("src/ledger/slashing.cpp", "!done"):
        "the stake covers what is carried out at once",
    ("src/ledger/usage.cpp", "command.report_id.empty()"):
        "nothing is kept under an empty report_id",
    ("src/ledger/views.cpp", "caller_.role != Role::admin"):
        "what is tried refuses whoever may not do it, with the same code",
    ("src/ledger/views.cpp", "note->signatures.empty()"):
        "a checkpoint without one is malformed",
    ("src/ledger/witness_proof.cpp", "end == std::string_view::npos"):
        "a line without an end is read again and again then, until what is read of it is malformed, too",
    ("src/router/choice.cpp", "as a.trust >= b.trust"):
        "whichever of equals is the best, the same are equal to it",
    ("src/router/choice.cpp", "as crossed(a, b) <= crossed(b, a)"):
        "whichever of equals is the best, the same are equal to it",
    ("src/router/choice.cpp", "as exact <= most"):
        "both are the most there is",
    ("src/router/trust.cpp", "as node->abuse_reports <= 20"):
        "halved 20 times it is less than a millionth, which it is raised to",
    ("src/registry/node.cpp", "as known.first <= at"):
        "what was posted last for a moment then comes last of it, and is what is found",
    ("src/registry/registry_views.cpp", "as agent.verdict.answered_at.wall <= *oldest_attest"):
        "both are the same time",
    ("src/registry/registry_views.cpp", "as distance_from_service(status) < distance_from_service(out.status)"):
        "what is as near is the same status, with nothing lacking",
    ("src/registry/registry_views.cpp", "as distance_from_service(status) <= distance_from_service(nearest)"):
        "what is as near is the same status",
    ("src/registry/registry_views.cpp", "as a->record.app_name <= b->record.app_name"):
        "no two apps have the same name",
}

HEADER = """#pragma once
#include <cstdlib>
#include <type_traits>
inline bool ee_is_chosen(int number) {
    static const int chosen = [] { const char* text = std::getenv("EE_MUTANT"); return text ? std::atoi(text) : 0; }();
    return chosen == number;
}
constexpr bool ee_mutated(int number) {
    return !std::is_constant_evaluated() && ee_is_chosen(number);
}
"""

# A declaration in a condition: its name.
DECLARATION = re.compile(r"\s*(?:const\s+)?[\w:]+(?:<[^=]*>)?\s*[*&]?\s*(?:const\s+)?(\w+)\s*=[^=]")

# What a decision is made in: a condition, an answer, a bool with a name.
DECISION = re.compile(r"\b(?:if \(|while \(|return |bool \w+ = )")
COMPARISONS = {" < ": " <= ", " <= ": " < ", " > ": " >= ", " >= ": " > ", " == ": " != ", " != ": " == "}

REFUSES = re.compile(r"\breturn (fail|invalid|malformed|refuse|refused|mismatch|unsupported|unavailable|attribute_refused|"
                     r"wrong_root|wrong_length|too_large|never_had|unknown_node|unknown_account|known|held|false|std::nullopt|"
                     r"read|matched|enough|judged|checked|lost|refuse_now|protocol_error|fail_request|tl::unexpected|"
                     r"tolerate|refuse_response|fail_challenge|refuse_answer|refuse_size|refuse_later|fail_stream|"
                     r"fail_later|fail_connection|cut|damaged|other_root_then|forbidden)\b|\breturn \"|\.refuse\(|\bthrow\b|"
                     r"\bthrow_too_short\(|\bbroken\(|\buntimely\.\w+\(|\breport_?\.find\(|\bhalt\(|\brefusal = ")


# What brackets and decisions do not count in. A string comes first where one begins: it may hold a URL.
RAW_STRING = re.compile(r'R"([^(\s]*)\(.*?\)\1"', re.DOTALL)
COMMENT_OR_STRING = re.compile(
    RAW_STRING.pattern + r'|"(?:\\.|[^"\\\n])*"|(?<![0-9a-fA-F])\'(?:\\.|[^\'\\\n])*\'|//[^\n]*|/\*.*?\*/', re.DOTALL)


def without_comments(text):
    """The code with its comments blanked; what is left keeps its place."""
    return COMMENT_OR_STRING.sub(
        lambda found: re.sub(r"[^\n]", " ", found.group()) if found.group().startswith("/") else found.group(), text)


def last_of_text(text, at):
    """The quote that ends the string or character whose first quote is at `at`; that one, if it separates digits."""
    quote = text[at]
    if raw := RAW_STRING.match(text, max(at - 1, 0)):
        return raw.end() - 1
    if quote == "'" and at and text[at - 1].isalnum():
        return at
    at += 1
    while text[at] != quote:
        at += 2 if text[at] == "\\" else 1
    return at


def matching(text, at, opening="(", closing=")"):
    """The place behind the bracket that closes the one at `at`; strings and characters are stepped over."""
    depth = 0
    while at < len(text):
        c = text[at]
        if c in "\"'":
            at = last_of_text(text, at)
        elif c == opening:
            depth += 1
        elif c == closing:
            depth -= 1
            if depth == 0:
                return at + 1
        at += 1
    raise ValueError("unbalanced brackets")


def split_top(text, separator):
    """`text` at the separators outside every bracket and string."""
    parts, depth, start, at = [], 0, 0, 0
    while at < len(text):
        c = text[at]
        if c in "\"'":
            at = last_of_text(text, at)
        elif c in "([{":
            depth += 1
        elif c in ")]}":
            depth -= 1
        elif depth == 0 and text.startswith(separator, at):
            parts.append(text[start:at])
            at += len(separator)
            start = at
            continue
        at += 1
    return parts + [text[start:]]


def statement_end(text, at):
    """The end of the statement or block that begins at or behind `at`."""
    while text[at].isspace():
        at += 1
    if text[at] == "{":
        return matching(text, at, "{", "}")
    depth = 0
    while True:
        c = text[at]
        if c in "\"'":
            at = last_of_text(text, at)
        elif c in "([{":
            depth += 1
        elif c in ")]}":
            depth -= 1
        elif c == ";" and depth == 0:
            return at + 1
        at += 1


def is_plumbing(operand, rest):
    """Whether `!x` only keeps what is not there from being used: the check is where x came from, and without this
    line the program means nothing. `rest`: the code behind the operand, up to the function's end."""
    found = re.fullmatch(r"\s*!(\w+)\s*", operand)
    return found is not None and re.search(rf"(\*{found.group(1)}\b|\b{found.group(1)}->)", rest) is not None


class Mutants:
    def __init__(self):
        self.found = []  # (file, line, what is taken out)

    def number(self, file, line, text):
        self.found.append((file, line, " ".join(text.split())))
        return len(self.found)

    def wrong_equivalents(self):
        """The entries of EQUIVALENT that do not name exactly one mutant."""
        named = [(file, text) for file, _, text in self.found]
        return [entry for entry in EQUIVALENT if named.count(entry) != 1]

    def instrument(self, file, text):
        out, at = [], 0
        code = without_comments(text)  # They may hold brackets.
        for match in re.finditer(r"\bif( constexpr)? \(", code):
            opening = match.end() - 1
            if match.group(1) or opening < at:
                continue
            closing = matching(code, opening)
            inside = code[opening + 1:closing - 1]
            parts = split_top(inside, ";")
            if len(parts) == 1 and (declared := DECLARATION.match(inside)):
                parts = [inside, declared.group(1)]  # The value of the declared name is the condition.
            condition, before = parts[-1], ";".join(parts[:-1]) + (";" if len(parts) > 1 else "")
            end = statement_end(code, closing)
            body = code[closing:end]
            line = code.count("\n", 0, match.start()) + 1
            function_end = code.find("\n}\n", end)
            if REFUSES.search(body) and not re.search(r"\breturn \{\};", body):
                operands = split_top(condition, "||")
                texts = []
                for index, operand in enumerate(operands):
                    rest = "||".join(operands[index + 1:]) + code[closing:function_end]
                    texts.append(operand if is_plumbing(operand, rest) else
                                 f"(!ee_mutated({self.number(file, line, operand)}) && ({operand.strip()}))")
                guarded = " || ".join(text.strip() for text in texts)
            elif re.fullmatch(r"\s*\{?\s*return \{\};\s*\}?\s*", body) and \
                    re.match(r"\s*return (fail|invalid|malformed|refuse|mismatch)", code[end:]):
                guarded = f"ee_mutated({self.number(file, line, 'unless ' + condition)}) || ({condition.strip()})"
            else:
                continue
            out.append(text[at:opening + 1] + before + (" " if before else "") + guarded)
            at = closing - 1
        out.append(text[at:])
        return '#include "ee_mutated.h"\n#line 1\n' + "".join(out) if at else text


    # ---- Decisions ----

    def decide(self, file, text):
        """Instruments every decision of a file."""
        out, at = [], 0
        code = without_comments(text)
        for match in DECISION.finditer(code):
            start = match.end()
            if start < at:
                continue
            line = code.count("\n", 0, start) + 1
            if match.group().endswith("("):
                end = matching(code, start - 1) - 1
                parts = split_top(code[start:end], ";")
                if len(parts) == 1 and DECLARATION.match(parts[0]):
                    continue
                start = end - len(parts[-1])
                turned = self.part(file, line, code[start:end], True)
            else:
                end = statement_end(code, start) - 1
                turned = self.part(file, line, code[start:end], match.group().startswith("bool"))
            out.append(text[at:start] + " " + turned)
            at = end
        out.append(text[at:])
        return '#include "ee_mutated.h"\n#line 1\n' + "".join(out) if at else text

    def part(self, file, line, code, is_condition):
        """A part of a decision, each way it can be turned included."""
        bare = code.strip()
        if re.search(r"(?<![\w)\]])\[", bare) or bare in ("true", "false"):  # A lambda; no decision.
            return code
        if bare.startswith("(") and matching(bare, 0) == len(bare):
            return f"({self.part(file, line, bare[1:-1], is_condition)})"
        choice = split_top(code, " ? ")
        if len(choice) > 1:
            return self.part(file, line, choice[0], True) + " ? " + " ? ".join(choice[1:])
        for operator, without in ("||", "!ee_mutated({}) && "), ("&&", "ee_mutated({}) || "):
            operands = split_top(code, operator)
            if len(operands) > 1:
                return f" {operator} ".join(f"({without.format(self.number(file, line, operand))}"
                                            f"({self.part(file, line, operand, False)}))" for operand in operands)
        for operator, other in COMPARISONS.items():
            sides = split_top(code, operator)
            if len(sides) == 2:
                moved = f"{sides[0]}{other}{sides[1]}"
                return f"(ee_mutated({self.number(file, line, 'as ' + moved)}) ? ({moved}) : ({code}))"
        if is_condition:
            return f"(ee_mutated({self.number(file, line, code)}) != static_cast<bool>({code}))"
        return code


# ---- Self-test ----

# (what is read, what is taken out of it as checks, what is turned in it as decisions)
READ = [
    ('if (a) return fail("x");', ["a"], ["a"]),
    ("if (a || b(c || d)) return false;", ["a", "b(c || d)"], ["a", "b(c || d)"]),
    ("if (a) {\n    report.find(b);\n}", ["a"], ["a"]),
    ("if (a) return 1;", [], ["a"]),
    ("if (const auto x = a(); x == 1) return false;", ["x == 1"], ["as x != 1"]),
    ("if (const auto x = a()) return false;", ["x"], []),
    ("if (!x) return fail();\nuse(*x);\n}\n", [], ["!x"]),
    ("if (a) return {};\nreturn fail();", ["unless a"], ["a"]),
    ("return a < b && c;", [], ["a < b", "as a <= b", "c"]),
    ("// if (a) return false;", [], []),
    ("if (a /* ( */ || b) return false;  // it's (", ["a", "b"], ["a", "b"]),
    ('if (a) return fail("from ws:// (");\nif (b) return false;', ["a", "b"], ["a", "b"]),
    ('if (a) return fail("\\"//");\nif (b) return false;', ["a", "b"], ["a", "b"]),
    ('if (a) return fail(R"(" // )");\nif (b) return false;', ["a", "b"], ["a", "b"]),
    ("if (c == '\"' || c == '(') return false;", ["c == '\"'", "c == '('"],
     ["c == '\"'", "as c != '\"'", "c == '('", "as c != '('"]),
    ("if (a > 1'000) return false;  // 'b'", ["a > 1'000"], ["as a >= 1'000"]),
]


def self_test():
    problems = []
    for code, *expected in READ:
        for how, wanted in zip((Mutants.instrument, Mutants.decide), expected):
            mutants = Mutants()
            how(mutants, "x.cpp", code)
            if (found := [text for _, _, text in mutants.found]) != wanted:
                problems.append(f"{how.__name__} {code!r}: expected {wanted}, got {found}")
    return problems


def copy_tree():
    files = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, check=True, capture_output=True,
                           text=True).stdout.split("\n")
    source = WORK / "tree"
    for name in filter(None, files):
        if not (ROOT / name).is_file():
            continue
        target = source / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, target)
    return source


def write_if_changed(path, text):
    if not path.exists() or path.read_text() != text:
        path.write_text(text)


def tests_of(file):
    return next(tests for folder, tests in TESTS.items() if file.startswith(folder))


def run_tests(bins, number):
    """How the tests take it: None when all pass, else what happened."""
    environment = {**os.environ, "EE_MUTANT": str(number)}
    environment.setdefault("EE_TEST_VECTORS", str(ROOT.parent / "shared" / "vectors"))
    for binary in bins:
        try:
            done = subprocess.run([*binary.split(), "--gtest_brief=1", "--gtest_fail_fast"], env=environment,
                                  timeout=TEST_SECONDS, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                  errors="replace")
        except subprocess.TimeoutExpired:
            return "hung"
        if done.returncode < 0 or done.returncode > 1:
            return f"crashed ({done.returncode})"
        if done.returncode:
            failed = re.findall(r"\[  FAILED  \] ([\w/]+\.\w+(?:/\w+)?)", done.stdout)
            return failed[0] if failed else "failed"
    return None


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="only checks whose file or text contains this")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--list", action="store_true", help="name the checks and stop")
    parser.add_argument("--self-test", action="store_true", help="try whether it finds what it should, and stop")
    options = parser.parse_args()
    if options.self_test:
        problems = self_test()
        print("\n".join(problems) or "mutants: it finds what it should")
        return 1 if problems else 0

    source = ROOT if options.list else copy_tree()
    mutants = Mutants()
    instrumented = {}
    for patterns, instrument in (DECIDES, mutants.decide), (SOURCES, mutants.instrument):
        for path in (path for pattern in patterns for path in sorted(ROOT.glob(pattern))):
            name = str(path.relative_to(ROOT))
            if name not in instrumented and not NOT_CHECKS.search(name):
                instrumented[name] = instrument(name, path.read_text())
    for file, text in (wrong := mutants.wrong_equivalents()):
        print(f"EQUIVALENT has {file}: {text}, which is not exactly one check")
    if wrong:
        return 2
    if options.list:
        for number, (file, line, text) in enumerate(mutants.found, 1):
            print(f"{number:4} {file}:{line}: {text}")
        return 0

    for name, text in instrumented.items():
        write_if_changed(source / name, text)
    write_if_changed(source / "src" / "ee_mutated.h", HEADER)
    build = WORK / "build"
    chosen = [(n, m) for n, m in enumerate(mutants.found, 1) if options.only in m[0] or options.only in m[2]]
    print(f"{len(chosen)} of {len(mutants.found)} checks in {len(instrumented)} files; building them", flush=True)
    # Warnings about the brackets put around operands are the mutants' own.
    tests = list(dict.fromkeys(test for _, (file, _, _) in chosen for test in tests_of(file)))
    targets = {test.split()[0] for test in tests}
    for command in (["cmake", "-S", source, "-B", build, "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Release", "-DEE_WERROR=OFF",
                     "-DCMAKE_CXX_FLAGS=-D_GLIBCXX_ASSERTIONS"],  # Reading beyond a buffer is noticed.
                    ["cmake", "--build", build, "--target", *sorted(targets)]):
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode:
            print(done.stdout[-8000:])
            return 2

    def run(names, number):
        return run_tests([str(build / "bin" / name) for name in names], number)

    if (noticed := run(tests, 0)) is not None:
        print(f"the tests fail with every check in place: {noticed}")
        return 2

    outcomes, start = collections.Counter(), time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        for (number, (file, line, text)), noticed in zip(chosen, pool.map(lambda c: run(tests_of(c[1][0]), c[0]), chosen)):
            reason = EQUIVALENT.get((file, text))
            outcome, why = ("SURVIVED", "") if noticed is None else ("killed", f"  <- {noticed}")
            if reason:
                outcome, why = ("equivalent", f"  ({reason})") if noticed is None else ("NOT EQUIVALENT", why)
            outcomes[outcome] += 1
            print(f"{outcome:8} {file}:{line}: {text[:100]}{why}", flush=True)
    print(f"\nmutants: {len(chosen)}, killed: {outcomes['killed']}, equivalent: {outcomes['equivalent']}, "
          f"survived: {outcomes['SURVIVED']}, called equivalent but killed: {outcomes['NOT EQUIVALENT']} "
          f"({time.monotonic() - start:.0f} s)")
    return 1 if outcomes["SURVIVED"] or outcomes["NOT EQUIVALENT"] else 0


if __name__ == "__main__":
    sys.exit(main())
