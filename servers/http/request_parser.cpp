#include "servers/http/request_parser.hpp"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <boost/beast/core/string.hpp>
#include <boost/beast/http/error.hpp>
#include <charconv>
#include <functional>

namespace spawnpool {
namespace {

namespace http = boost::beast::http;

// A Content-Length is a claim: memory beyond this is taken only as the bytes arrive.
constexpr std::uint64_t max_trusted_reserve = 64 * 1024;

std::string_view to_std(boost::beast::string_view text) {
  return {text.data(), text.size()};
}

bool iequals(std::string_view a, std::string_view b) {
  return boost::beast::iequals({a.data(), a.size()}, {b.data(), b.size()});
}

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

bool is_hex_digit(char c) {
  return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

// unreserved / sub-delims of RFC 3986 without the comma: a Host with one is a list. A table, since
// every request has a Host.
constexpr std::array<bool, 256> host_chars = [] {
  std::array<bool, 256> result{};
  for (const char c : std::string_view("0123456789abcdefghijklmnopqrstuvwxyz"
                                       "ABCDEFGHIJKLMNOPQRSTUVWXYZ-._~!$&'()*+;=")) {
    result[static_cast<unsigned char>(c)] = true;
  }
  return result;
}();

bool is_host_char(char c) {
  return host_chars[static_cast<unsigned char>(c)];
}

bool all_digits(std::string_view text) {
  return std::all_of(text.begin(), text.end(), is_digit);
}

// The length of the registered name (RFC 3986, 3.2.2) that `text` begins with.
std::size_t registered_name_length(std::string_view text) {
  std::size_t length = 0;
  while (length < text.size()) {
    if (is_host_char(text[length])) {
      ++length;
    } else if (text[length] == '%' && length + 2 < text.size() && is_hex_digit(text[length + 1]) &&
               is_hex_digit(text[length + 2])) {
      length += 3;
    } else {
      break;
    }
  }
  return length;
}

bool is_ipv6_address(std::string_view text) {
  std::array<char, INET6_ADDRSTRLEN> terminated;
  if (text.size() >= terminated.size() || text.find('\0') != std::string_view::npos) {
    return false;
  }
  *std::copy(text.begin(), text.end(), terminated.begin()) = '\0';
  in6_addr ignored{};
  return inet_pton(AF_INET6, terminated.data(), &ignored) == 1;
}

bool is_http_version(std::string_view text) {
  return text.size() == 8 && text.starts_with("HTTP/") && is_digit(text[5]) && text[6] == '.' &&
         is_digit(text[7]);
}

// Empty, or a colon and a port that may be left out.
bool is_port_part(std::string_view text) {
  if (text.size() < 2) {
    return text.empty() || text == ":";
  }
  std::uint16_t port = 0;
  const char* const end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data() + 1, end, port);
  return text.front() == ':' && error == std::errc{} && rest == end;
}

}  // namespace

bool is_valid_host(std::string_view text) {
  if (text.starts_with('[')) {
    const std::size_t close = text.find(']');
    return close != std::string_view::npos && is_ipv6_address(text.substr(1, close - 1)) &&
           is_port_part(text.substr(close + 1));
  }
  const std::size_t name = registered_name_length(text);
  return name > 0 && is_port_part(text.substr(name));
}

RequestParser::RequestParser(Request& request, std::vector<char>& body,
                             std::size_t max_header_bytes, std::uint64_t max_body_bytes)
    : request_(request), body_(body), max_body_bytes_(max_body_bytes) {
  header_limit(static_cast<std::uint32_t>(max_header_bytes));
  body_limit(max_body_bytes);
}

std::size_t RequestParser::parse(std::string_view bytes) {
  if (is_header_done() && chunked() && bytes == "0\r\n") {
    return 0;  // Beast asserts that more has come when it is asked again after a last chunk's line
  }
  input_begin_ = bytes.data();
  input_end_ = bytes.data() + bytes.size();
  eager(is_header_done());
  error_code ec;
  const std::size_t taken = put(boost::asio::const_buffer(bytes.data(), bytes.size()), ec);
  if (ec == http::error::need_more) {
    // Beast reads eight bytes of version before it looks at them, beyond the end of the header too.
    if (request_.target.empty() && bytes.find("\r\n\r\n") != std::string_view::npos) {
      refuse_for(http::error::bad_version, bytes);
    }
  } else if (ec && !refusal_) {
    refuse_for(ec, bytes);
  }
  return taken;
}

void RequestParser::on_request_impl(verb method, string_view method_name, string_view target,
                                    int version, error_code& ec) {
  request_.method = method;
  request_.method_name = to_std(method_name);
  request_.target = to_std(target);
  request_.version = static_cast<unsigned>(version);
  std::string_view rest = request_.target;
  if (std::any_of(rest.begin(), rest.end(),
                  [](char c) { return static_cast<unsigned char>(c) >= 0x80 || c == '#'; })) {
    return refuse(400, "byte above 0x7F or fragment in the request target", ec);
  }
  if (method == verb::connect) {
    return refuse(501, "CONNECT is not supported", ec);
  }
  if (rest == "*") {
    if (method != verb::options) {
      return refuse(400, "request target * with a method other than OPTIONS", ec);
    }
  } else if (rest.front() != '/') {
    // absolute-form; what follows the authority is what a client that knows no proxy would send
    const std::size_t scheme = rest.find("://");
    if (scheme == std::string_view::npos ||
        !(iequals(rest.substr(0, scheme), "http") || iequals(rest.substr(0, scheme), "https"))) {
      return refuse(400, "request target is neither a path nor an http URI", ec);
    }
    rest.remove_prefix(scheme + 3);
    const std::size_t authority = std::min(rest.find_first_of("/?"), rest.size());
    if (!is_valid_host(rest.substr(0, authority))) {
      return refuse(400, "malformed authority in the request target", ec);
    }
    rest.remove_prefix(authority);
  }
  const std::size_t question = std::min(rest.find('?'), rest.size());
  request_.path = question == 0 ? std::string_view("/") : rest.substr(0, question);
  request_.query = rest.substr(std::min(question + 1, rest.size()));
}

void RequestParser::on_field_impl(field id, string_view name, string_view value, error_code& ec) {
  const bool in_trailer = is_header_done();
  // Beast joins folded lines: into a buffer of its own, or, when the first line of the value is
  // empty, by skipping the line break between the colon and the value.
  const std::less<> before;  // a total order, also over pointers into different arrays
  const bool is_copy = before(value.data(), input_begin_) || before(input_end_, value.data());
  if ((is_copy && !value.empty()) ||
      (!is_copy && std::find(name.data() + name.size(), value.data(), '\r') != value.data())) {
    return refuse(400, "folded header line", ec);
  }
  if (in_trailer) {
    return;  // read and dropped: nothing here may change the framing or the route any more
  }
  const std::string_view text = to_std(value);
  switch (id) {
    case field::host:
      if (++host_count_ > 1 || !is_valid_host(text)) {
        return refuse(400, "repeated, empty or malformed Host", ec);
      }
      break;
    case field::transfer_encoding:
      if (has_transfer_encoding_ || !iequals(text, "chunked") || request_.version < 11) {
        return refuse(400, "Transfer-Encoding other than a single chunked", ec);
      }
      has_transfer_encoding_ = true;
      break;
    case field::content_length:
      if (++content_length_count_ > 1 || text.empty() || !all_digits(text)) {
        return refuse(400, "repeated or malformed Content-Length", ec);
      }
      break;
    case field::expect:
      if (request_.version >= 11) {
        if (!iequals(text, "100-continue")) {
          return refuse(417, "Expect other than 100-continue", ec);
        }
        expects_continue_ = true;
      }
      break;
    default:
      break;
  }
  request_.fields.push_back({id, to_std(name), text});
}

void RequestParser::on_header_impl(error_code& ec) {
  if (host_count_ == 0 && request_.version >= 11) {
    return refuse(400, "HTTP/1.1 request without Host", ec);
  }
  if (request_.method == verb::unknown) {
    return refuse(501, "unknown method", ec);
  }
  request_.keep_alive = keep_alive();
  const auto length = content_length();
  expects_continue_ = expects_continue_ && (chunked() || (length && *length > 0));
}

void RequestParser::on_body_init_impl(const boost::optional<std::uint64_t>& length,
                                      error_code& /*ec*/) {
  body_.clear();
  if (length) {
    body_.reserve(std::min<std::uint64_t>(*length, max_trusted_reserve));
  }
}

std::size_t RequestParser::on_body_impl(string_view bytes, error_code& /*ec*/) {
  const std::size_t needed = body_.size() + bytes.size();
  if (needed > body_.capacity()) {  // doubled as ever, but not beyond what a body can need
    body_.reserve(std::max(needed, std::min(2 * body_.capacity(), max_body_bytes_)));
  }
  body_.insert(body_.end(), bytes.begin(), bytes.end());
  return bytes.size();
}

// Beast takes any byte inside a quoted string, also the line feed at which others end the line.
void RequestParser::on_chunk_header_impl(std::uint64_t /*size*/, string_view extension,
                                         error_code& ec) {
  if (std::any_of(extension.begin(), extension.end(),
                  [](char c) { return (c >= 0 && c < ' ' && c != '\t') || c == 0x7F; })) {
    refuse(400, "control character in a chunk extension", ec);
  }
}

std::size_t RequestParser::on_chunk_body_impl(std::uint64_t /*remain*/, string_view bytes,
                                              error_code& ec) {
  return on_body_impl(bytes, ec);
}

void RequestParser::on_finish_impl(error_code& /*ec*/) {
  request_.body = {body_.data(), body_.size()};
}

void RequestParser::refuse(unsigned status, std::string_view reason, error_code& ec) {
  refusal_ = {status, reason};
  ec = http::error::bad_value;  // any error stops Beast; refusal_ says which one it is
}

void RequestParser::refuse_for(const error_code& error, std::string_view bytes) {
  if (request_.target.empty() && bytes.starts_with("HEAD ")) {
    request_.method = verb::head;  // whatever is wrong with the line, the answer has no body
  }
  if (error == http::error::header_limit) {
    refusal_ = {431, "header too large"};
  } else if (error == http::error::body_limit) {
    refusal_ = {413, "body too large"};
  } else if (error == http::error::bad_version) {
    // Beast has one error for a version that it cannot read and one that it does not speak.
    // It gives either as soon as eight bytes of version are there, whatever follows.
    const std::string_view behind_method = bytes.substr(bytes.find(' ') + 1);
    const std::string_view version = behind_method.substr(behind_method.find(' ') + 1, 8);
    const bool is_known = version == "HTTP/1.0" || version == "HTTP/1.1";
    refusal_ = is_http_version(version) && !is_known
                   ? Refusal{505, "HTTP version other than 1.0 and 1.1"}
                   : Refusal{400, "malformed request line"};
  } else {
    refusal_ = {400, "malformed message"};
  }
}

}  // namespace spawnpool
