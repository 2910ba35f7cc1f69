// Where the other products of a build lie, as a program of it finds them: so a tree can be moved,
// and no path of it is compiled in.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace spawnpool::cli {

// The folder that the calling program is in. Throws std::filesystem::filesystem_error where there
// is no /proc.
inline std::filesystem::path program_folder() {
  return std::filesystem::read_symlink("/proc/self/exe").parent_path();
}

// A product by its place in the build's folder ("bin/spawnpool-server"), in a folder of which the
// calling program is, too. Throws as program_folder().
inline std::string built(std::string_view product) {
  return program_folder().parent_path() / product;
}

}  // namespace spawnpool::cli
