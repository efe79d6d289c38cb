package main

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"
)

// patience bounds every wait.
const patience = 60 * time.Second

// serve answers as the query of a request asks for:
//
//	status=404    with this status; without it with 200
//	bytes=70000   with a body of this size; without it of 6 bytes
//	framing=chunked    in chunks, not with a Content-Length
//	together=100  not before so many requests with this query have come
func serve(address string) {
	// "tcp", not "tcp4" or "tcp6": the usual choice of programs.
	listener, err := net.Listen("tcp", address)
	check(err)
	server := http.Server{
		Handler:           http.HandlerFunc(answer),
		Protocols:         new(http.Protocols),
		HTTP2:             &http.HTTP2Config{MaxConcurrentStreams: 2000},
		ReadHeaderTimeout: patience,
	}
	server.Protocols.SetHTTP1(true)
	if certificate != "" {
		server.Protocols.SetHTTP2(true)
		check(server.ServeTLS(listener, certificate, key))
	}
	server.Protocols.SetUnencryptedHTTP2(true)
	check(server.Serve(listener))
}

func answer(w http.ResponseWriter, r *http.Request) {
	if _, err := io.Copy(io.Discard, r.Body); err != nil {
		fmt.Println(err) // not an account: the test fails
		return
	}
	query := r.URL.Query()
	gather(query.Get("together"))
	status := number(query, "status", http.StatusOK)
	peer, err := net.ResolveTCPAddr("tcp", r.RemoteAddr)
	check(err)
	made := account{
		Role: "server", Method: r.Method, Target: r.RequestURI, Status: status, Version: version(r.Proto),
		Local: endOf(r.Context().Value(http.LocalAddrContextKey).(net.Addr)), Peer: endOf(peer),
		Traceparent: r.Header.Get("Traceparent"),
	}
	made.report() // before the answer: the client may read the account once it has the answer
	size := number(query, "bytes", 6)
	switch {
	case status == http.StatusNoContent:
		w.WriteHeader(status)
		return
	case status/100 == 3:
		w.Header().Set("Location", "/elsewhere")
	}
	if query.Get("framing") != "chunked" {
		w.Header().Set("Content-Length", strconv.Itoa(size))
	}
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(bytes.Repeat([]byte("x"), size)) // the client reports an incomplete answer
	}
}

func number(query url.Values, key string, otherwise int) int {
	if text := query.Get(key); text != "" {
		n, err := strconv.Atoi(text)
		check(err)
		return n
	}
	return otherwise
}

// gathering is where requests wait for each other.
type gathering struct {
	missing int
	all     chan struct{}
}

var (
	gatheringsMu sync.Mutex
	gatherings   = map[string]*gathering{}
)

// gather returns when so many have called it with this number.
func gather(count string) {
	if count == "" {
		return
	}
	n, err := strconv.Atoi(count)
	check(err)
	gatheringsMu.Lock()
	g := gatherings[count]
	if g == nil {
		g = &gathering{missing: n, all: make(chan struct{})}
		gatherings[count] = g
	}
	if g.missing--; g.missing == 0 {
		close(g.all)
	}
	gatheringsMu.Unlock()
	select {
	case <-g.all:
	case <-time.After(patience):
		check(fmt.Errorf("waited %v for %d requests", patience, n))
	}
}
