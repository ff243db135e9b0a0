package docker

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/waybill-dev/waybill/image"
)

// run is one build.
type run struct {
	Spec
	Options
	dir     string // of the layout
	temp    string // for what the commands leave behind
	secrets map[string]string
	redact  *strings.Replacer
}

// maxSecretBytes is what an environment variable can well hold.
const maxSecretBytes = 100 << 10

func (r *run) fetchSecrets(ctx context.Context) error {
	r.secrets = map[string]string{}
	for id, f := range r.Spec.Secrets {
		value, err := f(ctx)
		if err != nil {
			return fmt.Errorf("secret %q: %w", id, err)
		}
		if len(value) > maxSecretBytes || strings.ContainsRune(value, 0) {
			return fail(image.ErrInvalid, fmt.Errorf("secret %q is larger than %d bytes or holds a zero byte", id, maxSecretBytes))
		}
		r.secrets[id] = value
	}
	r.redact = redactor(slices.Collect(maps.Values(r.secrets)))
	return nil
}

// redactor blots out values, and their lines too, as what steps print comes line by line.
func redactor(values []string) *strings.Replacer {
	var known []string
	for _, v := range values {
		known = append(known, v, strings.TrimSpace(v))
		for line := range strings.Lines(v) {
			if line = strings.TrimSpace(line); len(line) >= 4 { // shorter ones would blot out half the log
				known = append(known, line)
			}
		}
	}
	// The longest first: where one value begins another, nothing of the longer one stays.
	slices.SortFunc(known, func(a, b string) int { return cmp.Compare(len(b), len(a)) })
	var pairs []string
	for _, v := range known {
		if v != "" {
			pairs = append(pairs, v, "[redacted]")
		}
	}
	return strings.NewReplacer(pairs...)
}

// secretFlags hands the secrets over in environment variables, in the order of their ids.
func (r *run) secretFlags() (flags, env []string) {
	for i, id := range slices.Sorted(maps.Keys(r.secrets)) {
		name := fmt.Sprintf("BUILD_SECRET_%d", i)
		flags = append(flags, "--secret", "id="+id+",env="+name)
		env = append(env, name+"="+r.secrets[id])
	}
	return flags, env
}

// commonFlags are the flags that docker build and buildx build share.
func (r *run) commonFlags() []string {
	flags := []string{"--file", r.File}
	add := func(flag string, m map[string]string) {
		for _, k := range slices.Sorted(maps.Keys(m)) {
			flags = append(flags, flag, k+"="+m[k])
		}
	}
	add("--build-arg", r.BuildArgs)
	add("--label", r.Labels)
	if r.Target != "" {
		flags = append(flags, "--target", r.Target)
	}
	if len(r.Platforms) > 0 {
		flags = append(flags, "--platform", strings.Join(r.Platforms, ","))
	}
	if r.NoCache {
		flags = append(flags, "--no-cache")
	}
	if r.Pull {
		flags = append(flags, "--pull")
	}
	return flags
}

// findBuildx returns the command line that begins a call of buildx.
func (r *run) findBuildx(ctx context.Context) ([]string, error) {
	if r.BuildxCommand != "" {
		return []string{r.BuildxCommand}, nil
	}
	if path, err := exec.LookPath("docker-buildx"); err == nil {
		return []string{path}, nil
	}
	plugin := []string{r.dockerCommand(), "buildx"}
	if _, err := r.output(ctx, append(plugin, "version"), nil); err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, fail(image.ErrUnavailable, errors.New("buildx is neither on the PATH as docker-buildx nor a plugin of docker"))
	}
	return plugin, nil
}

func (r *run) dockerCommand() string {
	if r.DockerCommand != "" {
		return r.DockerCommand
	}
	return "docker"
}

// canExport fails when the builder that buildx would take cannot write an OCI layout: the one of driver
// docker, which every engine has by default.
func (r *run) canExport(ctx context.Context, buildx []string) error {
	cmd := append(slices.Clone(buildx), "inspect")
	if r.Name != "" {
		cmd = append(cmd, r.Name)
	}
	out, err := r.output(ctx, cmd, nil)
	if err != nil {
		return err
	}
	for line := range strings.Lines(out) {
		if driver, ok := strings.CutPrefix(line, "Driver:"); ok && strings.TrimSpace(driver) == "docker" {
			return fail(image.ErrUnavailable, errors.New("buildx has only the builder of the Docker engine, which cannot write OCI layouts"))
		}
	}
	return nil
}

