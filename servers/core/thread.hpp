// How the serving threads of both models are made.
#pragma once

#include <pthread.h>

namespace spawnpool {

// Attributes of a serving thread: a stack sized on purpose, and all signals blocked from the start
// (signals are the main thread's; no system call of a serving thread comes back early for one).
class ServingThreadAttributes {
 public:
  ServingThreadAttributes();
  ~ServingThreadAttributes();
  ServingThreadAttributes(const ServingThreadAttributes&) = delete;
  ServingThreadAttributes& operator=(const ServingThreadAttributes&) = delete;

  const pthread_attr_t* get() const { return &attributes_; }

 private:
  pthread_attr_t attributes_;
};

}  // namespace spawnpool
