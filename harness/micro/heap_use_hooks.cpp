// malloc and its relatives, in place of the C library's in the executable that this is linked into:
// the calls go on to glibc's own functions by their second names. operator new and the C library's
// own callers, pthread_create among them, arrive here through malloc.
#include <cerrno>
#include <cstddef>

#include "harness/micro/heap_use.hpp"

// glibc's functions under names of our own.
void* libc_malloc(std::size_t size) noexcept __asm__("__libc_malloc");
void* libc_calloc(std::size_t count, std::size_t size) noexcept __asm__("__libc_calloc");
void* libc_realloc(void* block, std::size_t size) noexcept __asm__("__libc_realloc");
void* libc_memalign(std::size_t alignment, std::size_t size) noexcept __asm__("__libc_memalign");
void libc_free(void* block) noexcept __asm__("__libc_free");

using spawnpool::micro::note_allocation;
using spawnpool::micro::note_free;

namespace {

void* noted(void* block) {
  note_allocation(block);
  return block;
}

}  // namespace

extern "C" {

void* malloc(std::size_t size) noexcept {
  return noted(libc_malloc(size));
}

void* calloc(std::size_t count, std::size_t size) noexcept {
  return noted(libc_calloc(count, size));
}

void* realloc(void* block, std::size_t size) noexcept {
  note_free(block);  // while it is there to be asked for its size
  void* const moved = libc_realloc(block, size);
  // Of one that fails for want of memory the old block stays in use: the loss of its bytes from a
  // count is then the least of worries.
  return noted(moved);
}

void* memalign(std::size_t alignment, std::size_t size) noexcept {
  return noted(libc_memalign(alignment, size));
}

void* aligned_alloc(std::size_t alignment, std::size_t size) noexcept {
  return memalign(alignment, size);
}

int posix_memalign(void** block, std::size_t alignment, std::size_t size) noexcept {
  if (alignment % sizeof(void*) != 0 || alignment == 0 || (alignment & (alignment - 1)) != 0) {
    return EINVAL;
  }
  void* const memory = memalign(alignment, size);
  if (memory == nullptr) {
    return ENOMEM;
  }
  *block = memory;
  return 0;
}

void free(void* block) noexcept {
  note_free(block);
  libc_free(block);
}

}  // extern "C"
