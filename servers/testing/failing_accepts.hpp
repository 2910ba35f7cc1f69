// Errors of accept4 that a test cannot bring about otherwise, given by the kernel on its behalf.
#pragma once

#include <cstddef>
#include <thread>
#include <vector>

#include "servers/core/socket.hpp"

namespace spawnpool::testing {

// Binds the thread that makes it, for ever, and every thread which that one starts from then on:
// each of their accept4 calls fails with the next of `errors`, or is carried out where that is 0
// and once all are used up. It is a seccomp filter whose decisions this object takes, and must
// outlive what calls accept4.
class FailingAccepts {
 public:
  explicit FailingAccepts(std::vector<int> errors);
  ~FailingAccepts();
  FailingAccepts(const FailingAccepts&) = delete;
  FailingAccepts& operator=(const FailingAccepts&) = delete;

  bool works() const { return static_cast<bool>(filter_); }  // false: no such filters here

 private:
  void decide();

  const std::vector<int> errors_;
  Socket filter_;  // no socket, but a descriptor just the same
  Socket end_;     // likewise
  std::thread thread_;
};

}  // namespace spawnpool::testing
