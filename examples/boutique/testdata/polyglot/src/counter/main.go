// Command counter takes parcels in and gives them numbers.
package main

import (
	"fmt"
	"log"
	"net/http"
	"sync/atomic"
)

func main() {
	log.Fatal(http.ListenAndServe(":8080", counter()))
}

func counter() http.Handler {
	var taken atomic.Int64
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("POST /parcels", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, "P%06d\n", taken.Add(1))
	})
	return mux
}
