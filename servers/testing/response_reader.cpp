#include "servers/testing/response_reader.hpp"

#include <algorithm>
#include <charconv>
#include <ctime>

#include "servers/http/response.hpp"

namespace spawnpool::testing {
namespace {

[[noreturn]] void malformed(const std::string& why, std::string_view where) {
  throw MalformedResponse(why + ": " + std::string(where));
}

// "HTTP/1.1 200 OK"
unsigned parse_status_line(std::string_view line) {
  unsigned status = 0;
  if (!line.starts_with("HTTP/1.1 ") || line.size() < 13 || line[12] != ' ' ||
      std::from_chars(line.data() + 9, line.data() + 12, status).ptr != line.data() + 12 ||
      status < 100) {
    malformed("bad status line", line);
  }
  if (line.substr(13) != reason_phrase(status)) {
    malformed("wrong reason phrase", line);
  }
  return status;
}

std::pair<std::string, std::string> parse_field(std::string_view line) {
  const std::size_t colon = line.find(": ");
  if (colon == std::string_view::npos || colon == 0 ||
      line.substr(0, colon).find_first_of(" \t:") != std::string_view::npos) {
    malformed("bad field", line);
  }
  const std::string_view value = line.substr(colon + 2);
  if (value.empty() || value.front() == ' ' || value.back() == ' ') {
    malformed("bad field value", line);
  }
  return {std::string(line.substr(0, colon)), std::string(value)};
}

void check_date(const std::string& text) {
  std::tm parts{};
  const char* const end = strptime(text.c_str(), "%a, %d %b %Y %H:%M:%S GMT", &parts);
  std::string again(30, '\0');
  if (end != nullptr && *end == '\0') {
    timegm(&parts);  // sets the day of the week by the date
    again.resize(std::strftime(again.data(), again.size(), "%a, %d %b %Y %H:%M:%S GMT", &parts));
  }
  if (again != text) {
    malformed("bad Date", text);
  }
}

std::size_t parse_length(std::string_view text) {
  std::size_t length = 0;
  if (std::from_chars(text.data(), text.data() + text.size(), length).ptr !=
      text.data() + text.size()) {
    malformed("bad Content-Length", text);
  }
  return length;
}

void check_fields(const ReceivedResponse& response) {
  for (const auto& each : response.fields) {
    if (std::count_if(response.fields.begin(), response.fields.end(),
                      [&](const auto& field) { return field.first == each.first; }) != 1) {
      malformed("repeated field", each.first);
    }
  }
  const bool interim = response.status < 200;
  const bool without_body = interim || response.status == 204;
  if (!interim) {
    check_date(std::string(response.field("Date")));
  }
  if (without_body == !response.field("Content-Length").empty()) {
    malformed("Content-Length missing, or there without a body", std::to_string(response.status));
  }
  if (!response.field("Transfer-Encoding").empty()) {
    malformed("Transfer-Encoding", response.field("Transfer-Encoding"));
  }
  if ((response.status == 405) != !response.field("Allow").empty() && response.status != 204) {
    malformed("Allow missing, or there without need", std::to_string(response.status));
  }
}

}  // namespace

std::string_view ReceivedResponse::field(std::string_view name) const {
  const auto found = std::find_if(fields.begin(), fields.end(),
                                  [&](const auto& field) { return field.first == name; });
  return found == fields.end() ? std::string_view() : found->second;
}

std::optional<ReceivedResponse> take_response(std::string& bytes, bool to_head) {
  const std::size_t head_end = bytes.find("\r\n\r\n");
  if (head_end == std::string::npos) {
    return std::nullopt;
  }
  ReceivedResponse response;
  std::string_view head = std::string_view(bytes).substr(0, head_end);
  for (bool first = true; first || !head.empty(); first = false) {
    const std::string_view line = head.substr(0, head.find("\r\n"));
    head.remove_prefix(std::min(line.size() + 2, head.size()));
    if (std::any_of(line.begin(), line.end(), [](char c) { return c < ' ' || c > '~'; })) {
      malformed("byte that is not visible ASCII", line);
    }
    if (first) {
      response.status = parse_status_line(line);
    } else {
      response.fields.push_back(parse_field(line));
    }
  }
  check_fields(response);
  const std::string_view length_text = response.field("Content-Length");
  const std::size_t length = to_head || length_text.empty() ? 0 : parse_length(length_text);
  if (bytes.size() - head_end - 4 < length) {
    return std::nullopt;
  }
  response.body = bytes.substr(head_end + 4, length);
  bytes.erase(0, head_end + 4 + length);
  return response;
}

}  // namespace spawnpool::testing
