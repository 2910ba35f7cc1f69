// Test fixture: a library, initialised before every other, that allocates in its constructor.
#include <cstdlib>

__attribute__((constructor)) static void allocate() {
  void* volatile block = malloc(1'000'003);
  free(block);
}
