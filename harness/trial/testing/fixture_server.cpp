// A small HTTP server for the tests of the trial: real sockets and threads, and on request every
// way in which a server can go wrong. A thread per connection; SIGTERM ends it with status 0.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>  // NOLINT(modernize-deprecated-headers): sigwait of POSIX
#include <sys/socket.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <string>
#include <thread>

namespace {

struct Options {
  std::uint16_t port = 0;
  bool ready_line = false;
  std::string body = "Hello, World!";
  unsigned status = 200;
  unsigned work_us = 0;      // CPU time per answer
  unsigned delay_ms = 0;     // time before each answer, asleep
  unsigned die_after = 0;    // answers, then SIGKILL to itself
  unsigned stall_after = 0;  // answers, then none ever again
  unsigned crowd = 0;        // connections at once, above which the status is 503
  unsigned chunks = 0;       // send the body followed by that many chunks of one byte
  unsigned allocate = 0;     // bytes allocated per request
  unsigned allocate_per_connection = 0;
  unsigned syscalls = 0;  // getppid calls per request
  int exit_at_start = -1;
  int exit_at_end = 0;
  std::string complaint;  // on stderr at the start
  std::string pid_file;   // receives the pids of the server and its child, one per line
  bool never_listen = false;
  bool ignore_sigterm = false;
  bool garbage = false;   // answers that are no HTTP
  bool truncate = false;  // half an answer, then the end of the connection
  bool close_silently = false;
  bool never_close = false;
  bool always_close = false;
  bool echo_request = false;  // answers with the request; 400 when it is not the same as the first
  bool child = false;         // forks a child that does nothing, in the same group
  bool daemon = false;        // forks a child in a session of its own
};

std::atomic<unsigned> answers{0};
std::atomic<unsigned> connections{0};

void spin(unsigned microseconds) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::microseconds(microseconds);
  while (std::chrono::steady_clock::now() < end) {
  }
}

std::string response(const Options& options, unsigned status, const std::string& body, bool close) {
  if (options.garbage) {
    return "I do not speak HTTP\r\n\r\n";
  }
  std::string head = "HTTP/1.1 " + std::to_string(status) + " Status\r\n";
  if (options.chunks > 0) {
    head += "Transfer-Encoding: chunked\r\n\r\n";
    for (unsigned i = 0; i < options.chunks; ++i) {
      head += "1\r\nx\r\n";
    }
    return head + "0\r\n\r\n";
  }
  return head + "Content-Length: " + std::to_string(body.size()) + "\r\n" +
         (close ? "Connection: close\r\n" : "") + "\r\n" + body;
}

bool send_all(int fd, const std::string& data) {
  std::size_t sent = 0;
  while (sent < data.size()) {
    const ssize_t count = send(fd, data.data() + sent, data.size() - sent, MSG_NOSIGNAL);
    if (count <= 0) {
      return false;
    }
    sent += static_cast<std::size_t>(count);
  }
  return true;
}

bool answer(int fd, const Options& options, const std::string& request, bool close) {
  const unsigned number = ++answers;
  if (options.die_after > 0 && number > options.die_after) {
    kill(getpid(), SIGKILL);
  }
  if (options.stall_after > 0 && number > options.stall_after) {
    pause();
  }
  spin(options.work_us);
  unsigned status = options.status;
  if (options.crowd > 0 && connections > options.crowd) {
    status = 503;
  }
  static const std::string first = request;
  if (options.echo_request && request != first) {
    status = 400;
  }
  std::string text =
      response(options, status, options.echo_request ? request : options.body, close);
  if (options.truncate) {
    text.resize(text.size() / 2);
  }
  return send_all(fd, text) && !close && !options.truncate && !options.close_silently;
}

// How many bytes behind the head belong to the request.
std::size_t content_length(std::string_view head) {
  const std::string_view name = "\r\nContent-Length: ";
  const std::size_t at = head.find(name);
  return at == std::string_view::npos ? 0
                                      : std::stoul(std::string(head.substr(at + name.size(), 9)));
}

// So that the compiler cannot leave the allocation out.
thread_local void* volatile sink = nullptr;

void allocate(unsigned bytes) {
  if (bytes == 0) {
    return;
  }
  sink = ::operator new(bytes);
  ::operator delete(sink);
}

