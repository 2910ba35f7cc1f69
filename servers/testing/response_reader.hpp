// Reads what a server sends, as strictly as RFC 9112 allows.
#pragma once

#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace spawnpool::testing {

struct ReceivedResponse {
  unsigned status = 0;
  std::vector<std::pair<std::string, std::string>> fields;
  std::string body;

  // The value of the field of that name, as the server writes it; empty without.
  std::string_view field(std::string_view name) const;
};

// Bytes that are no response as this server owes it; what() says why.
class MalformedResponse : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// Takes the first response off the front of `bytes`. Nothing when it is not all there.
// Beyond the grammar asks for: HTTP/1.1, the reason phrase of the status, visible ASCII, each field
// once, Date in its one good form, Content-Length in all but 1xx and 204 and no other framing.
// A response to HEAD (`to_head`) has no body whatever its Content-Length.
std::optional<ReceivedResponse> take_response(std::string& bytes, bool to_head);

}  // namespace spawnpool::testing
