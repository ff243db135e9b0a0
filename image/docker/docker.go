// Package docker builds images from a Dockerfile, with buildx and BuildKit or with a Docker engine, and makes
// the same OCI layouts of them that package image makes without a daemon.
//
//	layout, err := docker.Build(ctx, docker.Spec{Context: "services/cart"}, dir, &docker.Options{
//		Address: "tcp://buildkit.example.com:1234", CACert: "ca.pem", Cert: "cert.pem", Key: "key.pem",
//	})
//
// With Address, buildx drives a BuildKit anywhere in the network, and neither a Docker engine nor the docker
// command is needed: builds outgrow one machine that way.
//
// # Errors
//
// Everything returned is an [*image.Error]: [image.ErrInvalid] for a Spec or Options that cannot work,
// with everything that is wrong; [image.ErrNotFound] for a missing context, Dockerfile or base;
// [image.ErrBuild] when a step fails, with the end of its output; [image.ErrUnavailable] when no
// builder is found or it does not answer. A cancelled context stays visible to [errors.Is], and the
// build is cancelled at the builder as well. Values of secrets are blotted out of messages and events.
package docker

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/waybill-dev/waybill/image"
	"github.com/waybill-dev/waybill/image/internal/layoutdir"
	"github.com/waybill-dev/waybill/internal/httpx"
)

// Spec says what to build.
type Spec struct {
	Context string // directory; its .dockerignore is obeyed
	File    string // the Dockerfile, relative to Context or absolute; empty means "Dockerfile"
	Target  string // stage to stop at; empty means the last

	BuildArgs map[string]string // visible in the image's history: not for secrets
	Platforms []string          // "os/arch[/variant]"; empty means the builder's own; several need BuildKit

	// Secrets are what RUN --mount=type=secret,id=KEY reads, by id. They are handed over in the builder
	// command's environment, and are in no argument, layer or history. They need BuildKit.
	Secrets map[string]func(ctx context.Context) (string, error)

	// Contexts are further build contexts and replacements for bases by name: a directory, or
	// "oci-layout://DIR" for a base from an OCI layout. They need buildx.
	Contexts map[string]string

	Labels      map[string]string
	Annotations map[string]string // of the manifests; not of an index that a Docker engine builds

	// Revision, Source and Version are set as label and as annotation under the names of the OCI image
	// specification, as in [image.Spec].
	Revision string
	Source   string
	Version  string

	// Created is the time in the image, and with BuildKit of every file in it that is newer (that is what
	// SOURCE_DATE_EPOCH means to it). The zero value means 1970-01-01.
	Created time.Time

	NoCache bool // build every step
	Pull    bool // ask the registry for a base even when it is there

	CacheFrom []string // further caches for buildx, such as "type=registry,ref=registry.example.com/cache"
	CacheTo   []string
}

// Builder is what builds.
type Builder string

// The builders.
const (
	Auto   Builder = ""       // buildx when it is there and can write OCI layouts, else docker
	Buildx Builder = "buildx" // the docker-buildx command
	Docker Builder = "docker" // docker build and docker save, with the engine's own builder
)

// Options are the options of [Build]. The zero value takes what it finds.
type Options struct {
	Builder Builder

	Address string // of a BuildKit for buildx: "unix:///run/buildkit/buildkitd.sock", "tcp://host:port"
	Name    string // of one of buildx's own builders; not together with Address
	Host    string // of the Docker engine, as DOCKER_HOST takes it; empty means the command's own default

	// CACert, Cert and Key are files for TLS to a BuildKit at a tcp Address: the authority of its certificate,
	// and the certificate and key to show it.
	CACert string
	Cert   string
	Key    string

	// AllowInsecureTCP permits a tcp Address on another machine without TLS. Sources and build secrets then
	// cross the network in the clear, and whoever reaches that BuildKit is root there.
	AllowInsecureTCP bool

	BuildxCommand string // program; empty looks for docker-buildx on the PATH and for the plugin of docker
	DockerCommand string // program; empty means docker on the PATH

	// Progress, when set, is told what happens, one call at a time.
	Progress func(Event)
}

