#include "cli/events_command.h"

#include <ostream>
#include <thread>

#include <fmt/format.h>
#include <simdjson.h>

#include "base/printable.h"
#include "cli/control_plane_client.h"
#include "cli/json_in_words.h"
#include "events/sse.h"

namespace ee::cli {
namespace {

using simdjson::dom::element;

constexpr std::chrono::seconds longest_wait{30};

std::string target_of(const EventsOptions& options) {
    std::string target = "/v1/events";
    const auto add = [&](const char* name, const std::string& value) {
        if (value.empty()) return;
        target += fmt::format("{}{}={}", target.find('?') == std::string::npos ? '?' : '&', name,
                              percent_encoded(value));
    };
    add("after", options.after);
    add("app", options.app);
    add("kind", options.kind);
    return target;
}

std::string in_words(std::string_view kind, std::string_view data) {
    simdjson::dom::parser parser;
    element event;
    const simdjson::padded_string padded(data);
    if (parser.parse(padded).get(event) != simdjson::SUCCESS) return "?";
    if (kind == events::lost_kind)
        return fmt::format("(events after {} and before {} are not kept any more)", cell_of(event, "after"),
                           cell_of(event, "oldest"));
    std::string line =
        fmt::format("{} {} {}", cell_of(event, "at"), cell_of(event, "seq"), cell_of(event, "kind"));
    for (const auto& [name, title] :
         {std::pair("app_name", " app="), std::pair("agent_id", " agent="), std::pair("node_id", " node="),
          std::pair("code", " "), std::pair("detail", " ")}) {
        const std::string text = cell_of(event, name);
        if (text != "-" && !text.empty()) line += title + text;
    }
    simdjson::dom::object more;
    if (event["data"].get(more) == simdjson::SUCCESS)
        for (const auto& [name, value] : more) line += fmt::format(" {}={}", printable(name), cell(value));
    return line;
}

// What the server refuses for good; else it may come to serve again.
bool is_final(const Error& error) {
    return !error.code.starts_with("unreachable") && error.code != "overloaded" && error.code != "not_ready";
}

class Following {
public:
    Following(const EventsOptions& options, Context& context)
        : options_(options), context_(context), reader_([this](const auto& message) { print(message); }) {}

    int run(const ControlPlaneClient& client) {
        const std::string target = target_of(options_);
        std::chrono::seconds wait{0};
        for (;;) {
            const bool began = has_begun_;
            has_come_ = false;
            const auto streamed = client.stream(target, fields(), [this](std::string_view bytes) {
                has_begun_ = has_come_ = true;
                return reader_.feed(bytes) && !is_over();
            });
            if (is_over()) return exit_good;
            if (!streamed && (!has_begun_ || is_final(streamed.error())))
                return report_refusal(client, streamed.error(), context_);
            if (has_come_) wait = std::chrono::seconds(0);
            if (!began || has_come_) context_.err << "eectl: the stream has ended, coming back" << std::endl;
            // What came of a message that is not complete is of no use.
            const std::string last = reader_.last_id();
            reader_ = events::SseReader([this](const auto& message) { print(message); });
            if (!last.empty()) last_id_ = last;
            std::this_thread::sleep_for(wait);
            wait = std::min(longest_wait, wait * 2 + std::chrono::seconds(1));
        }
    }

private:
    std::vector<std::pair<std::string, std::string>> fields() const {
        std::vector<std::pair<std::string, std::string>> out{{"Accept", "text/event-stream"}};
        if (!last_id_.empty()) out.emplace_back("Last-Event-ID", last_id_);
        return out;
    }

    bool is_over() const { return !context_.out || (options_.count > 0 && printed_ >= options_.count); }

    void print(const events::SseReader::Message& message) {
        if (is_over()) return;
        if (options_.json)
            context_.out << message.data << std::endl;
        else
            context_.out << in_words(message.kind, message.data) << std::endl;
        if (message.kind != events::lost_kind) ++printed_;
    }

    const EventsOptions& options_;
    Context& context_;
    events::SseReader reader_;
    std::string last_id_;
    std::size_t printed_ = 0;
    bool has_begun_ = false;  // Ever.
    bool has_come_ = false;   // Anything, of this connection.
};

}  // namespace

int run_events(const EventsOptions& options, Context& context) {
    if (!options.after.empty() && !events::parse_position(options.after)) {
        context.err << "eectl: --after must be the number of an event\n";
        return exit_usage;
    }
    const auto client = ControlPlaneClient::from_environment(options.url, context);
    if (!client) {
        context.err << "eectl: " << client.error().detail << '\n';
        return exit_usage;
    }
    return Following(options, context).run(*client);
}

}  // namespace ee::cli