void serve(int fd, const Options& options) {
  ++connections;
  allocate(options.allocate_per_connection);
  std::array<char, 4096> buffer{};
  std::string received;
  received.reserve(2 * buffer.size());  // no allocation depends on how the bytes arrive
  bool open = true;
  while (open) {
    std::size_t end = received.find("\r\n\r\n");
    end = end == std::string::npos
              ? end
              : end + 4 + content_length(std::string_view(received).substr(0, end));
    if (end > received.size()) {
      const ssize_t count = recv(fd, buffer.data(), buffer.size(), 0);
      open = count > 0;
      received.append(buffer.data(), open ? static_cast<std::size_t>(count) : 0);
      continue;
    }
    const std::string request = received.substr(0, end);
    received.erase(0, end);
    const bool asked = request.find("Connection: close") != std::string::npos;
    allocate(options.allocate);
    for (unsigned i = 0; i < options.syscalls; ++i) {
      getppid();
    }
    open = answer(fd, options, request, (asked || options.always_close) && !options.never_close);
  }
  --connections;
  close(fd);
}

// Returns the listening socket with its port put into `options`.
int listen_on(Options& options) {
  const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int on = 1;
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(options.port);
  socklen_t size = sizeof address;
  if (bind(listener, reinterpret_cast<sockaddr*>(&address), size) != 0 ||
      listen(listener, 1024) != 0 ||
      getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size) != 0) {
    std::perror("fixture-server: listen");
    _exit(2);
  }
  options.port = ntohs(address.sin_port);
  return listener;
}

pid_t start_child(const Options& options) {
  const pid_t pid = fork();
  if (pid != 0) {
    return pid;
  }
  if (options.daemon) {
    setsid();
  }
  for (;;) {
    pause();
  }
}

void accept_for_ever(int listener, const Options& options) {
  for (;;) {
    const int fd = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
    if (fd >= 0) {
      std::thread(serve, fd, std::cref(options)).detach();
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App app("test server", "fixture-server");
  app.add_option("--port", options.port);
  app.add_flag("--ready-line", options.ready_line);
  app.add_option("--body", options.body);
  app.add_option("--status", options.status);
  app.add_option("--work-us", options.work_us);
  app.add_option("--die-after", options.die_after);
  app.add_option("--stall-after", options.stall_after);
  app.add_option("--crowd", options.crowd);
  app.add_option("--chunks", options.chunks);
  app.add_option("--allocate", options.allocate);
  app.add_option("--syscalls", options.syscalls);
  app.add_option("--allocate-per-connection", options.allocate_per_connection);
  app.add_option("--exit-at-start", options.exit_at_start);
  app.add_option("--exit-at-end", options.exit_at_end);
  app.add_option("--complaint", options.complaint);
  app.add_option("--pid-file", options.pid_file);
  app.add_flag("--never-listen", options.never_listen);
  app.add_flag("--ignore-sigterm", options.ignore_sigterm);
  app.add_flag("--garbage", options.garbage);
  app.add_flag("--truncate", options.truncate);
  app.add_flag("--close-silently", options.close_silently);
  app.add_flag("--never-close", options.never_close);
  app.add_flag("--always-close", options.always_close);
  app.add_flag("--echo-request", options.echo_request);
  app.add_flag("--child", options.child);
  app.add_flag("--daemon", options.daemon);
  CLI11_PARSE(app, argc, argv);

  sigset_t ending{};
  sigemptyset(&ending);
  sigaddset(&ending, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &ending, nullptr);

  if (!options.complaint.empty()) {
    std::fprintf(stderr, "%s\n", options.complaint.c_str());
  }
  if (options.exit_at_start >= 0) {
    return options.exit_at_start;
  }
  const pid_t child = options.child || options.daemon ? start_child(options) : 0;
  const int listener = options.never_listen ? -1 : listen_on(options);
  if (!options.pid_file.empty()) {
    std::ofstream(options.pid_file + ".part") << getpid() << '\n' << child << '\n';
    std::rename((options.pid_file + ".part").c_str(), options.pid_file.c_str());
  }
  if (listener >= 0) {
    std::thread(accept_for_ever, listener, std::cref(options)).detach();
  }
  if (options.ready_line && listener >= 0) {
    std::printf("{\"event\":\"ready\",\"address\":\"127.0.0.1\",\"port\":%u}\n",
                unsigned{options.port});
    std::fflush(stdout);
  }
  int signal = 0;
  do {
    sigwait(&ending, &signal);
  } while (options.ignore_sigterm);
  if (options.ready_line) {
    std::printf("{\"event\":\"exit\",\"counters\":{\"requests\":%u,\"threads_started\":7}}\n",
                answers.load());
    std::fflush(stdout);
  }
  _exit(options.exit_at_end);
}
