// Command orders is the shop's service in Go: POST /orders/<number> asks the stock, and confirms.
package main

import (
	"encoding/json"
	"fmt"
	"log"
	"net/http"
	"os"
	"time"
)

type order struct {
	Number string `json:"number"`
	Left   int    `json:"left"` // how many are in stock
}

func main() {
	stock := "http://127.0.0.1:" + os.Getenv("STOCK_PORT")
	http.HandleFunc("POST /orders/{number}", func(w http.ResponseWriter, r *http.Request) {
		confirmed, err := place(r, stock)
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

// place asks the stock, on behalf of a request.
func place(r *http.Request, stock string) (order, error) {
	o := order{Number: r.PathValue("number")}
	request, err := http.NewRequestWithContext(r.Context(), http.MethodGet, stock+"/stock/"+o.Number, nil)
	if err != nil {
		return o, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return o, err
	}
	defer response.Body.Close() //nolint:errcheck // it was read
	if response.StatusCode != http.StatusOK {
		return o, fmt.Errorf("stock: %s", response.Status)
	}
	return o, json.NewDecoder(response.Body).Decode(&o.Left)
}
