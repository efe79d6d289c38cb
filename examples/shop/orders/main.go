// Command orders is the shop's service in Go: POST /orders/<number> asks the stock, and confirms.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"net/http"
	"os"
	"strconv"
	"time"
)

type order struct {
	Number uint64 `json:"number"`
	Left   int    `json:"left"` // how many are in stock
}

func main() {
	stock := "http://127.0.0.1:" + os.Getenv("STOCK_PORT")
	http.HandleFunc("POST /orders/{number}", func(w http.ResponseWriter, r *http.Request) {
		number, err := strconv.ParseUint(r.PathValue("number"), 10, 64)
		if err != nil {
			http.NotFound(w, r)
			return
		}
		confirmed, err := place(r.Context(), stock, number)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(confirmed) // fails if the caller has gone
	})
	server := http.Server{Addr: "127.0.0.1:" + os.Getenv("PORT"), ReadHeaderTimeout: 10 * time.Second}
	log.Fatal(server.ListenAndServe())
}

// place asks the stock.
func place(ctx context.Context, stock string, number uint64) (order, error) {
	o := order{Number: number}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("%s/stock/%d", stock, number), nil) //nolint:gosec // on this host
	if err != nil {
		return o, err
	}
	response, err := http.DefaultClient.Do(request) //nolint:gosec // the same
	if err != nil {
		return o, err
	}
	defer response.Body.Close() //nolint:errcheck // it was read
	if response.StatusCode != http.StatusOK {
		return o, fmt.Errorf("stock: %s", response.Status)
	}
	return o, json.NewDecoder(response.Body).Decode(&o.Left)
}
