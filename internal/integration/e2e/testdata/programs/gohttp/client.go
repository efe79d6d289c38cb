package main

import (
	"bufio"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"os"
	"strings"
	"sync"
)

// ask sends the requests that standard input lists, one a line:
//
//	POST /path?query 70000 chunked 00-…-…-01
//
// which are the method, the target, the size of the body, how it is framed (length or chunked), and the traceparent, or "-".
func ask(address string, arguments []string) {
	flags := flag.NewFlagSet("client", flag.ExitOnError)
	connections := flags.Int("connections", 1, "HTTP/1.1: connections, each kept alive")
	together := flags.Bool("together", false, "nobody sends a second request before all have their first answer")
	streams := flags.Int("streams", 0, "HTTP/2: at most so many requests at a time, on one connection")
	check(flags.Parse(arguments))

	askers := *connections
	if *streams > 0 {
		askers = *streams
	}
	plan := make(chan string)
	var first, all sync.WaitGroup
	first.Add(askers)
	shared := newClient(true)
	ready := make(chan struct{})
	for i := range askers {
		all.Go(func() {
			client := shared
			if *streams == 0 {
				client = newClient(false)
			} else if i > 0 {
				<-ready // there is a connection, and its server has said how many streams it allows
			}
			asked := 0
			for line := range plan {
				check(exchange(client, address, line))
				if asked++; asked == 1 {
					if i == 0 {
						close(ready)
					}
					first.Done()
					if *together {
						first.Wait()
					}
				}
			}
		})
	}
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		plan <- lines.Text()
	}
	check(lines.Err())
	close(plan)
	all.Wait()
}

func newClient(http2 bool) *http.Client {
	transport := &http.Transport{MaxConnsPerHost: 1, Protocols: new(http.Protocols), DisableCompression: true}
	switch {
	case !http2:
		transport.Protocols.SetHTTP1(true)
	case certificate != "":
		transport.Protocols.SetHTTP2(true)
	default:
		transport.Protocols.SetUnencryptedHTTP2(true)
	}
	transport.TLSClientConfig = &tls.Config{InsecureSkipVerify: true} //nolint:gosec // who the server is does not matter here
	return &http.Client{
		Timeout: patience, Transport: transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

func scheme() string {
	if certificate != "" {
		return "https://"
	}
	return "http://"
}

func exchange(client *http.Client, address, line string) error {
	var method, target, framing, traceparent string
	var size int64
	if _, err := fmt.Sscan(line, &method, &target, &size, &framing, &traceparent); err != nil {
		return err
	}
	var body io.Reader
	if size > 0 {
		body = io.LimitReader(zeros{}, size)
	}
	request, err := http.NewRequest(method, scheme()+address+target, body)
	if err != nil {
		return err
	}
	if framing == "length" {
		request.ContentLength = size
	}
	made := account{Role: "client", Method: method, Target: target}
	if traceparent != "-" {
		request.Header.Set("Traceparent", traceparent)
		made.Traceparent = traceparent
	}
	request = request.WithContext(httptrace.WithClientTrace(request.Context(), &httptrace.ClientTrace{
		GotConn: func(i httptrace.GotConnInfo) {
			made.Local, made.Peer = endOf(i.Conn.LocalAddr()), endOf(i.Conn.RemoteAddr())
		},
	}))
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, response.Body)
	made.Status, made.Version = response.StatusCode, version(response.Proto)
	made.report()
	return errors.Join(err, response.Body.Close())
}

// zeros are without end.
type zeros struct{}

func (zeros) Read(b []byte) (int, error) { return copy(b, strings.Repeat("0", len(b))), nil }
