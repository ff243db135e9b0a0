// Push builds an image without a daemon, or from a Dockerfile, and pushes it.
//
//	go run ./examples/push go:./cmd/server registry.example.com/shop/server:42
//	go run ./examples/push -user 65532 -entrypoint '["/bin/app"]' dir:rootfs registry.example.com/app:1
//	go run ./examples/push -layout out context:services/cart
//
// It prints one JSON object and ends with 0 when the image is where it should be, 1 when the tag points to
// another image and -force-tag is not given, 2 when it was called in a wrong way, and 3 when something is
// broken, out of reach or not allowed. Logins are taken from docker's configuration.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/waybill-dev/waybill/image"
	"github.com/waybill-dev/waybill/image/docker"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// job is what the command line asks for.
type job struct {
	layout, builder   string
	force, insecure   bool
	spec              image.Spec
	kind, source, ref string // of SOURCE and REF
}

// result is what is printed.
type result struct {
	Ref       string   `json:"ref"` // with the digest; empty when nothing was pushed
	Digest    string   `json:"digest"`
	Platforms []string `json:"platforms"`
	Layers    []blob   `json:"layers"`
	Seconds   float64  `json:"seconds"`
}

type blob struct {
	Digest string `json:"digest"`
	Bytes  int64  `json:"bytes"`
	Status string `json:"status"` // "uploaded", "mounted", "present"; "built" when nothing was pushed
}

// add leaves out the configurations, which are blobs as well and no layers.
func (r *result) add(mediaType string, b blob) {
	if strings.Contains(mediaType, ".layer.") || strings.Contains(mediaType, ".rootfs.") { // OCI's and Docker's name
		r.Layers = append(r.Layers, b)
	}
}

var errUsage = errors.New("usage")

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	j, err := parse(args, stderr)
	if err == nil {
		var r *result
		if r, err = j.do(ctx); err == nil {
			err = json.NewEncoder(stdout).Encode(r)
		}
	}
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(stderr, "push:", err)
	}
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return 0
	case errors.Is(err, image.ErrTagExists):
		return 1
	case errors.Is(err, errUsage), errors.Is(err, image.ErrInvalid):
		return 2
	}
	return 3
}

func parse(args []string, stderr io.Writer) (*job, error) {
	j := &job{}
	fs := flag.NewFlagSet("push", flag.ContinueOnError)
	fs.SetOutput(io.Discard) // what is wrong is said once, by us
	help := func() {
		fs.SetOutput(stderr)
		fmt.Fprintln(stderr, "usage: push [flags] SOURCE [REF]\n\nSOURCE is go:PKG, dir:PATH, layout:PATH, context:PATH, or a path: a layout when it holds oci-layout, else a directory.\nWithout REF the image is only built.")
		fs.PrintDefaults()
	}
	s := &j.spec
	fs.StringVar(&s.Base, "base", "", "`reference` of the image to build on; nothing by default")
	list(fs, &s.Platforms, "platform", "`os/arch`, several separated by commas; linux on this architecture by default", ",")
	fs.StringVar(&j.layout, "layout", "", "keep the OCI layout in this `directory`")
	fs.Func("entrypoint", "`JSON` array of the program and its arguments", func(v string) error { return json.Unmarshal([]byte(v), &s.Entrypoint) })
	fs.StringVar(&s.User, "user", "", "`user` to run as: name, uid or uid:gid")
	list(fs, &s.Env, "env", "`KEY=VALUE` in the environment; may be repeated", "")
	list(fs, &s.Ports, "port", "`port` the service listens on, such as 8080 or 53/udp; may be repeated", "")
	fs.Func("label", "`KEY=VALUE` label; may be repeated", func(v string) error {
		key, value, ok := strings.Cut(v, "=")
		if !ok || key == "" {
			return errors.New("want KEY=VALUE")
		}
		if s.Labels == nil {
			s.Labels = map[string]string{}
		}
		s.Labels[key] = value
		return nil
	})
	fs.StringVar(&j.builder, "builder", "", "`go` (no daemon; for go: and dir:), docker or buildx (for context:, found by itself)")
	fs.BoolVar(&j.force, "force-tag", false, "move the tag when it points to another image")
	fs.BoolVar(&j.insecure, "insecure", false, "permit plain HTTP to registries that are not on a loopback address")
	if err := fs.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			help()
			return nil, err
		}
		return nil, fmt.Errorf("%w: %w; -h lists the flags", errUsage, err)
	}
	if fs.NArg() < 1 || fs.NArg() > 2 || fs.NArg() == 2 && fs.Arg(1) == "" { // an unset variable must not pass for "build only"
		return nil, fmt.Errorf("%w: want SOURCE and at most one REF, got %q", errUsage, fs.Args())
	}
	j.kind, j.source = sourceOf(fs.Arg(0))
	j.ref = fs.Arg(1)
	var given []string
	fs.Visit(func(f *flag.Flag) { given = append(given, f.Name) })
	return j, j.check(given)
}

