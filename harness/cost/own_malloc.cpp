// Test fixture: a program with an allocator of its own (which never frees), as jemalloc linked in
// would be.
#include <cstddef>
#include <cstdlib>

namespace {

alignas(16) char arena[1U << 20U];
std::size_t used = 0;

}  // namespace

extern "C" void* malloc(std::size_t size) noexcept {
  void* block = arena + used;
  used += (size + 15) / 16 * 16;
  return block;
}

extern "C" void free(void*) noexcept {}

int main() {
  void* volatile block = malloc(10);
  free(block);
  return 0;
}
