// Beast's incremental HTTP/1.x parser, writing into a Request, with the checks that a server owes
// and Beast leaves to its user.
#pragma once

#include <boost/beast/http/basic_parser.hpp>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "servers/http/request.hpp"

namespace spawnpool {

// Why a message is refused: the status to answer with and one line for people.
struct Refusal {
  unsigned status = 0;  // 0: not refused
  std::string_view reason;
  explicit operator bool() const { return status != 0; }
};

// Parses one request. The header's bytes must stay where they are until the handler is done, since
// the Request's views point at them; body bytes are copied. One object per request; it allocates
// nothing itself, `request.fields` and `body` grow when they must, the latter to max_body_bytes.
//
// Refused beyond what Beast refuses (RFC 9110, RFC 9112): a missing, empty, repeated or malformed
// Host; any Transfer-Encoding but one final "chunked"; Transfer-Encoding in HTTP/1.0; a repeated or
// listed Content-Length; "*" with a method other than OPTIONS; a target that is neither a path, an
// absolute http URI nor "*"; bytes >= 0x80 or a fragment in the target; obs-fold; control
// characters in a chunk extension.
class RequestParser final : private boost::beast::http::basic_parser<true> {
 public:
  // Limits in bytes: the header with its start line, and the body after removing the chunking.
  RequestParser(Request& request, std::vector<char>& body, std::size_t max_header_bytes,
                std::uint64_t max_body_bytes);

  // Takes bytes that follow those taken before; stops behind the header, so that the caller can
  // answer an Expect before it reads on, and behind the end of the message.
  // Returns how many it took; call again with the rest and more when neither done nor refused.
  std::size_t parse(std::string_view bytes);

  bool header_done() const { return is_header_done(); }
  bool done() const { return is_done(); }
  const Refusal& refusal() const { return refusal_; }

  // True after the header when the client waits for "100 Continue" before it sends the body.
  bool expects_continue() const { return expects_continue_; }

 private:
  using string_view = boost::beast::string_view;
  using error_code = boost::beast::error_code;

  void on_request_impl(verb method, string_view method_name, string_view target, int version,
                       error_code& ec) override;
  void on_response_impl(int, string_view, int, error_code&) override {}
  void on_field_impl(field id, string_view name, string_view value, error_code& ec) override;
  void on_header_impl(error_code& ec) override;
  void on_body_init_impl(const boost::optional<std::uint64_t>& length, error_code& ec) override;
  std::size_t on_body_impl(string_view bytes, error_code& ec) override;
  void on_chunk_header_impl(std::uint64_t size, string_view extension, error_code& ec) override;
  std::size_t on_chunk_body_impl(std::uint64_t remain, string_view bytes, error_code& ec) override;
  void on_finish_impl(error_code& ec) override;

  void refuse(unsigned status, std::string_view reason, error_code& ec);
  void refuse_for(const error_code& error, std::string_view bytes);

  Request& request_;
  std::vector<char>& body_;
  const std::size_t max_body_bytes_;
  const char* input_begin_ = nullptr;  // of the bytes being parsed, to tell a view from a copy
  const char* input_end_ = nullptr;
  Refusal refusal_;
  unsigned host_count_ = 0;
  unsigned content_length_count_ = 0;
  bool has_transfer_encoding_ = false;
  bool expects_continue_ = false;
};

// Whether text is a Host value: a registered name, IPv4 or bracketed IPv6 address with an optional
// port, and nothing else (no user, path, list or white space).
bool is_valid_host(std::string_view text);

}  // namespace spawnpool
