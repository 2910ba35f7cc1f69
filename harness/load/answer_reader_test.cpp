#include "harness/load/answer_reader.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace spawnpool::load {
namespace {

using State = AnswerReader::State;

struct Read {
  State state;
  std::size_t used;
};

// Feeds the bytes in two parts, up to the end of the answer.
Read read_cut(AnswerReader& reader, std::string_view bytes, std::size_t cut, bool head = false) {
  reader.begin(head);
  AnswerReader::Progress progress = reader.read(bytes.substr(0, cut));
  if (progress.state != State::incomplete) {
    return {progress.state, progress.used};
  }
  progress = reader.read(bytes.substr(cut));
  return {progress.state, cut + progress.used};
}

struct Whole {
  const char* name;
  std::string bytes;
  unsigned status;
  std::uint64_t body_bytes;
  bool keep_alive;
  bool head = false;
};

const std::vector<Whole>& whole_answers() {
  static const std::vector<Whole> answers = {
      {"length", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 200, 5, true},
      {"no body", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 200, 0, true},
      {"chunked",
       "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;a=b\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
       200, 5, true},
      {"trailers",
       "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX: y\r\nZ: w\r\n\r\n",
       200, 1, true},
      {"empty, chunked", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 200, 0,
       true},
      {"204", "HTTP/1.1 204 No Content\r\nX: y\r\n\r\n", 204, 0, true},
      {"304", "HTTP/1.1 304 Not Modified\r\nContent-Length: 99\r\n\r\n", 304, 0, true},
      {"HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n", 200, 0, true, true},
      {"interim",
       "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 "
       "OK\r\nContent-Length: 2\r\n\r\nok",
       200, 2, true},
      {"close", "HTTP/1.1 503 Busy\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx", 503, 1,
       false},
      {"1.0", "HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx", 200, 1, false},
      {"1.0 kept", "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\nx", 200,
       1, true},
  };
  return answers;
}

TEST(AnswerReader, ReadsEveryKindOfAnswerCutAtEveryByte) {
  for (const Whole& answer : whole_answers()) {
    const std::string followed = answer.bytes + "HTTP/1.1 200 OK\r\n";
    AnswerReader reader;
    for (std::size_t cut = 0; cut <= answer.bytes.size(); ++cut) {
      const Read read = read_cut(reader, followed, cut, answer.head);
      ASSERT_EQ(read.state, State::complete) << answer.name << " cut at " << cut << reader.error();
      ASSERT_EQ(read.used, answer.bytes.size()) << answer.name << " cut at " << cut;
      ASSERT_EQ(reader.status(), answer.status) << answer.name;
      ASSERT_EQ(reader.body_bytes(), answer.body_bytes) << answer.name;
      ASSERT_EQ(reader.keep_alive(), answer.keep_alive) << answer.name;
    }
  }
}

TEST(AnswerReader, ReadsByteByByte) {
  AnswerReader reader;
  for (const Whole& answer : whole_answers()) {
    reader.begin(answer.head);
    for (std::size_t i = 0; i + 1 < answer.bytes.size(); ++i) {
      ASSERT_EQ(reader.read(std::string_view(answer.bytes).substr(i, 1)).state, State::incomplete)
          << answer.name << " at " << i;
    }
    ASSERT_EQ(reader.read(std::string_view(answer.bytes).substr(answer.bytes.size() - 1)).state,
              State::complete)
        << answer.name;
    EXPECT_EQ(reader.body_bytes(), answer.body_bytes) << answer.name;
  }
}

TEST(AnswerReader, TakesTheEndOfTheConnectionForThatOfTheBody) {
  const std::string_view bytes = "HTTP/1.1 200 OK\r\n\r\nabcdef";
  AnswerReader reader;
  for (std::size_t cut = 0; cut <= bytes.size(); ++cut) {
    ASSERT_EQ(read_cut(reader, bytes, cut).state, State::incomplete);
    ASSERT_EQ(reader.end(), State::complete);
    ASSERT_EQ(reader.body_bytes(), 6);
    ASSERT_FALSE(reader.keep_alive());
  }
}

TEST(AnswerReader, TakesNoOtherEndForOne) {
  for (const Whole& answer : whole_answers()) {
    AnswerReader reader;
    for (std::size_t length = 0; length < answer.bytes.size(); ++length) {
      reader.begin(answer.head);
      reader.read(std::string_view(answer.bytes).substr(0, length));
      ASSERT_EQ(reader.end(), State::broken) << answer.name << " ended at " << length;
      ASSERT_FALSE(reader.error().empty());
    }
  }
}

TEST(AnswerReader, SaysWhatIsNoHttp) {
  for (const std::string& bytes :
       {std::string("garbage garbage\r\n\r\n"), std::string("HTTP/2.0 200 OK\r\n\r\n"),
        std::string("HTTP/1.1 abc OK\r\n\r\n"), std::string("HTTP/1.1 200 OK\r\nno colon\r\n\r\n"),
        std::string("HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n"),
        std::string("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"),
        std::string("HTTP/1.1 101 Switching Protocols\r\n\r\n"),
        std::string("\0\0\0\0\r\n\r\n", 8)}) {
    AnswerReader reader;
    reader.begin(false);
    EXPECT_EQ(reader.read(bytes).state, State::broken) << bytes;
    EXPECT_FALSE(reader.error().empty());
  }
}

TEST(AnswerReader, GivesUpOnAHeaderWithoutEnd) {
  AnswerReader reader;
  reader.begin(false);
  ASSERT_EQ(reader.read("HTTP/1.1 200 OK\r\n").state, State::incomplete);
  const std::string field = "X-Field: " + std::string(100, 'x') + "\r\n";
  std::size_t fed = 0;
  for (State state = State::incomplete; state == State::incomplete; fed += field.size()) {
    ASSERT_LT(fed, 2 * AnswerReader::max_header_bytes);
    state = reader.read(field).state;
  }
  EXPECT_GT(fed, AnswerReader::max_header_bytes / 2);
}

}  // namespace
}  // namespace spawnpool::load
