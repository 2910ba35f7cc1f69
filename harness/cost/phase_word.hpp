// Where a program that marks its phases (see phases.hpp) keeps them, told from outside.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace spawnpool::cost {

// Reads an ELF program and returns where its threads have spawnpool_phase_word: the distance from a
// thread's pointer (the base of FS), the same in each. A program's own thread-local storage lies at
// a place that the linker has settled, so that nothing needs to run in the process. Nothing when
// the program exports no such word, is none of x86-64, or cannot be read.
std::optional<std::int64_t> phase_word_offset(const std::string& program);

}  // namespace spawnpool::cost
