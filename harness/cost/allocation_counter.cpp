#include "harness/cost/allocation_counter.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <new>
#include <stdexcept>
#include <system_error>

#include "harness/cost/allocation_page.hpp"
#include "harness/cost/allocation_slots.hpp"

namespace spawnpool::cost {

AllocationCounter::AllocationCounter(const std::string& library_path)
    : library_path_(std::filesystem::absolute(library_path)) {
  if (library_path_.find_first_of(" :") != std::string::npos) {
    throw std::invalid_argument(
        "cannot preload " + library_path_ +
        ": LD_PRELOAD takes no path with a space or colon; build elsewhere");
  }
  if (access(library_path_.c_str(), R_OK) != 0) {
    throw std::invalid_argument("cannot read " + library_path_ +
                                ": build the target spawnpool_alloc, or name the library");
  }
  fd_ = memfd_create(allocation_page_name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (fd_ < 0) {
    throw std::system_error(errno, std::generic_category(), "memfd_create for allocation counts");
  }
  // Sealed in its size, so that no one who has the descriptor can make the other side's access a
  // SIGBUS.
  void* memory = MAP_FAILED;
  constexpr mode_t of_its_user_only = 0600;  // for who opens it through /proc
  if (fchmod(fd_, of_its_user_only) == 0 && ftruncate(fd_, sizeof(AllocationPage)) == 0 &&
      fcntl(fd_, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0) {
    memory = mmap(nullptr, sizeof(AllocationPage), PROT_READ | PROT_WRITE, MAP_SHARED, fd_, 0);
  }
  if (memory == MAP_FAILED) {
    const int error = errno;
    close(fd_);
    throw std::system_error(error, std::generic_category(), "memory for allocation counts");
  }
  auto* page = new (memory) AllocationPage{};
  page->magic = AllocationPage::magic_and_version;
  page_ = page;
}

AllocationCounter::~AllocationCounter() {
  munmap(const_cast<AllocationPage*>(page_), sizeof(AllocationPage));
  close(fd_);
}

std::vector<std::string> AllocationCounter::environment() const {
  return {"LD_PRELOAD=" + library_path_,
          std::string(allocation_fd_variable) + "=" + std::to_string(fd_)};
}

bool AllocationCounter::attached() const {
  return page_->attached.load(std::memory_order_acquire) > 0;
}

bool AllocationCounter::marks_phases() const {
  return page_->marking.load(std::memory_order_relaxed) > 0;
}

AllocationCounts AllocationCounter::read() const {
  return counts_of(*page_);
}

}  // namespace spawnpool::cost