// buildx builds with BuildKit. The image comes through standard output straight into the layout.
func (r *run) buildx(ctx context.Context, buildx []string) (*image.Layout, error) {
	var env []string
	name := r.Name
	if r.Address != "" {
		// A configuration of our own keeps this builder out of the user's.
		env, name = []string{"BUILDX_CONFIG=" + filepath.Join(r.temp, "buildx")}, "remote"
		create := append(slices.Clone(buildx), "create", "--name", name, "--driver", "remote")
		for opt, file := range map[string]string{"cacert": r.CACert, "cert": r.Cert, "key": r.Key} {
			if file != "" {
				create = append(create, "--driver-opt", opt+"="+file)
			}
		}
		if _, err := r.output(ctx, append(create, r.Address), env); err != nil {
			return nil, err
		}
	}
	args := append(slices.Clone(buildx), "build", "--progress", "rawjson", "--provenance=false", "--sbom=false",
		"--output", "type=oci,dest=-,rewrite-timestamp=true",
		"--build-arg", fmt.Sprintf("SOURCE_DATE_EPOCH=%d", r.Created.Unix()))
	if name != "" {
		args = append(args, "--builder", name)
	}
	for _, k := range slices.Sorted(maps.Keys(r.Annotations)) {
		level := "manifest:"
		if len(r.Platforms) > 1 {
			level = "manifest,index:"
		}
		args = append(args, "--annotation", level+k+"="+r.Annotations[k])
	}
	for _, k := range slices.Sorted(maps.Keys(r.Contexts)) {
		args = append(args, "--build-context", k+"="+r.Contexts[k])
	}
	for flag, values := range map[string][]string{"--cache-from": r.CacheFrom, "--cache-to": r.CacheTo} {
		for _, v := range values {
			args = append(args, flag, v)
		}
	}
	flags, secretEnv := r.secretFlags()
	args = append(append(append(args, r.commonFlags()...), flags...), "--", r.Context)
	return r.stream(ctx, args, append(env, secretEnv...), nil)
}

// docker builds with the engine's own builder and takes the image out by docker save. The engine keeps the
// image, without a tag, as the cache of the next build.
func (r *run) docker(ctx context.Context) (*image.Layout, error) {
	iid := filepath.Join(r.temp, "iid")
	flags, env := r.secretFlags()
	// Attestations would make an index of the image; buildx is told the same below.
	env = append(env, "BUILDX_NO_DEFAULT_ATTESTATIONS=1")
	if len(flags) > 0 {
		env = append(env, "DOCKER_BUILDKIT=1")
	}
	args := append([]string{r.dockerCommand(), "build", "--iidfile", iid}, r.commonFlags()...)
	args = append(append(args, flags...), "--", r.Context)
	events := &events{redact: r.redact, report: r.Progress}
	cmd := r.command(ctx, args, env)
	cmd.Stdout, cmd.Stderr = events, events
	err := r.do(ctx, cmd)
	events.flush()
	if err != nil {
		return nil, r.classify(ctx, args, err, events)
	}
	id, err := os.ReadFile(iid)
	if err != nil {
		return nil, err
	}
	if err := r.checkPlatform(ctx, strings.TrimSpace(string(id))); err != nil {
		return nil, err
	}
	save := []string{r.dockerCommand(), "save", strings.TrimSpace(string(id))}
	return r.stream(ctx, save, nil, &image.ImportOptions{Annotations: r.Annotations, Created: r.Created})
}

// checkPlatform holds an image against the platform that was asked for. An engine without BuildKit takes its own for
// FROM scratch, and the base that it has, whatever --platform says.
func (r *run) checkPlatform(ctx context.Context, id string) error {
	if len(r.Platforms) == 0 {
		return nil
	}
	out, err := r.output(ctx, []string{r.dockerCommand(), "inspect", "--type", "image", "--format", "{{.Os}}/{{.Architecture}}", id}, nil)
	if err != nil {
		return err
	}
	if built := strings.TrimSpace(out); !strings.HasPrefix(r.Platforms[0]+"/", built+"/") {
		return fail(image.ErrBuild, fmt.Errorf("the engine built for %s, not for %s; another platform needs BuildKit", built, r.Platforms[0]))
	}
	return nil
}

