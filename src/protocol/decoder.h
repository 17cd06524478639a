#pragma once
// Reads tunnel messages. Refusals: `invalid_json`, `unknown_message`, `missing_fields` (the detail names
// them), `invalid_field:<name>`.

#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "protocol/messages.h"

namespace ee::protocol {

// Bytes the parser may read, but not interpret, after the end of a text.
constexpr std::size_t text_padding = 64;

// A message's text with `text_padding` readable bytes behind it: no copy is made to parse it.
class PaddedText {
public:
    // Grows the capacity of `text` when it has to; reserve size + text_padding beforehand to spare that.
    explicit PaddedText(std::string& text) : data_(text.data()), size_(text.size()) {
        if (text.capacity() - text.size() >= text_padding) return;
        text.reserve(text.size() + text_padding);
        data_ = text.data();
    }
    // The caller vouches for `text_padding` readable bytes after data + size.
    static PaddedText vouched(const char* data, std::size_t size) { return PaddedText(data, size); }

    const char* data() const { return data_; }
    std::size_t size() const { return size_; }
    std::string_view view() const { return {data_, size_}; }

private:
    PaddedText(const char* data, std::size_t size) : data_(data), size_(size) {}

    const char* data_;
    std::size_t size_;
};

// One a thread, shared by its tunnels: the parser's buffers are kept from message to message.
class Decoder {
public:
    Decoder();
    ~Decoder();
    Decoder(const Decoder&) = delete;
    Decoder& operator=(const Decoder&) = delete;

    // What an agent sent.
    Result<AgentMessage> decode_agent_message(PaddedText text);
    // What the control plane sent.
    Result<ControlMessage> decode_control_message(PaddedText text);

private:
    class Json;
    std::unique_ptr<Json> json_;
};

}  // namespace ee::protocol
