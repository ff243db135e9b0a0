// Command serve runs the boutique on this machine, to be looked at in a browser.
//
//	go run ./examples/boutique/serve
//
// It builds the eleven services from their source, starts ten of them on free loopback ports, prints where the
// shop is, and stops them when it is interrupted. With -orders the load generator places some orders first.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"syscall"

	"github.com/waybill-dev/waybill/examples/boutique/internal/local"
)

func main() {
	source := flag.String("source", "examples/boutique/shop", "`directory` of the services' source")
	orders := flag.Int("orders", 0, "`number` of orders to place")
	verbose := flag.Bool("v", false, "show what the services log")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := serve(ctx, *source, *orders, *verbose)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "serve:", err)
		os.Exit(3)
	}
}

func serve(ctx context.Context, source string, orders int, verbose bool) (err error) {
	bin, err := os.MkdirTemp("", "boutique-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(bin)
	if err := local.Build(ctx, source, bin); err != nil {
		return fmt.Errorf("-source %s: %w", source, err)
	}
	log := io.Discard
	if verbose {
		log = os.Stderr
	}
	shop, err := local.Start(ctx, func(service string) string { return filepath.Join(bin, service) }, log)
	if err != nil {
		return err
	}
	defer func() {
		if stopped := shop.Stop(); err == nil {
			err = stopped
		}
	}()
	if orders > 0 {
		load := exec.CommandContext(ctx, filepath.Join(bin, "loadgenerator"), "-listen", "127.0.0.1:0")
		load.Env = append(append(os.Environ(), shop.Env()...), "ORDERS="+strconv.Itoa(orders), "PER_MINUTE=600")
		load.Stderr = log
		if err := load.Run(); err != nil {
			return fmt.Errorf("placing orders: %w", err)
		}
	}
	fmt.Println(shop.URL())
	<-ctx.Done()
	return nil
}
