// Reads HTTP/1.x answers from a stream of bytes, however they are cut.
#pragma once

#include <boost/beast/http/basic_parser.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace spawnpool::load {

// One answer after the other on one connection: by length, chunked, or up to the end of the
// connection; without a body for HEAD, 204 and 304; interim answers (1xx) are read over.
// Boost.Beast parses. Not thread-safe.
class AnswerReader {
 public:
  // A header larger than this is no answer.
  static constexpr std::uint32_t max_header_bytes = 64 * 1024;

  enum class State {
    incomplete,  // more bytes are needed
    complete,    // the answer is whole: status() and the others tell about it
    broken,      // no HTTP: error() says why; the connection is of no more use
  };
  struct Progress {
    std::size_t used;  // bytes of the input that belong to the answer
    State state;
  };

  // Begins the next answer. `head`: it is to a HEAD request.
  void begin(bool head);

  // Takes what came next. After `complete` the rest belongs to the next answer.
  Progress read(std::string_view bytes);

  // The connection has ended: whether that completes the answer, which is `broken` if not.
  State end();

  // Whether nothing of the answer has come yet.
  bool untouched() const { return untouched_; }

  // Of a complete answer:
  unsigned status() const;
  std::uint64_t body_bytes() const;
  bool keep_alive() const;  // whether the server keeps the connection

  // Of a broken one, in a few words.
  const std::string& error() const { return error_; }

 private:
  Progress fail(std::string why);
  void start_parser();

  // Beast's parser keeps what it must of a header; bytes it could not take yet wait in `carry_`.
  class Parser final : public boost::beast::http::basic_parser<false> {
   public:
    Parser();
    unsigned status = 0;
    std::uint64_t body_bytes = 0;

   private:
    using error_code = boost::beast::error_code;
    using text = boost::beast::string_view;
    void on_request_impl(boost::beast::http::verb, text, text, int, error_code&) override {}
    void on_response_impl(int code, text, int, error_code&) override {
      status = static_cast<unsigned>(code);
    }
    void on_field_impl(boost::beast::http::field, text, text, error_code&) override {}
    void on_header_impl(error_code&) override {}
    void on_body_init_impl(const boost::optional<std::uint64_t>&, error_code&) override {}
    std::size_t on_body_impl(text body, error_code&) override {
      body_bytes += body.size();
      return body.size();
    }
    void on_chunk_header_impl(std::uint64_t, text, error_code&) override {}
    std::size_t on_chunk_body_impl(std::uint64_t, text body, error_code&) override {
      body_bytes += body.size();
      return body.size();
    }
    void on_finish_impl(error_code&) override {}
  };

  std::optional<Parser> parser_;
  std::string carry_;
  std::string error_;
  bool head_ = false;
  bool untouched_ = true;
};

}  // namespace spawnpool::load
