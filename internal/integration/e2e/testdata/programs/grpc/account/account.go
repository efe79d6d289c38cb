// Package account is how a program here writes down what it did: one JSON line for each request, on standard output.
package account

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
)

// End is one end of a connection.
type End struct {
	Address string `json:"address"`
	Port    uint16 `json:"port"`
}

// Account is the report of a request.
type Account struct {
	PID     int    `json:"pid"`
	Role    string `json:"role"`
	Method  string `json:"method"`
	Target  string `json:"target"`
	Status  int    `json:"status"`
	Version string `json:"version"`
	Local   End    `json:"local"`
	Peer    End    `json:"peer"`
}

// Report writes the account of a request on a connection. Role is client or server.
func Report(role, method, target string, status int, version string, conn net.Conn) {
	line, err := json.Marshal(Account{
		PID: os.Getpid(), Role: role, Method: method, Target: target, Status: status, Version: version,
		Local: endOf(conn.LocalAddr()), Peer: endOf(conn.RemoteAddr()),
	})
	Check(err)
	_, err = os.Stdout.Write(append(line, '\n')) // in one call: lines of several goroutines do not mix
	Check(err)
}

func endOf(a net.Addr) End {
	address := netip.MustParseAddrPort(a.String())
	return End{Address: address.Addr().Unmap().String(), Port: address.Port()}
}

// Answering answers the requests of a connection with the status that the query wants, else 200, and reports each.
func Answering(conn net.Conn) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		status := http.StatusOK
		if text := r.URL.Query().Get("status"); text != "" {
			_, err := fmt.Sscan(text, &status)
			Check(err)
		}
		Report("server", r.Method, r.RequestURI, status, Version(r.Proto), conn)
		w.WriteHeader(status)
		_, _ = w.Write([]byte("hello\n")) // the client reports an incomplete answer
	})
}

// Ask sends n requests below a path, one after the other, over a connection, and reports each.
func Ask(over http.RoundTripper, conn net.Conn, path string, n int) {
	for i := range n {
		target := fmt.Sprintf("%s/%d?status=%d", path, i, []int{200, 404, 503}[i%3])
		request, err := http.NewRequest(http.MethodGet, "http://"+conn.RemoteAddr().String()+target, nil)
		Check(err)
		response, err := over.RoundTrip(request)
		Check(err)
		_, err = io.Copy(io.Discard, response.Body)
		Check(err)
		Check(response.Body.Close())
		Report("client", request.Method, target, response.StatusCode, Version(response.Proto), conn)
	}
}

// Version of a protocol named like "HTTP/1.1".
func Version(proto string) string {
	return strings.TrimSuffix(strings.TrimPrefix(proto, "HTTP/"), ".0")
}

// Check ends the program if there is an error.
func Check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, filepath.Base(os.Args[0])+":", err)
		os.Exit(1)
	}
}
