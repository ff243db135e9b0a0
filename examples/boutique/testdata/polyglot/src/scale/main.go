// Command scale tells the class of a parcel by its weight in grams.
package main

import (
	"errors"
	"fmt"
	"log"
	"net/http"
	"strconv"
)

func main() {
	log.Fatal(http.ListenAndServe(":8080", scale()))
}

func scale() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("GET /class/{grams}", func(w http.ResponseWriter, r *http.Request) {
		grams, err := strconv.Atoi(r.PathValue("grams"))
		if err == nil {
			var c string
			if c, err = class(grams); err == nil {
				fmt.Fprintln(w, c)
				return
			}
		}
		http.Error(w, err.Error(), http.StatusBadRequest)
	})
	return mux
}

func class(grams int) (string, error) {
	switch {
	case grams <= 0:
		return "", errors.New("nothing is on the scale")
	case grams <= 20:
		return "letter", nil
	case grams <= 2000:
		return "small", nil
	case grams <= 31500:
		return "parcel", nil
	}
	return "", errors.New("take it to the harbour")
}
