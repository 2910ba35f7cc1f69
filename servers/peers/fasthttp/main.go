// peer-fasthttp serves the benchmark's routes with fasthttp: a pool of workers.
package main

import (
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"spawnpool/peer"
)

func main() {
	options := peer.ParseOptions("Serves the benchmark's routes with fasthttp.", fasthttp.DefaultConcurrency)
	server := &fasthttp.Server{Handler: handle, Concurrency: options.Workers}
	peer.Run("go-fasthttp", options, server.Serve, server.Shutdown)
}

func handle(ctx *fasthttp.RequestCtx) {
	peer.CountRequest()
	path := string(ctx.Path())
	switch path {
	case "/":
		byMethod(ctx, plaintext, echoBody)
	case "/plaintext":
		byMethod(ctx, plaintext, nil)
	case "/json":
		byMethod(ctx, json, nil)
	case "/echo":
		byMethod(ctx, echoFields, echoBody)
	case "/work":
		byMethod(ctx, work, nil)
	case "/sleep":
		byMethod(ctx, sleep, nil)
	default:
		if strings.HasPrefix(path, "/users/") {
			byMethod(ctx, user, nil)
		} else if strings.HasPrefix(path, "/bytes/") {
			byMethod(ctx, bytes, nil)
		} else {
			answer(ctx, fasthttp.StatusNotFound, peer.NotFound)
		}
	}
}

func byMethod(ctx *fasthttp.RequestCtx, get, post fasthttp.RequestHandler) {
	allow := peer.AllowGet
	if post != nil {
		allow = peer.AllowGetPost
	}
	switch {
	case ctx.IsGet() || ctx.IsHead():
		get(ctx)
	case ctx.IsPost() && post != nil:
		post(ctx)
	case ctx.IsOptions():
		ctx.Response.Header.Set("Allow", allow)
		ctx.SetStatusCode(fasthttp.StatusNoContent)
	default:
		ctx.Response.Header.Set("Allow", allow)
		answer(ctx, fasthttp.StatusMethodNotAllowed, peer.MethodNotAllowed)
	}
}

func answer(ctx *fasthttp.RequestCtx, status int, body string) {
	ctx.SetContentType(peer.TypeText)
	ctx.SetStatusCode(status)
	ctx.SetBodyString(body)
}

func plaintext(ctx *fasthttp.RequestCtx) {
	ctx.SetContentType(peer.TypeText)
	ctx.SetBodyString(peer.Plaintext)
}

func json(ctx *fasthttp.RequestCtx) {
	ctx.SetContentType(peer.TypeJSON)
	ctx.SetBodyString(peer.JSON)
}

func echoBody(ctx *fasthttp.RequestCtx) {
	ctx.SetContentType(peer.TypeBytes)
	ctx.SetBody(ctx.PostBody())
}

// fasthttp visits Host and other fields that it knows first, all in canonical spelling.
func echoFields(ctx *fasthttp.RequestCtx) {
	ctx.SetContentType(peer.TypeText)
	ctx.Request.Header.VisitAll(func(name, value []byte) {
		ctx.Write(name)
		ctx.WriteString(": ")
		ctx.Write(value)
		ctx.WriteString("\n")
	})
}

func user(ctx *fasthttp.RequestCtx) {
	id := strings.TrimPrefix(string(ctx.Path()), "/users/")
	if _, ok := peer.ParseUint(id); !ok {
		answer(ctx, fasthttp.StatusNotFound, peer.NotFound)
		return
	}
	answer(ctx, fasthttp.StatusOK, id)
}

func bytes(ctx *fasthttp.RequestCtx) {
	count, ok := peer.ParseUint(strings.TrimPrefix(string(ctx.Path()), "/bytes/"))
	if !ok {
		answer(ctx, fasthttp.StatusNotFound, peer.NotFound)
	} else if count > peer.MaxBytes {
		answer(ctx, fasthttp.StatusBadRequest, peer.BadBytes)
	} else {
		ctx.SetContentType(peer.TypeBytes)
		ctx.Response.SetBodyRaw(peer.Source[:count]) // sent from where it lies, as net/http does
	}
}

func work(ctx *fasthttp.RequestCtx) {
	us, ok := peer.ParseUint(string(ctx.QueryArgs().Peek("us")))
	if !ok || us > peer.MaxWorkUs {
		answer(ctx, fasthttp.StatusBadRequest, peer.BadWork)
		return
	}
	peer.BurnCPU(us)
	answer(ctx, fasthttp.StatusOK, peer.Done)
}

func sleep(ctx *fasthttp.RequestCtx) {
	ms, ok := peer.ParseUint(string(ctx.QueryArgs().Peek("ms")))
	if !ok || ms > peer.MaxSleepMs {
		answer(ctx, fasthttp.StatusBadRequest, peer.BadSleep)
		return
	}
	time.Sleep(time.Duration(ms) * time.Millisecond)
	answer(ctx, fasthttp.StatusOK, peer.Done)
}
