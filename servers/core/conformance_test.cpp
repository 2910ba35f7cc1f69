// Every case of the table, in every model with every memory policy, and whatever the reads are that
// its bytes arrive in.
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <algorithm>
#include <memory>

#include "servers/core/conformance_cases.hpp"
#include "servers/core/thread_per_connection.hpp"
#include "servers/server.hpp"
#include "servers/testing/connection_runner.hpp"
#include "servers/testing/raw_client.hpp"
#include "servers/testing/response_reader.hpp"

namespace spawnpool {
namespace {

// Takes the responses that `each` expects off the front of `bytes`. Empty when they are all there
// and as expected, else what is wrong.
std::string mismatch(const ConformanceCase& each, std::string& bytes) {
  for (std::size_t i = 0; i < each.responses.size(); ++i) {
    const ExpectedResponse& expected = each.responses[i];
    const std::string which = "response " + std::to_string(i + 1) + ": ";
    std::optional<testing::ReceivedResponse> response;
    do {
      response = testing::take_response(bytes, expected.to_head);
    } while (response && response->status == 100);
    if (!response) {
      return which + "missing or cut off; left: " + bytes;
    }
    if (response->status != expected.status) {
      return which + "status " + std::to_string(response->status) + ", " + response->body;
    }
    if (expected.body && response->body != *expected.body) {
      return which + "body " + response->body;
    }
    for (const auto& [name, value] : expected.fields) {
      if (response->field(name) != value) {
        return which + name + " is '" + std::string(response->field(name)) + "'";
      }
    }
    const bool says_close = response->field("Connection") == "close";
    if (says_close != (each.closes && i + 1 == each.responses.size())) {
      return which + (says_close ? "closes too early" : "does not say close");
    }
  }
  return "";
}

// As mismatch(), for bytes that hold nothing beside.
std::string whole_mismatch(const ConformanceCase& each, std::string bytes) try {
  std::string wrong = mismatch(each, bytes);
  return wrong.empty() && !bytes.empty() ? "more than was expected: " + bytes : wrong;
} catch (const testing::MalformedResponse& error) {
  return error.what();
}

struct ServerKind {
  Model model;
  MemoryPolicy memory;
};

const auto kinds = ::testing::Values(ServerKind{Model::thread_per_connection, MemoryPolicy::fresh},
                                     ServerKind{Model::thread_per_connection, MemoryPolicy::reused},
                                     ServerKind{Model::worker_pool, MemoryPolicy::fresh},
                                     ServerKind{Model::worker_pool, MemoryPolicy::reused});

std::string kind_name(const ::testing::TestParamInfo<ServerKind>& kind) {
  return std::string(kind.param.model == Model::worker_pool ? "WorkerPool"
                                                            : "ThreadPerConnection") +
         (kind.param.memory == MemoryPolicy::fresh ? "Fresh" : "Reused");
}

class ConformanceTest : public ::testing::TestWithParam<ServerKind> {};

INSTANTIATE_TEST_SUITE_P(, ConformanceTest, kinds, kind_name);

TEST_P(ConformanceTest, EveryCaseOverARealConnection) {
  ServerOptions options;
  options.model = GetParam().model;
  options.memory = GetParam().memory;
  options.limits = conformance_limits();
  Server server(options, conformance_routes());
  ::testing::internal::CaptureStderr();
  std::size_t expected_errors = 0;
  for (const ConformanceCase& each : conformance_cases()) {
    SCOPED_TRACE(each.name);
    testing::RawClient client(server.port());
    client.send(each.bytes);
    if (each.half_closes) {
      client.finish_sending();
    } else if (!each.closes) {
      client.send("GET /users/42 HTTP/1.0\r\n\r\n");  // served only where the connection goes on
    }
    std::string bytes = client.receive_all();
    EXPECT_FALSE(client.was_reset());
    if (each.closes || each.half_closes) {
      EXPECT_EQ(whole_mismatch(each, bytes), "");
    } else {
      EXPECT_EQ(mismatch(each, bytes), "");
      EXPECT_EQ(whole_mismatch({.responses = {{.body = "42"}}, .closes = true}, bytes), "");
    }
    expected_errors += each.responses.size() > 0 && each.responses.back().status == 500;
  }
  server.drain();
  const std::string log = ::testing::internal::GetCapturedStderr();
  EXPECT_EQ(server.counters().errors_handler, expected_errors);
  EXPECT_EQ(std::count(log.begin(), log.end(), '\n'), expected_errors) << log;
  EXPECT_NE(log.find("spawnpool-server: handler threw: thrown by  a handler\n"), std::string::npos)
      << log;
}

// Without the accept loop, and over a socket pair that keeps the pieces apart.
testing::ConnectionRunner runner_of(ServerKind kind) {
  return {conformance_routes(), conformance_limits(),
          [=](ServerState& state) -> std::unique_ptr<ServingModel> {
            if (kind.model == Model::thread_per_connection) {
              return std::make_unique<ThreadPerConnection>(state, kind.memory, 0);
            }
            return std::make_unique<WorkerPool>(
                state,
                WorkerPoolOptions{.max_workers = 1, .queue_capacity = 1, .memory = kind.memory});
          }};
}

// Which splits of the table a test makes: one, counted from this, of so many. All of them in one
// test come near its time limit under ThreadSanitizer, which takes long to make a thread.
constexpr std::size_t split_shares = 4;
using SplitShare = std::tuple<ServerKind, std::size_t>;

std::string share_name(const ::testing::TestParamInfo<SplitShare>& share) {
  const auto& [kind, from] = share.param;
  return kind_name({kind, 0}) + "From" + std::to_string(from);
}

class SplitTest : public ::testing::TestWithParam<SplitShare> {};

INSTANTIATE_TEST_SUITE_P(, SplitTest,
                         ::testing::Combine(kinds, ::testing::Range(std::size_t{0}, split_shares)),
                         share_name);

TEST_P(SplitTest, EveryCaseSplitAtEveryByte) {
  const auto& [kind, from] = GetParam();
  testing::ConnectionRunner runner = runner_of(kind);
  ::testing::internal::CaptureStderr();
  for (const ConformanceCase& each : conformance_cases()) {
    const std::string_view bytes = each.bytes;
    std::string wrong;
    for (std::size_t at = from; at <= bytes.size() && wrong.empty(); at += split_shares) {
      const auto run = runner.run({bytes.substr(0, at), bytes.substr(at)});
      wrong = whole_mismatch(each, run.bytes()) + (run.reset && !each.breaks_word ? "; reset" : "");
      EXPECT_EQ(wrong, "") << each.name << ", split at " << at;
    }
  }
  ::testing::internal::GetCapturedStderr();
}

class PiecesTest : public ::testing::TestWithParam<ServerKind> {};

INSTANTIATE_TEST_SUITE_P(, PiecesTest, kinds, kind_name);

// Byte by byte, but for messages of more parts than a socket takes ahead.
TEST_P(PiecesTest, EveryCaseInSmallPieces) {
  testing::ConnectionRunner runner = runner_of(GetParam());
  ::testing::internal::CaptureStderr();
  for (const ConformanceCase& each : conformance_cases()) {
    const std::size_t size = 1 + each.bytes.size() / 250;
    std::vector<std::string_view> parts;
    for (std::size_t at = 0; at < each.bytes.size(); at += size) {
      parts.push_back(std::string_view(each.bytes).substr(at, size));
    }
    EXPECT_EQ(whole_mismatch(each, runner.run(parts).bytes()), "") << each.name;
  }
  ::testing::internal::GetCapturedStderr();
}

}  // namespace
}  // namespace spawnpool
