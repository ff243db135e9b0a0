// Command tracking knows where parcels are.
package main

import (
	"fmt"
	"log"
	"net/http"
	"sync"
)

func main() {
	log.Fatal(http.ListenAndServe(":8080", tracking()))
}

func tracking() http.Handler {
	var places sync.Map
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("PUT /parcels/{number}/{place}", func(_ http.ResponseWriter, r *http.Request) {
		places.Store(r.PathValue("number"), r.PathValue("place"))
	})
	mux.HandleFunc("GET /parcels/{number}", func(w http.ResponseWriter, r *http.Request) {
		place, ok := places.Load(r.PathValue("number"))
		if !ok {
			http.NotFound(w, r)
			return
		}
		fmt.Fprintln(w, place)
	})
	return mux
}
