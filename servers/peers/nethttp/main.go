// peer-nethttp serves the benchmark's routes with Go's net/http: a goroutine per connection.
package main

import (
	"context"
	"io"
	"net/http"
	"sort"
	"strconv"
	"strings"
	"time"

	"spawnpool/peer"
)

func main() {
	options := peer.ParseOptions("Serves the benchmark's routes with Go's net/http.", 0)
	server := &http.Server{Handler: routes()}
	peer.Run("go-net-http", options, server.Serve,
		func() error { return server.Shutdown(context.Background()) })
}

func routes() http.Handler {
	mux := http.NewServeMux()
	handle := func(pattern string, get, post http.HandlerFunc) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			peer.CountRequest()
			byMethod(w, r, get, post)
		})
	}
	handle("/", root(plaintext), root(echoBody))
	handle("/plaintext", plaintext, nil)
	handle("/json", json, nil)
	handle("/echo", echoFields, echoBody)
	handle("/users/", user, nil)
	handle("/bytes/", bytes, nil)
	handle("/work", work, nil)
	handle("/sleep", sleep, nil)
	return mux
}

func byMethod(w http.ResponseWriter, r *http.Request, get, post http.HandlerFunc) {
	allow := peer.AllowGet
	if post != nil {
		allow = peer.AllowGetPost
	}
	switch {
	case r.Method == http.MethodGet || r.Method == http.MethodHead:
		get(w, r)
	case r.Method == http.MethodPost && post != nil:
		post(w, r)
	case r.Method == http.MethodOptions:
		w.Header().Set("Allow", allow)
		w.WriteHeader(http.StatusNoContent)
	default:
		w.Header().Set("Allow", allow)
		answer(w, http.StatusMethodNotAllowed, peer.MethodNotAllowed)
	}
}

// The mux takes "/" for every path that nothing else matches.
func root(handler http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/" {
			answer(w, http.StatusNotFound, peer.NotFound)
			return
		}
		handler(w, r)
	}
}

func answer(w http.ResponseWriter, status int, body string) {
	w.Header().Set("Content-Type", peer.TypeText)
	w.WriteHeader(status)
	io.WriteString(w, body)
}

// Without a length net/http chunks what is longer than its buffer.
func answerBytes(w http.ResponseWriter, body []byte) {
	w.Header().Set("Content-Type", peer.TypeBytes)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.Write(body)
}

func plaintext(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", peer.TypeText)
	io.WriteString(w, peer.Plaintext)
}

func json(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", peer.TypeJSON)
	io.WriteString(w, peer.JSON)
}

func echoBody(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		answer(w, http.StatusBadRequest, err.Error()+"\n")
		return
	}
	answerBytes(w, body)
}

// net/http keeps the fields in a map, Host apart: they come sorted and in canonical spelling.
func echoFields(w http.ResponseWriter, r *http.Request) {
	lines := []string{"Host: " + r.Host + "\n"}
	for name, values := range r.Header {
		for _, value := range values {
			lines = append(lines, name+": "+value+"\n")
		}
	}
	sort.Strings(lines)
	answer(w, http.StatusOK, strings.Join(lines, ""))
}

func user(w http.ResponseWriter, r *http.Request) {
	id := strings.TrimPrefix(r.URL.Path, "/users/")
	if _, ok := peer.ParseUint(id); !ok {
		answer(w, http.StatusNotFound, peer.NotFound)
		return
	}
	answer(w, http.StatusOK, id)
}

func bytes(w http.ResponseWriter, r *http.Request) {
	count, ok := peer.ParseUint(strings.TrimPrefix(r.URL.Path, "/bytes/"))
	if !ok {
		answer(w, http.StatusNotFound, peer.NotFound)
	} else if count > peer.MaxBytes {
		answer(w, http.StatusBadRequest, peer.BadBytes)
	} else {
		answerBytes(w, peer.Source[:count])
	}
}

func work(w http.ResponseWriter, r *http.Request) {
	us, ok := peer.ParseUint(r.URL.Query().Get("us"))
	if !ok || us > peer.MaxWorkUs {
		answer(w, http.StatusBadRequest, peer.BadWork)
		return
	}
	peer.BurnCPU(us)
	answer(w, http.StatusOK, peer.Done)
}

func sleep(w http.ResponseWriter, r *http.Request) {
	ms, ok := peer.ParseUint(r.URL.Query().Get("ms"))
	if !ok || ms > peer.MaxSleepMs {
		answer(w, http.StatusBadRequest, peer.BadSleep)
		return
	}
	time.Sleep(time.Duration(ms) * time.Millisecond)
	answer(w, http.StatusOK, peer.Done)
}
