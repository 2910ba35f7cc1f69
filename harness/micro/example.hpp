// The answer that the micro-benchmarks make.
#pragma once

#include <ctime>
#include <string_view>

namespace spawnpool::micro {

inline constexpr std::string_view json = R"({"message":"Hello, World!"})";
inline constexpr std::time_t some_time = 784'111'777;  // the example of RFC 9110

}  // namespace spawnpool::micro
