#include "attestation/evidence_json.h"

#include <fmt/format.h>

#include "attestation/object_reader.h"
#include "base/json_writer.h"

namespace ee::attestation {
namespace {

using simdjson::dom::element;

constexpr std::size_t json_depth_max = 16;
constexpr std::size_t beside_quote_bytes = 4096;  // what the rest of a piece of evidence takes, about
// What of an answer is null after a legacy one.
constexpr const char* answer_members[] = {"inputs", "measurements", "quote", "signature",
                                          "client_certificate"};

JsonWriter& base64_or_null(JsonWriter& json, std::string_view name, ByteSpan bytes) {
    json.key(name);
    return bytes.empty() ? json.null() : json.base64(bytes);
}

void append_list(JsonWriter& json, std::string_view name, const std::vector<std::string>& items) {
    json.key(name).begin_array();
    for (const std::string& item : items) json.value(item);
    json.end_array();
}

void append_verdict(JsonWriter& json, const Verdict& verdict) {
    json.key("verdict").begin_object().field("ok", verdict.ok);
    json.field_or_null("code", verdict.refusal.code);
    json.field_or_null("detail", verdict.refusal.detail);
    append_list(json, "checks", verdict.checks);
    append_list(json, "not_checked", verdict.not_checked);
    json.end_object()
        .field("binding", to_string(verdict.binding))
        .field("legacy", verdict.legacy)
        .field("unbound", verdict.unbound)
        .field("sealed", verdict.sealed)
        .field("debug", verdict.debug)
        .field("anchor", verdict.simulated ? "simulated" : "intel")
        .field("tcb_status", verdict.tcb_status);
    json.field_or_null("tcb_date", verdict.tcb_date);
    append_list(json, "advisory_ids", verdict.advisory_ids);
    json.field_or_null("fmspc", verdict.fmspc);
    json.field_or_null("mrtd", verdict.mrtd);
    append_list(json, "rtmrs", verdict.rtmrs);
    json.field_or_null("report_data", verdict.report_data);
}

// Everything report data are made of, but the measurements.
void append_inputs(JsonWriter& json, const Challenge& challenge, const Answer& answer) {
    const AgentIdentity& identity = challenge.identity;
    json.begin_object()
        .field("layout", *answer.layout)
        .field("role", agent_role)
        .key("nonce")
        .hex(challenge.nonce);
    base64_or_null(json, "agent_key", answer.agent_key);
    json.field_or_null("channel", to_hex(challenge.channel));
    json.field("wire", challenge.wire).field("agent_id", identity.agent_id);
    json.field_or_null("node_id", identity.node_id);
    json.field("app_name", identity.app_name)
        .field("repo", identity.repo)
        .field("release_tag", identity.release_tag)
        .field("network", identity.network)
        .end_object();
}

void append_answer(JsonWriter& json, const Evidence& evidence) {
    if (!evidence.challenge || !evidence.answer) {
        for (const char* name : answer_members) json.key(name).null();
        return;
    }
    json.key("inputs");
    append_inputs(json, *evidence.challenge, *evidence.answer);
    json.key("measurements").raw(canonical_json(evidence.answer->measurements));
    json.key("quote").base64(evidence.answer->quote);
    base64_or_null(json, "signature", evidence.answer->signature);
    base64_or_null(json, "client_certificate", evidence.challenge->client_certificate);
}

template <class Enum>
std::optional<Enum> named(std::string_view name, Enum last) {
    for (int i = 0; i <= static_cast<int>(last); ++i)
        if (to_string(static_cast<Enum>(i)) == name) return static_cast<Enum>(i);
    return std::nullopt;
}

std::string read_text_or_null(ObjectReader& reader, std::string_view name) {
    if (reader.is_null(name)) return {};
    std::string text = reader.text(name);
    if (text.empty()) reader.refuse(name, "empty; null says that there is none");
    return text;
}

template <std::size_t N>
std::string read_hex_or_null(ObjectReader& reader, std::string_view name) {
    return reader.is_null(name) ? std::string() : reader.hex_text(name, N);
}

void read_judgement(element value, const std::string& pointer, Findings& findings, Verdict& out) {
    ObjectReader reader(value, pointer, findings);
    out.ok = reader.flag("ok");
    out.refusal.code = read_text_or_null(reader, "code");
    out.refusal.detail = read_text_or_null(reader, "detail");
    out.checks = reader.texts("checks");
    out.not_checked = reader.texts("not_checked");
    reader.finish();
}

void read_verdict(ObjectReader& reader, Findings& findings, Verdict& out) {
    if (const auto judgement = reader.element("verdict"))
        read_judgement(*judgement, reader.pointer_of("verdict"), findings, out);
    const auto binding = named(reader.text("binding"), Binding::channel);
    if (!binding) reader.refuse("binding", "no such level");
    out.binding = binding.value_or(Binding::none);
    out.legacy = reader.flag("legacy");
    out.unbound = reader.flag("unbound");
    out.sealed = reader.flag("sealed");
    out.debug = reader.flag("debug");
    const std::string anchor = reader.text("anchor");
    if (anchor != "simulated" && anchor != "intel") reader.refuse("anchor", "neither intel nor simulated");
    out.simulated = anchor == "simulated";
    out.tcb_status = reader.text("tcb_status");
    const auto status = parse_tcb_status(out.tcb_status);
    if (!status) reader.refuse("tcb_status", "no such status");
    out.tcb = status.value_or(TcbStatus::not_evaluated);
    out.tcb_date = read_text_or_null(reader, "tcb_date");
    out.advisory_ids = reader.texts("advisory_ids");
    out.fmspc = read_hex_or_null<6>(reader, "fmspc");
    out.mrtd = read_hex_or_null<48>(reader, "mrtd");
    out.rtmrs = reader.texts("rtmrs");
    out.report_data = read_hex_or_null<64>(reader, "report_data");
}

void read_inputs(element value, const std::string& pointer, Findings& findings, Evidence& out) {
    ObjectReader reader(value, pointer, findings);
    Challenge& challenge = out.challenge.emplace();
    Answer& answer = out.answer.emplace();
    if (reader.number("layout") != 2) reader.refuse("layout", "known is 2");
    answer.layout = 2;
    if (reader.text("role") != agent_role) reader.refuse("role", "known is \"agent\"");
    challenge.nonce = reader.hex_array<32>("nonce");
    if (!reader.is_null("agent_key")) answer.agent_key = reader.base64("agent_key");
    if (!reader.is_null("channel")) challenge.channel = reader.hex("channel");
    challenge.wire = reader.text("wire");
    AgentIdentity& identity = challenge.identity;
    identity.agent_id = reader.text("agent_id");
    identity.node_id = read_text_or_null(reader, "node_id");
    identity.app_name = reader.text("app_name");
    identity.repo = reader.text("repo");
    identity.release_tag = reader.text("release_tag");
    identity.network = reader.text("network");
    reader.finish();
    // Report data hold 16-bit lengths: longer texts could not have been quoted.
    for (const std::string* text :
         {&challenge.wire, &identity.agent_id, &identity.node_id, &identity.app_name, &identity.repo,
          &identity.release_tag, &identity.network})
        if (text->size() > 0xffff) findings.add(pointer, "a text over 65535 bytes");
    if (challenge.channel.size() > 0xffff) findings.add(pointer + "/channel", "over 65535 bytes");
}

void read_answer(ObjectReader& reader, Findings& findings, Evidence& out) {
    // All of it or nothing: `legacy` says which.
    if (out.verdict.legacy) {
        for (const char* name : answer_members)
            if (!reader.is_null(name)) reader.refuse(name, "not null, after a legacy answer");
        return;
    }
    if (const auto inputs = reader.element("inputs"))
        read_inputs(*inputs, reader.pointer_of("inputs"), findings, out);
    if (!out.answer) return;
    out.answer->measurements = reader.claims("measurements");
    out.answer->quote = reader.base64("quote");
    if (!reader.is_null("signature")) out.answer->signature = reader.base64("signature");
    if (!reader.is_null("client_certificate"))
        out.challenge->client_certificate = reader.base64("client_certificate");
    out.answer->report_data = from_hex(out.verdict.report_data).value_or(Bytes{});
}

Evidence read_evidence(element value, const std::string& pointer, Findings& findings) {
    ObjectReader reader(value, pointer, findings);
    Evidence out;
    out.id = reader.hex_text("id", 32);
    out.agent = reader.hex_text("agent", 8);
    out.app_name = reader.text("app_name");
    out.network = reader.text("network");
    out.release = {reader.text("repo"), reader.text("release_tag")};
    const auto judged_at = from_rfc3339(reader.text("judged_at"));
    if (!judged_at) reader.refuse("judged_at", "not a time as in RFC 3339, in UTC");
    out.verdict.judged_at = judged_at.value_or(WallTime{});
    read_verdict(reader, findings, out.verdict);
    read_answer(reader, findings, out);
    if (const auto parts = reader.element("collateral")) {
        ObjectReader digests(*parts, reader.pointer_of("collateral"), findings);
        simdjson::dom::object object;
        if (parts->get_object().get(object) == simdjson::SUCCESS)
            for (const auto field : object)
                out.verdict.collateral_sha256.emplace(field.key, digests.hex_text(field.key, 32));
        digests.finish();
    }
    out.verdict.allowlist_sha256 = read_hex_or_null<32>(reader, "allowlist_sha256");
    out.verdict.allowlist_found = !out.verdict.allowlist_sha256.empty();
    out.policy_sha256 = reader.hex_text("policy_sha256", 32);
    reader.finish();
    return out;
}

void read_contents(element value, Findings& findings, EvidenceContents& out) {
    ObjectReader reader(value, "/contents", findings);
    simdjson::dom::object object;
    if (value.get_object().get(object) != simdjson::SUCCESS) return;
    for (const auto field : object) {
        const auto member = reader.element(field.key);
        if (!member) continue;
        ObjectReader content(*member, reader.pointer_of(field.key), findings);
        EvidenceContent read{.kind = content.text("kind"), .bytes = content.base64("base64")};
        content.finish();
        const std::string digest = to_hex(crypto::sha256(read.bytes));
        if (digest != field.key)
            reader.refuse(field.key, fmt::format("SHA-256 of the content is {}", digest));
        out.emplace(field.key, std::move(read));
    }
    reader.finish();
}

}  // namespace

std::string evidence_json(const Evidence& evidence) {
    std::string out;
    out.reserve(base64_size(evidence.answer ? evidence.answer->quote.size() : 0) + beside_quote_bytes);
    JsonWriter json(out);
    json.begin_object()
        .field("id", evidence.id)
        .field("agent", evidence.agent)
        .field("app_name", evidence.app_name)
        .field("network", evidence.network)
        .field("repo", evidence.release.repo)
        .field("release_tag", evidence.release.tag)
        .field("judged_at", to_rfc3339_millis(evidence.verdict.judged_at));
    append_verdict(json, evidence.verdict);
    append_answer(json, evidence);
    json.key("collateral").begin_object();
    for (const auto& [part, digest] : evidence.verdict.collateral_sha256) json.field(part, digest);
    json.end_object();
    json.field_or_null("allowlist_sha256", evidence.verdict.allowlist_sha256);
    json.field("policy_sha256", evidence.policy_sha256).end_object();
    return out;
}

std::string evidence_page_json(const EvidencePage& page) {
    std::string out;
    JsonWriter json(out);
    json.begin_object().field("app_name", page.app_name).field("log_id", page.log_id);
    json.key("items").begin_array();
    for (const std::string& item : page.items) json.raw(item);
    json.end_array().key("contents").begin_object();
    for (const auto& [digest, content] : page.contents) {
        json.key(digest).begin_object().field("kind", content.kind);
        json.field("base64", to_base64(content.bytes)).end_object();
    }
    json.end_object();
    json.field_or_null("next_cursor", page.next_cursor).end_object();
    return out;
}

Result<EvidenceFile> parse_evidence_file(std::string_view json) {
    simdjson::dom::parser parser;
    element root;
    if (json.size() > evidence_file_size_max ||
        parser.allocate(json.size(), json_depth_max) != simdjson::SUCCESS ||
        parser.parse(json.data(), json.size()).get(root) != simdjson::SUCCESS)
        return fail("evidence_malformed:/", "not a JSON object of at most 32 MiB");
    Findings findings("evidence_malformed");
    ObjectReader reader(root, "", findings);
    EvidenceFile out;
    out.app_name = reader.text("app_name");
    out.log_id = reader.text("log_id");
    simdjson::dom::array items;
    const auto list = reader.element("items");
    if (list && list->get_array().get(items) != simdjson::SUCCESS) reader.refuse("items", "not a list");
    if (list && !findings.first()) {
        for (const element item : items)
            out.items.push_back(read_evidence(item, fmt::format("/items/{}", out.items.size()), findings));
    }
    if (const auto contents = reader.element("contents")) read_contents(*contents, findings, out.contents);
    out.next_cursor = read_text_or_null(reader, "next_cursor");
    reader.finish();
    if (findings.first()) return fail(*findings.first());
    return out;
}

}  // namespace ee::attestation
