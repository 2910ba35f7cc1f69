// The routes that every server under test answers alike.
#pragma once

#include "servers/router.hpp"

namespace spawnpool {

// GET  /, /plaintext      "Hello, World!" (13 bytes)
// POST /                  the request's body
// GET  /json              {"message":"Hello, World!"}
// GET  /echo              the request's header fields, a line each; POST: the request's body
// GET  /users/{id:uint}   the id
// GET  /bytes/{n:uint}    n bytes, at most 1 MiB (400 above)
// GET  /work?us=N         burns N microseconds of this thread's CPU time, at most 10 s
// GET  /sleep?ms=N        blocks N milliseconds as a call to a database would, at most 60 s
// The last two end early with 503 when the server gives up waiting for them.
Router make_routes();

}  // namespace spawnpool
