#include "servers/router.hpp"

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <cstdlib>
#include <new>
#include <stdexcept>
#include <string>

namespace {

std::atomic<std::size_t> allocations = 0;

void* counted(std::size_t size) {
  allocations.fetch_add(1, std::memory_order_relaxed);
  void* const memory = std::malloc(size);
  if (memory == nullptr) {
    throw std::bad_alloc();
  }
  return memory;
}

}  // namespace

// Every heap allocation of this executable that C++ makes is counted. Not inlined, or GCC sees new
// meet free and warns.
[[gnu::noinline]] void* operator new(std::size_t size) {
  return counted(size);
}
[[gnu::noinline]] void* operator new[](std::size_t size) {
  return counted(size);
}
[[gnu::noinline]] void operator delete(void* memory) noexcept {
  std::free(memory);
}
[[gnu::noinline]] void operator delete[](void* memory) noexcept {
  std::free(memory);
}
[[gnu::noinline]] void operator delete(void* memory, std::size_t /*size*/) noexcept {
  std::free(memory);
}
[[gnu::noinline]] void operator delete[](void* memory, std::size_t /*size*/) noexcept {
  std::free(memory);
}

namespace spawnpool {
namespace {

// A handler that answers which route it stands for; another type for every text.
template <char Name>
void answer(RequestContext& context) {
  static constexpr std::array<char, 1> text = {Name};
  context.response.body = {text.data(), text.size()};
}

// One request after another through a router.
class RouterTest : public testing::Test {
 protected:
  const Response& route(verb method, std::string_view path) {
    context.reset();
    context.request.method = method;
    context.request.path = path;
    router.handle(context);
    return context.response;
  }
  std::string_view get(std::string_view path) { return route(verb::get, path).body; }

