// libFuzzer target: the reader of answers, whole and in pieces. An input is what a server sends;
// its last byte tells whether it answers HEAD, and the size of the pieces.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string_view>
#include <vector>

#include "harness/load/answer_reader.hpp"

namespace {

using spawnpool::load::AnswerReader;
using State = AnswerReader::State;

struct Answer {
  unsigned status;
  std::uint64_t body_bytes;
  bool keep_alive;
  bool operator==(const Answer&) const = default;
};

// The answers up to the first that is broken or not whole.
struct Stream {
  std::vector<Answer> answers;
  State last = State::incomplete;
  bool operator==(const Stream&) const = default;
};

Stream read_in_pieces(std::string_view bytes, bool head, std::size_t piece) {
  Stream stream;
  AnswerReader reader;
  reader.begin(head);
  while (!bytes.empty()) {
    const std::string_view part = bytes.substr(0, piece);
    const AnswerReader::Progress progress = reader.read(part);
    if (progress.state == State::broken) {
      stream.last = State::broken;
      return stream;
    }
    if (progress.used > part.size()) {
      std::fputs("used more than there was\n", stderr);
      std::abort();
    }
    if (progress.state == State::complete) {
      stream.answers.push_back({reader.status(), reader.body_bytes(), reader.keep_alive()});
      reader.begin(head);
    } else if (progress.used != part.size()) {
      std::fputs("left bytes of an answer that is not whole\n", stderr);
      std::abort();
    }
    bytes.remove_prefix(progress.used);
  }
  if (!reader.untouched()) {
    stream.last = reader.end();
    if (stream.last == State::complete) {
      stream.answers.push_back({reader.status(), reader.body_bytes(), reader.keep_alive()});
    }
  }
  return stream;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) {
    return 0;
  }
  const std::string_view bytes(reinterpret_cast<const char*>(data), size - 1);
  const std::uint8_t choice = data[size - 1];
  const bool head = (choice & 1U) != 0;
  const Stream whole = read_in_pieces(bytes, head, bytes.size());
  const Stream pieces = read_in_pieces(bytes, head, std::size_t{choice} / 2 + 1);
  // A header that is cut may be found broken before it is whole, but never to be something else.
  const bool same_end =
      whole == pieces || whole.last == State::broken || pieces.last == State::broken;
  const std::size_t both = std::min(whole.answers.size(), pieces.answers.size());
  for (std::size_t i = 0; i < both; ++i) {
    if (!(whole.answers[i] == pieces.answers[i])) {
      std::fputs("other answers in pieces than as a whole\n", stderr);
      std::abort();
    }
  }
  if (!same_end) {
    std::fputs("another end in pieces than as a whole\n", stderr);
    std::abort();
  }
  return 0;
}
