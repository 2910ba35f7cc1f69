// Where the other products of a build lie: beside the program that asks, so that a tree can be
// moved.
#pragma once

#include <filesystem>
#include <string>

namespace spawnpool::cost {

// The folder of the build's programs, as a program of it sees it. Throws
// std::filesystem::filesystem_error where there is no /proc.
inline std::filesystem::path program_folder() {
  return std::filesystem::read_symlink("/proc/self/exe").parent_path();
}

// The interposer that an AllocationCounter preloads. Throws as program_folder().
inline std::string counter_library() {
  return program_folder().parent_path() / "lib" / "libspawnpool_alloc.so";
}

}  // namespace spawnpool::cost
