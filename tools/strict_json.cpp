#include "tools/strict_json.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <vector>

namespace sepal {
namespace {

using nlohmann::json;

// "line 3, column 7", counted from 1, of the byte before offset `byte`.
std::string position(const std::string &text, size_t byte) {
    const size_t end = std::min(byte ? byte - 1 : 0, text.size());
    const auto line = 1 + std::count(text.begin(), text.begin() + std::ptrdiff_t(end), '\n');
    const size_t newline = text.rfind('\n', end ? end - 1 : 0);
    const size_t column = end == 0 || newline == std::string::npos || newline >= end ? end + 1 : end - newline;
    return fmt::format("line {}, column {}", line, column);
}

// The library's explanation without its prefix and without the bytes that it quotes, which may be anything.
std::string reason(std::string what) {
    for (const char *tail : {"; last read", "; expected"})
        if (const size_t at = what.find(tail); at != std::string::npos) what.erase(at);
    if (const size_t at = what.rfind(" - "); at != std::string::npos) what.erase(0, at + 3);
    for (char &c : what)
        if (static_cast<unsigned char>(c) < 0x20 || static_cast<unsigned char>(c) > 0x7e) c = '?';
    return what;
}

}  // namespace

json parse_strict_json(const std::string &text, const std::string &label) {
    if (text.find_first_not_of(" \t\r\n") == std::string::npos) throw BadInput(fmt::format("{}: is empty; allowed: a JSON object", label));
    std::vector<std::set<std::string>> keys;  // of the objects that are open
    const auto on_event = [&](int, json::parse_event_t event, json &parsed) {
        if (event == json::parse_event_t::object_start) keys.emplace_back();
        if (event == json::parse_event_t::object_end) keys.pop_back();
        if (event == json::parse_event_t::key && !keys.back().insert(parsed.get<std::string>()).second)
            throw BadInput(fmt::format("{}: key {} occurs twice in one object; allowed: once", label, describe(parsed)));
        return true;
    };
    try {
        return json::parse(text, on_event);
    } catch (const json::parse_error &e) {
        throw BadInput(fmt::format("{}: is not valid JSON at {}: {}", label, position(text, e.byte), reason(e.what())));
    } catch (const json::exception &e) {  // a number beyond the range of double
        throw BadInput(fmt::format("{}: is not valid JSON: {}", label, reason(e.what())));
    }
}

std::string describe(const json &value) {
    std::string text = value.dump(-1, ' ', true);
    if (text.size() > 60) text = text.substr(0, 57) + "...";
    return text;
}

}  // namespace sepal