  Router router;
  StopEvent stop;
  std::array<char, 256> scratch;
  RequestContext context{stop, scratch};
};

TEST_F(RouterTest, FindsStaticPathsExactly) {
  router.add(verb::get, "/", answer<'r'>);
  router.add(verb::get, "/a", answer<'a'>);
  router.add(verb::get, "/a/", answer<'s'>);
  router.add(verb::get, "/a/b", answer<'b'>);
  EXPECT_EQ(get("/"), "r");
  EXPECT_EQ(get("/a"), "a");
  EXPECT_EQ(get("/a/"), "s");
  EXPECT_EQ(get("/a/b"), "b");
  for (const std::string_view path :
       {"//", "/A", "/a//", "//a", "/a/b/", "/a/b/c", "/b", "/%61", "/aa", "/a/.", "/./a"}) {
    EXPECT_EQ(route(verb::get, path).status, 404U) << path;
  }
}

TEST_F(RouterTest, BindsParameters) {
  router.add(verb::get, "/users/{user}/posts/{post:uint}", answer<'p'>);
  EXPECT_EQ(get("/users/ann%20b/posts/007"), "p");
  ASSERT_EQ(context.parameters.size(), 2U);
  EXPECT_EQ(context.parameters["user"], "ann%20b") << "not decoded";
  EXPECT_EQ(context.parameters["post"], "007");
  EXPECT_EQ(context.parameters["other"], "");
  EXPECT_EQ(route(verb::get, "/users//posts/7").status, 404U) << "an empty segment is no value";
}

TEST_F(RouterTest, ChecksTypes) {
  router.add(verb::get, "/{n:uint}", answer<'n'>);
  EXPECT_EQ(get("/0"), "n");
  EXPECT_EQ(get("/18446744073709551615"), "n") << "2^64 - 1";
  for (const std::string_view path : {"/18446744073709551616", "/-1", "/+1", "/1x", "/x", "/",
                                      "/ 1", "/1 ", "/0x1", "/1.0", "/1_0", "/1/"}) {
    EXPECT_EQ(route(verb::get, path).status, 404U) << path;
  }
}

TEST_F(RouterTest, WildcardTakesTheRest) {
  router.add(verb::get, "/files/{path...}", answer<'f'>);
  EXPECT_EQ(get("/files/a/b//c"), "f");
  EXPECT_EQ(context.parameters["path"], "a/b//c");
  EXPECT_EQ(get("/files/"), "f");
  EXPECT_EQ(context.parameters["path"], "");
  EXPECT_EQ(context.parameters.size(), 1U);
  EXPECT_EQ(route(verb::get, "/files").status, 404U);
  EXPECT_EQ(route(verb::get, "/filesystem/a").status, 404U);
}

TEST_F(RouterTest, TheMostSpecificRouteWinsInWhateverOrderTheyAreAdded) {
  router.add(verb::get, "/{path...}", answer<'w'>);
  router.add(verb::get, "/u/{name}", answer<'t'>);
  router.add(verb::get, "/u/{id:uint}", answer<'u'>);
  router.add(verb::get, "/u/me", answer<'m'>);
  router.add(verb::get, "/u/7", answer<'7'>);
  EXPECT_EQ(get("/u/me"), "m");
  EXPECT_EQ(get("/u/7"), "7");
  EXPECT_EQ(get("/u/8"), "u");
  EXPECT_EQ(get("/u/you"), "t");
  EXPECT_EQ(get("/u/you/more"), "w");
  EXPECT_EQ(get("/u/"), "w");
  EXPECT_EQ(get("/"), "w");
}

TEST_F(RouterTest, GoesBackWhenAMoreSpecificBeginningLeadsNowhere) {
  router.add(verb::get, "/a/b/c", answer<'1'>);
  router.add(verb::get, "/a/{x:uint}/d", answer<'2'>);
  router.add(verb::get, "/a/{x}/e", answer<'3'>);
  router.add(verb::get, "/{a}/{b}/{c}", answer<'4'>);
  router.add(verb::get, "/{rest...}", answer<'5'>);
  EXPECT_EQ(get("/a/b/c"), "1");
  EXPECT_EQ(get("/a/1/d"), "2");
  EXPECT_EQ(get("/a/1/e"), "3");
  EXPECT_EQ(context.parameters.size(), 1U) << "none is left of the ways tried before";
  EXPECT_EQ(context.parameters["x"], "1");
  EXPECT_EQ(get("/a/b/x"), "4");
  EXPECT_EQ(context.parameters.size(), 3U);
  EXPECT_EQ(context.parameters["a"], "a");
  EXPECT_EQ(get("/a/b/c/d"), "5");
  EXPECT_EQ(context.parameters.size(), 1U);
  EXPECT_EQ(context.parameters["rest"], "a/b/c/d");
}

TEST_F(RouterTest, ARouteWithoutTheMethodGivesWayToALessSpecificOneWithIt) {
  router.add(verb::get, "/u/me", answer<'m'>);
  router.add(verb::put, "/u/{name}", answer<'t'>);
  router.add(verb::post, "/{path...}", answer<'w'>);
  EXPECT_EQ(get("/u/me"), "m");
  EXPECT_EQ(route(verb::put, "/u/me").body, "t");
  EXPECT_EQ(route(verb::post, "/u/me").body, "w");
  EXPECT_EQ(context.parameters["path"], "u/me");
}

TEST_F(RouterTest, NotFoundHasABodyAndNoAllow) {
  router.add(verb::get, "/a", answer<'a'>);
  for (const verb method : {verb::get, verb::head, verb::options, verb::trace, verb::propfind}) {
    const Response& response = route(method, "/b");
    EXPECT_EQ(response.status, 404U);
    EXPECT_EQ(response.body, "Not Found\n");
    EXPECT_EQ(response.allow, "");
  }
  EXPECT_EQ(route(verb::get, "/").status, 404U);
}

TEST_F(RouterTest, MethodNotAllowedNamesTheMethodsOfEveryRouteThatMatches) {
  router.add(verb::get, "/u/me", answer<'m'>);
  router.add(verb::put, "/u/{name}", answer<'t'>);
  router.add(verb::delete_, "/u/{id:uint}", answer<'u'>);
  router.add(verb::patch, "/{path...}", answer<'w'>);
  EXPECT_EQ(route(verb::post, "/u/me").status, 405U);
  EXPECT_EQ(route(verb::post, "/u/me").allow, "GET, HEAD, OPTIONS, PATCH, PUT");
  EXPECT_EQ(route(verb::post, "/u/7").allow, "DELETE, OPTIONS, PATCH, PUT");
  EXPECT_EQ(route(verb::post, "/else").allow, "OPTIONS, PATCH");
  EXPECT_EQ(route(verb::head, "/else").status, 405U);
  EXPECT_EQ(context.parameters.size(), 0U);
}

TEST_F(RouterTest, TraceAndMethodsOutOfTheListAreNotAllowed) {
  router.add(verb::get, "/", answer<'r'>);
  for (const verb method : {verb::trace, verb::propfind, verb::lock}) {
    EXPECT_EQ(route(method, "/").status, 405U);
    EXPECT_EQ(context.response.allow, "GET, HEAD, OPTIONS");
  }
  EXPECT_THROW(router.add(verb::trace, "/", answer<'t'>), std::invalid_argument);
  EXPECT_THROW(router.add(verb::connect, "/", answer<'t'>), std::invalid_argument);
  EXPECT_THROW(router.add(verb::unknown, "/", answer<'t'>), std::invalid_argument);
}

TEST_F(RouterTest, HeadIsAnsweredByGetUnlessItHasItsOwnRoute) {
  router.add(verb::get, "/a", answer<'g'>);
  router.add(verb::get, "/b", answer<'g'>);
  router.add(verb::head, "/b", answer<'h'>);
  router.add(verb::post, "/c", answer<'p'>);
  EXPECT_EQ(route(verb::head, "/a").body, "g");
  EXPECT_EQ(route(verb::head, "/b").body, "h");
  EXPECT_EQ(get("/b"), "g");
  EXPECT_EQ(route(verb::head, "/c").status, 405U);
}

TEST_F(RouterTest, OptionsIsAnsweredUnlessItHasItsOwnRoute) {
  router.add(verb::get, "/a", answer<'g'>);
  router.add(verb::post, "/a", answer<'p'>);
  router.add(verb::options, "/b", answer<'o'>);
  const Response& response = route(verb::options, "/a");
  EXPECT_EQ(response.status, 204U);
  EXPECT_EQ(response.allow, "GET, HEAD, OPTIONS, POST");
  EXPECT_EQ(response.body, "");
  EXPECT_EQ(route(verb::options, "/b").body, "o");
}

TEST_F(RouterTest, OptionsOfTheServerNamesTheMethodsOfAllRoutes) {
  router.add(verb::put, "/a", answer<'g'>);
  EXPECT_EQ(route(verb::options, "*").status, 204U);
  EXPECT_EQ(context.response.allow, "OPTIONS, PUT");
  for (const verb method :
       {verb::get, verb::head, verb::post, verb::patch, verb::delete_, verb::options}) {
    router.add(method, "/{path...}", answer<'w'>);
  }
  EXPECT_EQ(route(verb::options, "*").allow, "DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT");
}

TEST_F(RouterTest, RefusesMalformedPatterns) {
  for (const char* pattern : {"",          "a",
                              "a/b",       "*",
                              "/a{b}",     "/{a}b",
                              "/{a",       "/a}",
                              "/{}",       "/{:uint}",
                              "/{...}",    "/{a:int}",
                              "/{a:}",     "/{a:uint...}",
                              "/{a...}/b", "/{a...}/",
                              "/{a{b}}",   "/{a.b}",
                              "/{{a}}",    "/{a}/{b}/{c}/{d}/{e}/{f}/{g}/{h}/{i}"}) {
    EXPECT_THROW(router.add(verb::get, pattern, answer<'x'>), std::invalid_argument) << pattern;
  }
}

TEST_F(RouterTest, RefusesWhatIsThereAlready) {
  router.add(verb::get, "/a/{b}", answer<'1'>);
  router.add(verb::get, "/a/{b:uint}", answer<'2'>);
  router.add(verb::get, "/a/{b...}", answer<'3'>);
  router.add(verb::post, "/a/{b}", answer<'4'>);
  for (const char* pattern : {"/a/{b}", "/a/{b:uint}", "/a/{b...}"}) {
    EXPECT_THROW(router.add(verb::get, pattern, answer<'x'>), std::invalid_argument) << pattern;
  }
  EXPECT_THROW(router.add(verb::put, "/a/{other}", answer<'x'>), std::invalid_argument)
      << "one place, one name";
  try {
    router.add(verb::get, "/a/{b}", answer<'x'>);
    FAIL();
  } catch (const std::invalid_argument& error) {
    EXPECT_STREQ(error.what(), "route /a/{b}: exists already");
  }
}

TEST_F(RouterTest, TakesAsManyParametersAsThereIsRoomFor) {
  router.add(verb::get, "/{a}/{b}/{c}/{d}/{e}/{f}/{g}/{h}", answer<'8'>);
  EXPECT_EQ(get("/1/2/3/4/5/6/7/8"), "8");
  EXPECT_EQ(context.parameters.size(), PathParameters::capacity);
  EXPECT_EQ(context.parameters["h"], "8");
}

TEST_F(RouterTest, AllocatesNothingPerLookup) {
  router.add(verb::get, "/", answer<'r'>);
  router.add(verb::get, "/users/{id:uint}/posts/{post}", answer<'p'>);
  router.add(verb::get, "/files/{path...}", answer<'f'>);
  const std::string long_path = "/files/" + std::string(1000, 'x');
  const std::size_t before = allocations.load();
  get("/");
  get("/users/7/posts/a-long-name-that-would-not-fit-into-a-small-string");
  get(long_path);
  get("/nowhere/to/be/found");
  route(verb::post, "/files/a");
  route(verb::options, "/users/7/posts/1");
  route(verb::options, "*");
  EXPECT_EQ(allocations.load() - before, 0U);
  router.add(verb::get, "/a-segment-that-fits-no-small-string", answer<'c'>);
  EXPECT_GT(allocations.load() - before, 0U) << "or the count is none";
}

}  // namespace
}  // namespace spawnpool
