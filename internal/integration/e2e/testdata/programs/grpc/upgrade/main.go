// Command upgrade is a web server that takes a client's offer to go on in HTTP/2 (RFC 7540 section 3.2, which RFC 9113 has
// dropped and clients have not). It writes down what it did: one JSON line a request, on standard output.
//
//	upgrade 127.0.0.1:8080
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/h2c"
)

// end is one end of a connection.
type end struct {
	Address string `json:"address"`
	Port    uint16 `json:"port"`
}

func endOf(a string) end {
	address := netip.MustParseAddrPort(a)
	return end{Address: address.Addr().String(), Port: address.Port()}
}

// account is the report of a request.
type account struct {
	PID     int    `json:"pid"`
	Role    string `json:"role"`
	Method  string `json:"method"`
	Target  string `json:"target"`
	Status  int    `json:"status"`
	Version string `json:"version"`
	Local   end    `json:"local"`
	Peer    end    `json:"peer"`
}

func answer(w http.ResponseWriter, r *http.Request) {
	_, err := io.Copy(io.Discard, r.Body)
	check(err)
	code := http.StatusOK
	if text := r.URL.Query().Get("status"); text != "" {
		_, err = fmt.Sscan(text, &code)
		check(err)
	}
	line, err := json.Marshal(account{
		PID: os.Getpid(), Role: "server", Method: r.Method, Target: r.RequestURI, Status: code,
		Version: strings.TrimSuffix(strings.TrimPrefix(r.Proto, "HTTP/"), ".0"),
		Local:   endOf(r.Context().Value(http.LocalAddrContextKey).(net.Addr).String()), Peer: endOf(r.RemoteAddr),
	})
	check(err)
	_, err = os.Stdout.Write(append(line, '\n'))
	check(err)
	w.WriteHeader(code)
	if code != http.StatusNoContent && r.Method != http.MethodHead {
		_, _ = io.WriteString(w, "hello\n")
	}
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "upgrade:", err)
		os.Exit(1)
	}
}

func main() {
	server := http.Server{
		Addr: os.Args[1], ReadHeaderTimeout: time.Minute,
		Handler: h2c.NewHandler(http.HandlerFunc(answer), &http2.Server{}),
	}
	check(server.ListenAndServe())
}
