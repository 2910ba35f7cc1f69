// Why a trial cannot go on: thrown by its phases, caught where the result is made.
#pragma once

#include <exception>
#include <string>
#include <utility>

#include "harness/trial/result.hpp"

namespace spawnpool::trial {

class TrialFailure : public std::exception {
 public:
  TrialFailure(std::string code, std::string message)
      : reason_{std::move(code), std::move(message)} {}
  const Reason& reason() const { return reason_; }
  const char* what() const noexcept override { return reason_.message.c_str(); }

 private:
  Reason reason_;
};

}  // namespace spawnpool::trial
