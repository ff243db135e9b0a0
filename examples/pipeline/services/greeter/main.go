// Command greeter greets whoever asks, with the time that the clock service tells.
package main

import (
	"encoding/json"
	"fmt"
	"log"
	"net/http"
	"os"
	"time"
)

func main() {
	addr, clock := ":8080", "http://clock:8080"
	if len(os.Args) > 2 {
		addr, clock = os.Args[1], os.Args[2]
	}
	log.Fatal(http.ListenAndServe(addr, handler(clock)))
}

// handler answers GET /hello/NAME with a greeting, and GET /healthz.
func handler(clock string) http.Handler {
	client := &http.Client{Timeout: 2 * time.Second}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("GET /hello/{name}", func(w http.ResponseWriter, r *http.Request) {
		now, err := ask(client, clock)
		if err != nil {
			http.Error(w, "the clock does not answer", http.StatusBadGateway)
			return
		}
		fmt.Fprintf(w, "Hello %q, it is %s.\n", r.PathValue("name"), now)
	})
	return mux
}

func ask(client *http.Client, clock string) (string, error) {
	resp, err := client.Get(clock + "/now")
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	var reply struct {
		Time string `json:"time"`
	}
	err = json.NewDecoder(resp.Body).Decode(&reply)
	return reply.Time, err
}
