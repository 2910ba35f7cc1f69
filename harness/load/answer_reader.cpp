#include "harness/load/answer_reader.hpp"

#include <boost/asio/buffer.hpp>
#include <boost/beast/http/error.hpp>
#include <limits>
#include <utility>

namespace spawnpool::load {

namespace http = boost::beast::http;

namespace {

// "0\r\n\r\n" is still to come of a chunked answer that is not whole. Beast relies on so much when
// it goes on with a last chunk.
constexpr std::size_t least_chunked_rest = 5;

}  // namespace

AnswerReader::Parser::Parser() {
  eager(true);
  header_limit(max_header_bytes);
  body_limit(std::numeric_limits<std::uint64_t>::max());  // Boost 1.74 takes none for 0
}

void AnswerReader::begin(bool head) {
  parser_.reset();
  carry_.clear();
  head_ = head;
  untouched_ = true;
}

void AnswerReader::start_parser() {
  parser_.emplace();
  parser_->skip(head_);
}

AnswerReader::Progress AnswerReader::fail(std::string why) {
  error_ = std::move(why);
  return {0, State::broken};
}

AnswerReader::Progress AnswerReader::read(std::string_view bytes) {
  if (bytes.empty()) {
    return {0, State::incomplete};
  }
  untouched_ = false;
  if (!parser_) {
    start_parser();
  }
  // What was left over has to lie in front of what came, in one piece.
  const std::size_t carried = carry_.size();
  std::string_view input = bytes;
  if (carried > 0) {
    carry_.append(bytes);
    input = carry_;
  }
  std::size_t used = 0;
  for (;;) {
    if (parser_->is_header_done() && parser_->chunked() &&
        input.size() - used < least_chunked_rest) {
      break;
    }
    boost::beast::error_code error;
    used += parser_->put(boost::asio::buffer(input.data() + used, input.size() - used), error);
    if (error && error != http::error::need_more) {
      return fail(error.message());
    }
    if (parser_->is_done()) {
      if (parser_->status >= 200) {
        carry_.clear();
        return {used - carried, State::complete};
      }
      if (parser_->status == 101) {
        return fail("101: the protocol was switched");
      }
      start_parser();  // an interim answer: the one that counts is still to come
      if (used < input.size()) {
        continue;
      }
    }
    break;
  }
  if (input.size() - used > max_header_bytes) {
    return fail("header or chunk header too large");
  }
  carry_ = std::string(input.substr(used));
  return {bytes.size(), State::incomplete};
}

AnswerReader::State AnswerReader::end() {
  if (untouched_) {
    error_ = "closed without an answer";
    return State::broken;
  }
  if (parser_ && parser_->is_header_done() && parser_->need_eof()) {
    boost::beast::error_code error;
    parser_->put_eof(error);
    if (!error) {
      return State::complete;
    }
  }
  error_ = "closed in the middle of an answer";
  return State::broken;
}

unsigned AnswerReader::status() const {
  return parser_->status;
}

std::uint64_t AnswerReader::body_bytes() const {
  return parser_->body_bytes;
}

bool AnswerReader::keep_alive() const {
  return parser_->keep_alive();
}

}  // namespace spawnpool::load
