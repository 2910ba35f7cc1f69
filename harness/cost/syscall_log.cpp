#include "harness/cost/syscall_log.hpp"

#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <system_error>
#include <utility>

namespace spawnpool::cost {

SyscallLog::SyscallLog() : fd_(memfd_create("spawnpool-syscalls", MFD_CLOEXEC)) {
  if (fd_ < 0) {
    throw std::system_error(errno, std::generic_category(), "memfd_create for system calls");
  }
}

SyscallLog::~SyscallLog() {
  close(fd_);
}

const std::map<pid_t, SyscallCounts>& SyscallLog::read() {
  std::array<SyscallRecord, 4096> records{};
  ssize_t got = 0;
  while ((got = pread(fd_, records.data(), sizeof records, offset_)) > 0) {
    const std::size_t whole = static_cast<std::size_t>(got) / sizeof(SyscallRecord);
    if (whole == 0) {
      break;  // it is being written
    }
    std::for_each_n(records.begin(), whole, [this](const auto& record) { take(record); });
    offset_ += static_cast<off_t>(whole * sizeof(SyscallRecord));
  }
  return threads_;
}

void SyscallLog::take(const SyscallRecord& record) {
  if (record.kind == SyscallRecord::Kind::begin) {
    const SyscallKey key{.number = record.number, .phase = record.phase};
    ++threads_[record.thread][key].calls;
    open_[record.thread] = {.key = key, .since_ns = record.at_ns};
  } else if (const auto found = open_.find(record.thread); found != open_.end()) {
    const auto& [key, since_ns] = found->second;
    const std::int64_t ns = record.at_ns - std::max(since_ns, time_from_ns_);
    threads_[record.thread][key].ns += std::max(ns, std::int64_t{0});
    open_.erase(found);
  }
}

void SyscallLog::count_time() {
  read();
  // What std::chrono's steady clock reads in libstdc++ is CLOCK_MONOTONIC.
  time_from_ns_ = std::chrono::steady_clock::now().time_since_epoch() / std::chrono::nanoseconds(1);
}

std::string syscall_name(std::int32_t number) {
  static constexpr std::pair<std::int32_t, const char*> names[] = {
#include "harness/cost/syscall_names.inc"
  };
  if (number == SyscallRecord::other_abi) {
    return "other_abi";
  }
  const auto* const found =
      std::find_if(std::begin(names), std::end(names),
                   [number](const auto& named) { return named.first == number; });
  return found != std::end(names) ? found->second : "syscall_" + std::to_string(number);
}

}  // namespace spawnpool::cost
