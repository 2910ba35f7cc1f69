package peer

import (
	"bytes"
	"runtime"
	"strconv"
	"syscall"
	"time"
	"unsafe"
)

// What the routes answer; servers/handlers.cpp has the same.
const (
	Plaintext = "Hello, World!"
	JSON      = `{"message":"Hello, World!"}`
	Done      = "done\n"

	NotFound         = "Not Found\n"
	MethodNotAllowed = "Method Not Allowed\n"
	BadBytes         = "/bytes/{n}: n is at most 1048576\n"
	BadWork          = "/work?us=N: N is a whole number, at most 10000000\n"
	BadSleep         = "/sleep?ms=N: N is a whole number, at most 60000\n"

	MaxBytes   = 1024 * 1024
	MaxWorkUs  = 10000000
	MaxSleepMs = 60000

	TypeText  = "text/plain"
	TypeJSON  = "application/json"
	TypeBytes = "application/octet-stream"

	AllowGet     = "GET, HEAD, OPTIONS"
	AllowGetPost = "GET, HEAD, OPTIONS, POST"
)

// Source holds what /bytes/{n} answers a part of.
var Source = bytes.Repeat([]byte{'x'}, MaxBytes)

// ParseUint reads decimal digits that fit 64 bits.
func ParseUint(text string) (uint64, bool) {
	value, err := strconv.ParseUint(text, 10, 64)
	return value, err == nil
}

// BurnCPU uses us microseconds of CPU time. The goroutine keeps its thread for as long, because
// only threads have a clock of their CPU time.
func BurnCPU(us uint64) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	// The thread's clock is a system call, time.Now is not, and the thread's never runs faster: it is looked
	// at when its time can have passed. So the burning is user time, and costs two calls, more only where
	// something else had the CPU meanwhile.
	missing := time.Duration(us) * time.Microsecond
	for end := threadCPUTime() + missing; missing > 0; missing = end - threadCPUTime() {
		for began := time.Now(); time.Since(began) < missing; {
		}
	}
}

func threadCPUTime() time.Duration {
	const clockThreadCPUTimeID = 3 // CLOCK_THREAD_CPUTIME_ID of <time.h>
	var now syscall.Timespec
	// Cannot fail. Raw, because the scheduler need not hear of a call that does not block.
	syscall.RawSyscall(syscall.SYS_CLOCK_GETTIME, clockThreadCPUTimeID, uintptr(unsafe.Pointer(&now)), 0)
	return time.Duration(now.Nano())
}
