// Command load places orders in the shop, and compares the traces that Jaeger has of them with what has happened.
//
// It exits with 1 if a span has a wrong parent, or if fewer than 95 % of the orders are one whole trace.
package main

import (
	"flag"
	"fmt"
	"io"
	"log"
	"net/http"
	"strings"
	"sync"
	"time"
)

// leastWhole is the share of orders that have to be one whole trace. It is not all because there is not always evidence (README.md).
const leastWhole = 0.95

func main() {
	log.SetFlags(0)
	log.SetPrefix("load: ")
	shop := flag.String("shop", "http://127.0.0.1:7080", "URL of the shop")
	jaeger := flag.String("jaeger", "http://127.0.0.1:16686", "URL of Jaeger")
	requests := flag.Int("requests", 200, "how many orders")
	concurrency := flag.Int("concurrency", 2, "how many at a time")
	rate := flag.Float64("rate", 10, "how many per second")
	patience := flag.Duration("patience", 30*time.Second, "how long Jaeger may take to have all spans")
	flag.Parse()

	began := time.Now()
	if err := placeAll(*shop, *requests, *concurrency, *rate); err != nil {
		log.Fatal(err)
	}
	spans, err := awaitSpans(*jaeger, began, *requests, *patience)
	if err != nil {
		log.Fatal(err)
	}
	result := judge(spans, *requests)
	fmt.Print(result.report(*jaeger))
	if len(result.wrong) > 0 || float64(result.whole) < leastWhole*float64(*requests) {
		log.Fatal("that is not good enough")
	}
}

// placeAll places orders 1 to n, and returns the first failure.
func placeAll(shop string, n, concurrency int, rate float64) error {
	numbers, failures := make(chan int), make(chan error, n)
	var clients sync.WaitGroup
	for range concurrency {
		clients.Go(func() {
			for number := range numbers {
				if err := place(shop, number); err != nil {
					failures <- fmt.Errorf("order %d: %w", number, err)
				}
			}
		})
	}
	clock := time.NewTicker(time.Duration(float64(time.Second) / rate))
	defer clock.Stop()
	for number := 1; number <= n; number++ {
		numbers <- number
		<-clock.C
	}
	close(numbers)
	clients.Wait()
	close(failures)
	return <-failures
}

// place places one order, and checks that the answer is that order's.
func place(shop string, number int) error {
	response, err := http.Get(fmt.Sprintf("%s/buy/%d", shop, number))
	if err != nil {
		return err
	}
	defer response.Body.Close() //nolint:errcheck // it is read to its end
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if want := fmt.Sprintf(`"number":%d,`, number); response.StatusCode != http.StatusOK || !strings.Contains(string(body), want) {
		return fmt.Errorf("%s: %s", response.Status, body)
	}
	return nil
}
