// Package peer is what the Go servers have in common besides their routes: the command line, the
// lines on stdout, the signals and the counters. The servers themselves are their libraries' own.
package peer

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"
)

// DrainTimeout is how long requests under way may take after SIGTERM before they are cut.
const DrainTimeout = 3 * time.Second

// Version of the project, and what the server is made with besides Go ("fasthttp 1.31.0, "), are
// set by the linker.
var Version, Library string

var accepted, requests uint64

// CountRequest is called by a server for each request that reaches its handler. Safe for
// concurrent use.
func CountRequest() { atomic.AddUint64(&requests, 1) }

// Options are the command line's values.
type Options struct {
	Address string
	Port    int
	Workers int // most connections served at once; only where a limit exists
}

// ParseOptions reads the command line, with --workers if defaultWorkers is not 0. It ends the process for
// --help and --version, and with status 2 and one line on stderr for a mistake.
func ParseOptions(about string, defaultWorkers int) Options {
	var options Options
	flags := flag.NewFlagSet(filepath.Base(os.Args[0]), flag.ContinueOnError)
	flags.StringVar(&options.Address, "address", "127.0.0.1", "`ADDRESS` to listen on")
	flags.IntVar(&options.Port, "port", 0, "`PORT` to listen on, 0 for a free one (default 0)")
	if defaultWorkers != 0 {
		flags.IntVar(&options.Workers, "workers", defaultWorkers, "most connections served at once")
	}
	version := flags.Bool("version", false, "print the version and exit")
	flags.SetOutput(io.Discard)
	switch err := flags.Parse(os.Args[1:]); {
	case errors.Is(err, flag.ErrHelp):
		fmt.Printf("Usage: %s [OPTIONS]\n%s\n", flags.Name(), about)
		flags.SetOutput(os.Stdout)
		flags.PrintDefaults()
		os.Exit(0)
	case err != nil:
		fail(2, "%v (see --help)", err)
	case *version:
		fmt.Printf("%s %s (%s%s)\n", flags.Name(), Version, Library, runtime.Version())
		os.Exit(0)
	case flags.NArg() > 0:
		fail(2, "unexpected argument '%s' (see --help)", flags.Arg(0))
	case options.Port < 0 || options.Port > 65535:
		fail(2, "--port %d is out of range; give 0 to 65535", options.Port)
	case defaultWorkers != 0 && options.Workers < 1:
		fail(2, "--workers %d is out of range; give at least 1", options.Workers)
	}
	return options
}

// Run listens, hands the listener to serve, and returns after SIGTERM or SIGINT when shutdown has
// returned or DrainTimeout has passed. It prints one JSON line when the server is ready, one with
// Go's own allocation counters on each SIGUSR1 (as the first line says), and one with all counters at the end.
func Run(model string, options Options, serve func(net.Listener) error, shutdown func() error) {
	listener, err := net.Listen("tcp", net.JoinHostPort(options.Address, strconv.Itoa(options.Port)))
	if errors.Is(err, syscall.EADDRINUSE) {
		fail(2, "port %d on %s is in use; choose another --port, or 0 for a free one",
			options.Port, options.Address)
	} else if err != nil {
		fail(2, "cannot listen: %v; choose another --address or --port", err)
	}
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGUSR1)
	served := make(chan error, 1)
	go func() { served <- serve(countingListener{listener}) }()

	address := listener.Addr().(*net.TCPAddr)
	printLine(struct {
		Event      string `json:"event"`
		Model      string `json:"model"`
		Address    string `json:"address"`
		Port       int    `json:"port"`
		Pid        int    `json:"pid"`
		Go         string `json:"go"`
		Gomaxprocs int    `json:"gomaxprocs"`
		Memstats   int    `json:"memstats_signal"`
	}{"ready", model, address.IP.String(), address.Port, os.Getpid(), runtime.Version(), runtime.GOMAXPROCS(0),
		int(syscall.SIGUSR1)})

	for {
		select {
		case err := <-served:
			fail(1, "the server ended by itself: %v", err)
		case received := <-signals:
			if received == syscall.SIGUSR1 {
				printLine(struct {
					Event string `json:"event"`
					memory
				}{"memstats", readMemory()})
				continue
			}
			drained := drain(shutdown)
			printLine(struct {
				Event    string   `json:"event"`
				Model    string   `json:"model"`
				Drained  bool     `json:"drained"`
				Counters counters `json:"counters"`
			}{"exit", model, drained, counters{
				atomic.LoadUint64(&accepted), atomic.LoadUint64(&requests), readMemory()}})
			return
		}
	}
}

type memory struct {
	Mallocs    uint64 `json:"mallocs"`
	Frees      uint64 `json:"frees"`
	TotalAlloc uint64 `json:"total_alloc"` // bytes
	NumGC      uint32 `json:"num_gc"`
}

type counters struct {
	Accepted uint64 `json:"accepted"`
	Requests uint64 `json:"requests"`
	memory
}

func readMemory() memory {
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return memory{stats.Mallocs, stats.Frees, stats.TotalAlloc, stats.NumGC}
}

// Hands out the connections as they are, so that the libraries still see a *net.TCPConn.
type countingListener struct{ net.Listener }

func (l countingListener) Accept() (net.Conn, error) {
	connection, err := l.Listener.Accept()
	if err == nil {
		atomic.AddUint64(&accepted, 1)
	}
	return connection, err
}

func drain(shutdown func() error) bool {
	done := make(chan error, 1)
	go func() { done <- shutdown() }()
	select {
	case err := <-done:
		return err == nil
	case <-time.After(DrainTimeout):
		return false
	}
}

func printLine(line interface{}) {
	text, err := json.Marshal(line)
	if err == nil {
		_, err = os.Stdout.Write(append(text, '\n'))
	}
	if err != nil {
		fail(1, "cannot write to stdout: %v", err)
	}
}

func fail(status int, format string, arguments ...interface{}) {
	fmt.Fprintf(os.Stderr, "%s: %s\n", filepath.Base(os.Args[0]), fmt.Sprintf(format, arguments...))
	os.Exit(status)
}