// list makes a flag that may be repeated or, with a separator, hold several values.
func list(fs *flag.FlagSet, into *[]string, name, usage, separator string) {
	fs.Func(name, usage, func(v string) error {
		if separator == "" {
			*into = append(*into, v)
		} else {
			*into = append(*into, strings.Split(v, separator)...)
		}
		return nil
	})
}

func sourceOf(s string) (kind, path string) {
	if kind, path, ok := strings.Cut(s, ":"); ok && slices.Contains([]string{"go", "dir", "layout", "context"}, kind) {
		return kind, path
	}
	if _, err := os.Stat(filepath.Join(s, "oci-layout")); err == nil {
		return "layout", s
	}
	return "dir", s
}

// check refuses flags that the source has no use for, so that none is ignored.
func (j *job) check(given []string) error {
	useful := map[string][]string{
		"go":      {"base", "platform", "layout", "entrypoint", "user", "env", "port", "label", "builder"},
		"dir":     {"base", "platform", "layout", "entrypoint", "user", "env", "port", "label", "builder"},
		"context": {"platform", "layout", "label", "builder"},
		"layout":  {},
	}[j.kind]
	for _, name := range given {
		if !slices.Contains(append(useful, "force-tag", "insecure"), name) {
			return fmt.Errorf("%w: -%s says nothing about a source of kind %s", errUsage, name, j.kind)
		}
	}
	builders := []string{"", "go"}
	if j.kind == "context" {
		builders = []string{"", "docker", "buildx"}
	}
	if !slices.Contains(builders, j.builder) {
		return fmt.Errorf("%w: -builder %s does not build a source of kind %s", errUsage, j.builder, j.kind)
	}
	if j.source == "" {
		return fmt.Errorf("%w: SOURCE names nothing", errUsage)
	}
	return nil
}

func (j *job) do(ctx context.Context) (*result, error) {
	start := time.Now()
	client, err := image.New(&image.Options{Keychain: image.DockerConfigFromEnv(), AllowInsecureHTTP: j.insecure})
	if err != nil {
		return nil, err
	}
	layout, clean, err := j.build(ctx, client)
	if err != nil {
		return nil, err
	}
	defer clean()
	r := &result{Digest: layout.Digest(), Platforms: layout.Platforms(), Layers: []blob{}}
	if j.ref == "" {
		for _, b := range layout.Blobs() {
			r.add(b.MediaType, blob{b.Digest, b.Bytes, "built"})
		}
	} else {
		pushed, err := client.Push(ctx, layout, []string{j.ref}, &image.PushOptions{MoveTag: j.force})
		if err != nil {
			return nil, err
		}
		r.Ref = pushed.Ref
		for _, b := range pushed.Blobs {
			r.add(b.MediaType, blob{b.Digest, b.Bytes, string(b.Status)})
		}
	}
	r.Seconds = time.Since(start).Seconds()
	return r, nil
}

// build makes the layout, or opens the one that is there. clean removes it unless it was asked for.
func (j *job) build(ctx context.Context, client *image.Client) (layout *image.Layout, clean func(), err error) {
	clean = func() {}
	if j.kind == "layout" {
		layout, err = image.Open(ctx, j.source, nil)
		return layout, clean, err
	}
	dir := j.layout
	if dir == "" {
		if dir, err = os.MkdirTemp("", "push-"); err != nil {
			return nil, nil, err
		}
		clean = func() { _ = os.RemoveAll(dir) }
	}
	if j.spec.Created, err = image.SourceDateEpochFromEnv(); err == nil {
		layout, err = j.buildInto(ctx, client, dir)
	}
	if err != nil {
		clean()
	}
	return layout, clean, err
}

func (j *job) buildInto(ctx context.Context, client *image.Client, dir string) (*image.Layout, error) {
	switch j.kind {
	case "context":
		return docker.Build(ctx, docker.Spec{
			Context: j.source, Platforms: j.spec.Platforms, Labels: j.spec.Labels, Created: j.spec.Created,
		}, dir, &docker.Options{Builder: docker.Builder(j.builder)})
	case "go":
		program := image.GoProgram{Package: j.source}
		if info, err := os.Stat(j.source); err == nil && info.IsDir() {
			program = image.GoProgram{Dir: j.source, Package: "."} // whatever module it belongs to
		}
		j.spec.Layers = []image.Source{program}
	default:
		j.spec.Layers = []image.Source{image.Dir(j.source)}
	}
	return image.Build(ctx, j.spec, dir, &image.BuildOptions{Client: client})
}
