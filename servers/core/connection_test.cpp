#include "servers/core/connection.hpp"

#include <gtest/gtest.h>

#include "servers/handlers.hpp"
#include "servers/testing/connection_runner.hpp"
#include "servers/testing/response_reader.hpp"

namespace spawnpool {
namespace {

using Statuses = std::vector<unsigned>;

const std::string get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const std::string interim = "HTTP/1.1 100 Continue\r\n\r\n";

std::string get_of(const std::string& path) {
  return "GET " + path + " HTTP/1.1\r\nHost: a\r\n\r\n";
}

// A GET of exactly `size` bytes.
std::string get_of_size(std::size_t size) {
  const std::string start = "GET / HTTP/1.1\r\nHost: a\r\nA: ";
  return start + std::string(size - start.size() - 4, 'a') + "\r\n\r\n";
}

// The header of a POST of exactly `size` bytes.
std::string post_of_size(std::size_t size, const std::string& framing) {
  const std::string start = "POST /echo HTTP/1.1\r\nHost: a\r\n" + framing + "\r\nA: ";
  return start + std::string(size - start.size() - 4, 'a') + "\r\n\r\n";
}

std::vector<testing::ReceivedResponse> responses(std::string bytes) {
  std::vector<testing::ReceivedResponse> result;
  while (auto response = testing::take_response(bytes, false)) {
    result.push_back(std::move(*response));
  }
  EXPECT_EQ(bytes, "") << "behind the responses";
  return result;
}

Statuses statuses(const std::string& bytes) {
  Statuses result;
  for (const auto& response : responses(bytes)) {
    result.push_back(response.status);
  }
  return result;
}

class ConnectionTest : public ::testing::TestWithParam<MemoryPolicy> {
 protected:
  testing::ConnectionRunner make_runner(const Limits& limits = {}) const {
    return {make_routes(), limits, GetParam()};
  }
};

INSTANTIATE_TEST_SUITE_P(, ConnectionTest,
                         ::testing::Values(MemoryPolicy::fresh, MemoryPolicy::reused),
                         [](const auto& kind) {
                           return kind.param == MemoryPolicy::fresh ? "Fresh" : "Reused";
                         });

TEST_P(ConnectionTest, AnswersOfOneReadGoOutInOneWrite) {
  auto runner = make_runner();
  std::string requests;
  for (int i = 0; i < 16; ++i) {
    requests += get;
  }
  const auto run = runner.run({requests});
  ASSERT_EQ(run.writes.size(), 1U);
  EXPECT_EQ(statuses(run.writes[0]), Statuses(16, 200));
  EXPECT_EQ(runner.counters().requests, 16U);
}

TEST_P(ConnectionTest, AnswersOfSeveralReadsGoOutAtOnce) {
  auto runner = make_runner();
  const auto run = runner.run({get, get, get + get, get});
  ASSERT_EQ(run.writes.size(), 4U);
  EXPECT_EQ(statuses(run.writes[2]), Statuses(2, 200));
}

TEST_P(ConnectionTest, AnswersDoNotWaitForTheRestOfTheNextRequest) {
  auto runner = make_runner();
  const auto run = runner.run({get + get.substr(0, 20), get.substr(20)});
  EXPECT_EQ(run.writes.size(), 2U);
  const std::string post = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nab";
  const auto with_body = runner.run({get + post.substr(0, post.size() - 1), "b"});
  ASSERT_EQ(with_body.writes.size(), 2U);
  EXPECT_EQ(statuses(with_body.writes[0]), Statuses{200});
}

TEST_P(ConnectionTest, AnswersBeyondTheOutputBufferAreSentAsItFills) {
  auto runner = make_runner();
  std::string requests;
  for (int i = 0; i < 60; ++i) {
    requests += get_of("/bytes/1000");
  }
  const auto run = runner.run({requests});
  EXPECT_EQ(statuses(run.bytes()), Statuses(60, 200));
  EXPECT_LT(run.writes.size(), 15U);
  for (const std::string& write : run.writes) {
    EXPECT_LE(write.size(), ConnectionMemory::output_size);
  }
}

TEST_P(ConnectionTest, LargeBodiesAreGatheredIntoTheSameWrite) {
  auto runner = make_runner();
  const auto run = runner.run({get + get_of("/bytes/50000") + get});
  ASSERT_EQ(run.writes.size(), 2U);
  EXPECT_EQ(statuses(run.writes[0]), Statuses(2, 200));
  EXPECT_EQ(statuses(run.writes[1]), Statuses{200});
}

TEST_P(ConnectionTest, ClientsThatWaitAreToldToContinue) {
  auto runner = make_runner();
  const std::string sized =
      "POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n";
  const std::string chunked =
      "POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nTransfer-Encoding: "
      "chunked\r\n\r\n";
  for (const auto& [header, body] : {std::pair(sized, std::string("abc")),
                                     std::pair(chunked, std::string("3\r\nabc\r\n0\r\n\r\n"))}) {
    auto run = runner.run({header, body});
    ASSERT_EQ(run.writes.size(), 2U);
    EXPECT_EQ(run.writes[0], interim);
    EXPECT_EQ(responses(run.writes[1]).at(0).body, "abc");

    run = runner.run({get + header, body});
    ASSERT_EQ(run.writes.size(), 2U);
    EXPECT_EQ(statuses(run.writes[0]), (Statuses{200, 100})) << "with the answers before";

    run = runner.run({header + body});
    EXPECT_EQ(statuses(run.bytes()), Statuses{200}) << "not with the body there already";
    run = runner.run({header + body[0], body.substr(1)});
    EXPECT_EQ(statuses(run.bytes()), Statuses{200}) << "nor with a part of it";
    run = runner.run({header, body.substr(0, 1), body.substr(1)});
    EXPECT_EQ(statuses(run.bytes()), (Statuses{100, 200})) << "once";
  }
}

TEST_P(ConnectionTest, ClientsThatNeedNotWaitAreNotToldToContinue) {
  auto runner = make_runner({.max_body_bytes = 10});
  const std::string start = "POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n";
  EXPECT_EQ(statuses(runner.run({start + "Content-Length: 11\r\n\r\n"}).bytes()), Statuses{413});
  EXPECT_EQ(statuses(runner.run({start + "Content-Length: 0\r\n\r\n"}).bytes()), Statuses{200});
  EXPECT_EQ(statuses(runner.run({start + "\r\n"}).bytes()), Statuses{200});
  EXPECT_EQ(statuses(runner
                         .run({"POST /echo HTTP/1.0\r\nExpect: 100-continue\r\n"
                               "Content-Length: 3\r\n\r\n",
                               "abc"})
                         .bytes()),
            Statuses{200});
  EXPECT_EQ(statuses(runner
                         .run({"POST / HTTP/1.1\r\nExpect: 100-continue\r\n"
                               "Content-Length: 3\r\n\r\n"})
                         .bytes()),
            Statuses{400})
      << "no Host";
}

// The largest header, wherever in the input buffer it comes to lie, leaves room for what follows.
TEST_P(ConnectionTest, HeadersAtTheEndOfTheInputLeaveRoomForTheBody) {
  const Limits limits{.max_header_bytes = 512};
  auto runner = make_runner(limits);
  const std::size_t input_size =
      ConnectionMemory(limits, GetParam(), runner.state().stop).input().size();
  const std::string chunks = "5;name=value\r\nabcde\r\n0\r\nTrailer: value\r\n\r\n";
  for (std::size_t before = input_size - 512; before > 1000; before -= before > 8000 ? 1 : 13) {
    std::string requests;
    for (int i = 1; i < 20; ++i) {
      requests += get_of_size(before / 20);
    }
    requests += get_of_size(before - requests.size());
    for (const auto& [header, body] :
         {std::pair(post_of_size(512, "Content-Length: 100"), std::string(100, 'x')),
          std::pair(post_of_size(512, "Transfer-Encoding: chunked"), chunks)}) {
      const auto all = responses(runner.run({requests + header, body}).bytes());
      ASSERT_EQ(all.size(), 21U);
      ASSERT_EQ(all.back().status, 200U) << all.back().body << ", at " << before;
      ASSERT_EQ(all.back().body.size(), body == chunks ? 5U : 100U) << "at " << before;
    }
  }
}

TEST_P(ConnectionTest, HeadersBehindAnEmptyLineHaveTheirWholeRoom) {
  const Limits limits{.max_header_bytes = 512};
  auto runner = make_runner(limits);
  const std::size_t input_size =
      ConnectionMemory(limits, GetParam(), runner.state().stop).input().size();
  std::string requests;
  for (int i = 1; i < 20; ++i) {
    requests += get_of_size((input_size - 512) / 20);
  }
  requests += get_of_size(input_size - 512 - requests.size());
  const std::string largest = get_of_size(512);
  const auto run = runner.run({requests + "\r\n" + largest.substr(0, 510), largest.substr(510)});
  EXPECT_EQ(statuses(run.bytes()), Statuses(21, 200));
}

TEST_P(ConnectionTest, BodiesMayBeLargerThanTheInput) {
  auto runner = make_runner();
  std::string body;
  for (int i = 0; i < 5000; ++i) {
    body += std::to_string(i) + "\r\n";
  }
  const std::string header =
      "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: " + std::to_string(body.size()) +
      "\r\n\r\n";
  std::vector<std::string_view> parts = {header};
  for (std::size_t at = 0; at < body.size(); at += 999) {
    parts.push_back(std::string_view(body).substr(at, 999));
  }
  const auto all = responses(runner.run(parts).bytes());
  ASSERT_EQ(all.size(), 1U);
  EXPECT_EQ(all[0].body, body);
}

TEST_P(ConnectionTest, ChunkHeadersAndTrailersAreBounded) {
  auto runner = make_runner({.max_header_bytes = 512});
  const std::string header = "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
  const std::string part(4000, 'a');
  auto run = runner.run({header, "3;" + part, part, part, part});
  EXPECT_EQ(statuses(run.bytes()), Statuses{431});
  run = runner.run({header, "0\r\nA: " + part, part, part, part});
  EXPECT_EQ(statuses(run.bytes()), Statuses{431});
  run = runner.run({header, "0\r\nA: " + part.substr(10) + "\r\n\r\n"});
  EXPECT_EQ(statuses(run.bytes()), Statuses{200}) << "4000 bytes are taken";
}

TEST_P(ConnectionTest, RequestsPerConnectionAreLimited) {
  auto runner = make_runner({.max_requests = 3});
  auto all = responses(runner.run({get + get + get + get + get}).bytes());
  ASSERT_EQ(all.size(), 3U);
  EXPECT_EQ(all[1].field("Connection"), "");
  EXPECT_EQ(all[2].field("Connection"), "close");
  const auto run = runner.run({get, get, get, get});
  EXPECT_EQ(responses(run.bytes()).size(), 3U);
  EXPECT_FALSE(run.reset) << "the client could not know";
  EXPECT_EQ(runner.counters().requests, 6U);
}

TEST_P(ConnectionTest, ADrainingServerAnswersAndCloses) {
  auto runner = make_runner();
  runner.state().draining = true;
  const auto run = runner.run({get, get});
  const auto all = responses(run.bytes());
  ASSERT_EQ(all.size(), 1U);
  EXPECT_EQ(all[0].field("Connection"), "close");
  EXPECT_FALSE(run.reset);
}

TEST_P(ConnectionTest, SpinningReceivesTheSame) {
  auto runner = make_runner({.receive_spin = 3});
  EXPECT_EQ(statuses(runner.run({get, get.substr(0, 9), get.substr(9)}).bytes()), Statuses(2, 200));
}

TEST_P(ConnectionTest, CountsWhatHappens) {
  auto runner = make_runner();
  runner.run({get + get + "x"});
  runner.run({"GET / HTTP/2.0\r\n\r\n"});
  runner.run({""});
  const Counters& counters = runner.counters();
  EXPECT_EQ(counters.requests, 2U) << "those that were handled";
  EXPECT_EQ(counters.errors_protocol, 2U);
  EXPECT_EQ(counters.closed, 3U);
  EXPECT_EQ(counters.errors_peer, 0U);
}

}  // namespace
}  // namespace spawnpool
