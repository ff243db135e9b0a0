// Command cmd builds the tools of the testbed and runs its servers by hand; go doc ./internal/testbed tells how.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/waybill-dev/waybill/internal/testbed"
)

func main() {
	flag.Usage = func() {
		fmt.Fprintln(os.Stderr, "usage: cmd build [TOOL...] | path TOOL | list | debian | support [-w] FILE | up SERVER")
	}
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "testbed:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) == 0 {
		flag.Usage()
		os.Exit(2)
	}
	switch verb, names := args[0], args[1:]; verb {
	case "build":
		return build(ctx, names)
	case "path":
		return path(names)
	case "list":
		return list()
	case "debian":
		fmt.Println(strings.Join(testbed.DebianPackages(), " "))
		return nil
	case "support":
		return support(names)
	case "up":
		return up(ctx, names)
	default:
		return fmt.Errorf("unknown command %q", verb)
	}
}

func build(ctx context.Context, names []string) error {
	specs := testbed.Tools()
	for _, name := range names {
		if name != "sonarqube" && !slices.ContainsFunc(specs, func(s testbed.Spec) bool { return s.Name == name }) {
			return fmt.Errorf("no tool %q", name)
		}
	}
	// Two at a time, as one fetches its modules while the other compiles.
	var wg sync.WaitGroup
	var mu sync.Mutex
	var errs []error
	places := make(chan struct{}, 2)
	for _, spec := range specs {
		if len(names) > 0 && !slices.Contains(names, spec.Name) {
			continue
		}
		places <- struct{}{}
		wg.Go(func() {
			defer func() { <-places }()
			start := time.Now()
			tool, built, err := spec.Build(ctx, os.Stderr)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err != nil:
				errs = append(errs, err)
			case built:
				fmt.Printf("%-14s %-10s built in %s\n", tool.Name, tool.Version, time.Since(start).Round(time.Second))
			default:
				fmt.Printf("%-14s %-10s in the cache\n", tool.Name, tool.Version)
			}
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	if len(names) > 0 && !slices.Contains(names, "sonarqube") {
		return nil
	}
	if _, err := testbed.FetchSonarQube(ctx, os.Stderr); err != nil {
		return err
	}
	fmt.Printf("%-14s %-10s in the cache\n", "sonarqube", testbed.SonarQubeVersion)
	return nil
}

func path(names []string) error {
	for _, spec := range testbed.Tools() {
		if len(names) == 1 && spec.Name == names[0] {
			tool, err := spec.Find()
			if err != nil {
				return err
			}
			fmt.Println(tool.Path)
			return nil
		}
	}
	return fmt.Errorf("path takes the name of one tool, not %q", names)
}

// support prints the support table of what a file holds that tests recorded. With -w it puts the table into the
// README instead.
func support(args []string) error {
	flags := flag.NewFlagSet("support", flag.ContinueOnError)
	write := flags.Bool("w", false, "put the table into README.md")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() != 1 {
		return fmt.Errorf("support takes the file that %s named", testbed.RecordFile)
	}
	recorded, err := os.ReadFile(flags.Arg(0))
	if err != nil {
		return err
	}
	table := testbed.SupportTable(string(recorded))
	if !*write {
		fmt.Print(table)
		return nil
	}
	root, err := testbed.Root()
	if err != nil {
		return err
	}
	readme, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		return err
	}
	const begin, end = "<!-- support: go run ./internal/testbed/cmd support -w FILE -->\n", "<!-- end of support -->\n"
	before, rest, ok := strings.Cut(string(readme), begin)
	_, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		return fmt.Errorf("README.md has no lines %q and %q", begin, end)
	}
	return os.WriteFile(filepath.Join(root, "README.md"), []byte(before+begin+table+end+after), 0o644)
}

func list() error {
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	for _, spec := range testbed.Tools() {
		if tool, err := spec.Find(); err != nil {
			fmt.Fprintf(w, "%s\t-\t%v\n", spec.Name, err)
		} else {
			fmt.Fprintf(w, "%s\t%s\t%s\n", tool.Name, tool.Version, tool.Path)
		}
	}
	return w.Flush()
}