// Build builds an image into an OCI layout in dir. What is said of dir at [image.Build] goes here too, but one below the
// context is taken, as .dockerignore may name it; if it does not, the image may hold pieces of itself.
func Build(ctx context.Context, s Spec, dir string, o *Options) (*image.Layout, error) {
	if o == nil {
		o = &Options{}
	}
	l, err := build(ctx, s, dir, *o)
	if err != nil {
		return nil, wrap(s.Context, err)
	}
	return l, nil
}

func build(ctx context.Context, s Spec, dir string, o Options) (*image.Layout, error) {
	if err := errors.Join(s.check(o)...); err != nil {
		return nil, fail(image.ErrInvalid, err)
	}
	s = s.withDefaults()
	for _, path := range []string{s.Context, s.File} {
		if _, err := os.Stat(path); err != nil {
			return nil, fail(kindOfFile(err), err)
		}
	}
	if err := layoutdir.Check(dir); err != nil { // as [image.Import] will, after a build that may take long
		return nil, fail(image.ErrInvalid, err)
	}
	r := &run{Spec: s, Options: o, dir: dir}
	if err := r.fetchSecrets(ctx); err != nil {
		return nil, err
	}
	temp, err := os.MkdirTemp("", "docker-build-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(temp) }()
	r.temp = temp
	switch o.Builder {
	case Buildx:
		cmd, err := r.findBuildx(ctx)
		if err != nil {
			return nil, err
		}
		return r.buildx(ctx, cmd)
	case Docker:
		return r.docker(ctx)
	}
	return r.auto(ctx)
}

// auto takes buildx when it can do the work, and docker otherwise.
func (r *run) auto(ctx context.Context) (*image.Layout, error) {
	cmd, err := r.findBuildx(ctx)
	if err == nil && r.Address == "" {
		err = r.canExport(ctx, cmd)
	}
	if err == nil {
		return r.buildx(ctx, cmd)
	}
	if r.Address != "" || r.Name != "" || r.needsBuildx() {
		return nil, err // docker is no substitute
	}
	l, derr := r.docker(ctx)
	if e, ok := errors.AsType[*failure](derr); ok && errors.Is(e.kind, image.ErrUnavailable) {
		return nil, fail(image.ErrUnavailable, fmt.Errorf("no builder: %w; %w", err, derr))
	}
	return l, derr
}

func (s Spec) needsBuildx() bool {
	return len(s.Platforms) > 1 || len(s.Contexts) > 0 || len(s.CacheFrom)+len(s.CacheTo) > 0
}

var platform = regexp.MustCompile(`^\w+/\w+(/[\w.]+)?$`)

// check returns everything that is wrong.
func (s Spec) check(o Options) (errs []error) {
	bad := func(field, format string, args ...any) {
		errs = append(errs, fmt.Errorf(field+": "+format, args...))
	}
	if s.Context == "" {
		bad("Spec.Context", "no directory")
	} else if info, err := os.Stat(s.Context); err == nil && !info.IsDir() {
		bad("Spec.Context", "%s is no directory", s.Context)
	}
	for _, p := range s.Platforms {
		if !platform.MatchString(p) {
			bad("Spec.Platforms", "%q is not of the form os/arch[/variant]", p)
		}
	}
	for field, m := range map[string][]string{
		"BuildArgs": slices.Collect(maps.Keys(s.BuildArgs)), "Labels": slices.Collect(maps.Keys(s.Labels)),
		"Secrets": slices.Collect(maps.Keys(s.Secrets)), "Contexts": slices.Collect(maps.Keys(s.Contexts)),
		"Annotations": slices.Collect(maps.Keys(s.Annotations)),
	} {
		for _, key := range m {
			if key == "" || strings.ContainsAny(key, "=,\x00\n\"") {
				bad("Spec."+field, "%q is no usable key", key)
			}
		}
	}
	for id, f := range s.Secrets {
		if f == nil {
			bad("Spec.Secrets", "%q has no function", id)
		}
	}
	if s.Target != "" && strings.HasPrefix(s.Target, "-") {
		bad("Spec.Target", "%q begins with a dash", s.Target)
	}
	if !s.Created.IsZero() && s.Created.Unix() < 0 {
		bad("Spec.Created", "%s is before 1970", s.Created)
	}
	if !slices.Contains([]Builder{Auto, Buildx, Docker}, o.Builder) {
		bad("Options.Builder", "%q is none of buildx and docker", o.Builder)
	}
	if o.Address != "" && o.Name != "" {
		bad("Options.Address", "set together with Name")
	}
	host, tcp := strings.CutPrefix(o.Address, "tcp://")
	switch {
	case o.CACert+o.Cert+o.Key == "":
		if tcp && !o.AllowInsecureTCP && !httpx.IsLoopback(host) {
			bad("Options.Address", "%s is on another machine and CACert is not set; TLS is needed, or AllowInsecureTCP", o.Address)
		}
	case !tcp:
		bad("Options.CACert, Cert, Key", "set without a tcp Address")
	case o.CACert == "" || (o.Cert == "") != (o.Key == ""):
		bad("Options.CACert, Cert, Key", "TLS takes CACert, and Cert and Key together")
	default:
		for field, file := range map[string]string{"CACert": o.CACert, "Cert": o.Cert, "Key": o.Key} {
			if strings.ContainsAny(file, "\",\n") {
				bad("Options."+field, "%q has a character that buildx cannot take", file)
			} else if _, err := os.Stat(file); file != "" && err != nil {
				bad("Options."+field, "%w", err)
			}
		}
	}
	if o.Builder == Docker {
		if o.Address != "" || o.Name != "" {
			bad("Options.Address, Name", "set for the builder docker")
		}
		if s.needsBuildx() {
			bad("Options.Builder", "docker cannot build for several platforms, nor with Contexts, CacheFrom or CacheTo")
		}
	}
	return errs
}

func (s Spec) withDefaults() Spec {
	if s.File == "" {
		s.File = "Dockerfile"
	}
	if !filepath.IsAbs(s.File) {
		s.File = filepath.Join(s.Context, s.File)
	}
	if s.Created.IsZero() {
		s.Created = time.Unix(0, 0)
	}
	s.Created = s.Created.UTC().Truncate(time.Second)
	common := map[string]string{
		"org.opencontainers.image.created":  s.Created.Format(time.RFC3339),
		"org.opencontainers.image.revision": s.Revision,
		"org.opencontainers.image.source":   s.Source,
		"org.opencontainers.image.version":  s.Version,
	}
	maps.DeleteFunc(common, func(_, v string) bool { return v == "" })
	labels, annotations := maps.Clone(common), maps.Clone(common)
	maps.Copy(labels, s.Labels)
	maps.Copy(annotations, s.Annotations)
	s.Labels, s.Annotations = labels, annotations
	return s
}

// failure carries a kind up to Build, which makes one [*image.Error] of it.
type failure struct{ kind, err error }

func (f *failure) Error() string   { return f.err.Error() }
func (f *failure) Unwrap() []error { return []error{f.kind, f.err} }

func fail(kind, err error) error { return &failure{kind, err} }

func wrap(subject string, err error) error {
	if _, done := errors.AsType[*image.Error](err); done {
		return err
	}
	e := &image.Error{Op: "docker build", Ref: subject, Err: err}
	if f, ok := errors.AsType[*failure](err); ok {
		e.Kind, e.Err = f.kind, f.err
	}
	return e
}

func kindOfFile(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return image.ErrNotFound
	}
	return image.ErrInvalid
}
