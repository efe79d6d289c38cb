// Command gohttp is a service of net/http, which makes its calls with net/http.
package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

var (
	backend, _ = strconv.Atoi(os.Getenv("BACKEND"))
	client     = &http.Client{Transport: &http.Transport{
		DisableKeepAlives: os.Getenv("STYLE") == "new", MaxIdleConnsPerHost: 2000, IdleConnTimeout: time.Minute,
	}}
)

func call(ctx context.Context, id int, k int) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("http://127.0.0.1:%d/c/%d/%d", backend, id, k), nil) //nolint:gosec // made of numbers
	if err != nil {
		return "", err
	}
	if os.Getenv("REQUEST_IDS") != "" {
		request.Header.Set("X-Request-ID", fmt.Sprint("causality-", id)) // as the request has it
	}
	response, err := client.Do(request) //nolint:gosec // of the backend
	if err != nil {
		return "", err
	}
	defer response.Body.Close() //nolint:errcheck // read only
	text, err := io.ReadAll(response.Body)
	return string(text), err
}

// afterwards are the ids of requests of which a goroutine makes a call that all of them share. The first request starts it.
var (
	afterwards = make(chan int, 1<<16)
	sharing    sync.Once
)

func callAfterwards() {
	for id := range afterwards {
		_, _ = call(context.Background(), id, 2)
	}
}

// background makes one call, and leaves two to others.
func background(ctx context.Context, id int) ([]string, error) {
	unbound := context.WithoutCancel(ctx)
	go func() {
		time.Sleep(time.Duration(1+id%5) * time.Millisecond)
		_, _ = call(unbound, id, 1)
	}()
	sharing.Do(func() { go callAfterwards() })
	afterwards <- id
	text, err := call(ctx, id, 0)
	return []string{text, fmt.Sprintf("/c/%d/1", id), fmt.Sprintf("/c/%d/2", id)}, err
}

// calls returns the answers in their order.
func calls(ctx context.Context, id int) ([]string, error) {
	answers := make([]string, 3)
	failures := make([]error, 3)
	switch os.Getenv("CALLS") {
	case "delayed":
		time.Sleep(time.Duration(1+id%5) * time.Millisecond)
		fallthrough
	case "one":
		text, err := call(ctx, id, 0)
		return []string{text}, err
	case "background":
		return background(ctx, id)
	case "sequential":
		for k := range answers {
			var err error
			if answers[k], err = call(ctx, id, k); err != nil {
				return nil, err
			}
		}
		return answers, nil
	}
	var running sync.WaitGroup
	for k := range answers {
		running.Go(func() { answers[k], failures[k] = call(ctx, id, k) })
	}
	running.Wait()
	for _, err := range failures {
		if err != nil {
			return nil, err
		}
	}
	return answers, nil
}

func main() {
	http.HandleFunc("GET /r/{id}", func(w http.ResponseWriter, r *http.Request) {
		id, err := strconv.Atoi(r.PathValue("id"))
		if err != nil {
			http.NotFound(w, r)
			return
		}
		answers, err := calls(r.Context(), id)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		_, _ = io.WriteString(w, strings.Join(answers, ","))
	})
	server := http.Server{Addr: "127.0.0.1:" + os.Getenv("LISTEN"), ReadHeaderTimeout: time.Minute}
	log.Fatal(server.ListenAndServe())
}