// stream runs a command whose standard output is an image archive.
func (r *run) stream(ctx context.Context, args, env []string, o *image.ImportOptions) (*image.Layout, error) {
	caller := ctx
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	events := &events{redact: r.redact, report: r.Progress}
	cmd := r.command(ctx, args, env)
	cmd.Stderr = events
	out, archive := io.Pipe()
	cmd.Stdout = archive
	done := make(chan error, 1)
	go func() {
		err := r.do(ctx, cmd)
		// The archive ends where the command does, and well only if it did.
		_ = archive.CloseWithError(err)
		done <- err
	}()
	l, err := image.Import(ctx, out, r.dir, o)
	if err != nil {
		_ = out.CloseWithError(err)
		cancel() // nobody waits for the end of a build whose image is not taken
	} else {
		_, _ = io.Copy(io.Discard, out)
	}
	cmdErr := <-done
	events.flush()
	switch {
	case err != nil && caller.Err() != nil:
		return nil, fmt.Errorf("%s: %w", filepath.Base(args[0]), caller.Err())
	case cmdErr != nil && (err == nil || errors.Is(err, cmdErr) || errors.Is(err, io.ErrUnexpectedEOF)):
		return nil, r.classify(ctx, args, cmdErr, events)
	case err != nil:
		return nil, err
	}
	return l, nil
}

// output runs a command and returns the last of what it printed.
func (r *run) output(ctx context.Context, args, env []string) (string, error) {
	events := &events{redact: r.redact}
	cmd := r.command(ctx, args, env)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, events
	if err := r.do(ctx, cmd); err != nil {
		events.flush()
		return "", r.classify(ctx, args, err, events)
	}
	return out.String(), nil
}

// command is a command that is asked to end, and only then killed, so that it can cancel the build elsewhere.
func (r *run) command(ctx context.Context, args, env []string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, args[0], args[1:]...) //nolint:gosec // the caller's own builder
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	cmd.Env = append(os.Environ(), env...) // the builder finds its configuration and proxies there
	if r.Host != "" {
		cmd.Env = append(cmd.Env, "DOCKER_HOST="+r.Host)
	}
	return cmd
}

func (r *run) do(ctx context.Context, cmd *exec.Cmd) error {
	err := cmd.Run()
	if ctx.Err() != nil && err != nil {
		return errors.Join(ctx.Err(), err)
	}
	return err
}

// classify makes an error of a command that failed. The commands say what is wrong in words only; this is the
// one place that reads them, and a test on the real builders holds it to that.
func (r *run) classify(ctx context.Context, args []string, err error, e *events) error {
	said := e.lastWords()
	name := filepath.Base(args[0])
	switch {
	case ctx.Err() != nil && errors.Is(err, ctx.Err()):
		return fmt.Errorf("%s: %w", name, ctx.Err())
	case errors.Is(err, exec.ErrNotFound) || errors.Is(err, os.ErrNotExist):
		return fail(image.ErrUnavailable, fmt.Errorf("%s: %w", name, err))
	}
	kind := image.ErrBuild
	for _, c := range verdicts {
		if slices.ContainsFunc(c.says, func(s string) bool { return strings.Contains(said, s) }) {
			kind = c.kind
			break
		}
	}
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return fail(kind, fmt.Errorf("%s ended with status %d: %s", name, exit.ExitCode(), said))
	}
	return fail(kind, fmt.Errorf("%s: %w: %s", name, err, said))
}

// verdicts are tried in order: what a step of the build printed must not pass for the builder's own words, so
// a failing step comes first.
var verdicts = []struct {
	kind error
	says []string
}{
	{image.ErrBuild, []string{"did not complete successfully", "returned a non-zero code", "parse error", "failed to compute cache key", "COPY failed", "ADD failed"}},
	{image.ErrDenied, []string{"401 Unauthorized", "403 Forbidden", "no basic auth credentials", "pull access denied", "insufficient_scope", "permission denied while trying to connect"}},
	{image.ErrUnavailable, []string{
		"Cannot connect to the Docker daemon", "failed to connect to the docker API", "context deadline exceeded", "failed to list workers", "no builder", "error reading from server",
		"connection refused", "connection error", "error during connect", "failed to receive status", "closing transport", "unknown command: docker buildx",
	}},
	{image.ErrNotFound, []string{
		"failed to resolve source metadata", "manifest unknown", "no such host", "repository does not exist",
		"could not be found", "failed to reach build target", "failed to read dockerfile",
	}},
}
