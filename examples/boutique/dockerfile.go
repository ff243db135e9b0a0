package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/waybill-dev/waybill/image"
)

// program is what a Dockerfile says that puts one built program on nothing. Both ways to build an image follow
// it, so that the same container comes out of them: without a daemon the program is compiled into the image's
// layer, and a builder gets a context with the compiled program in it.
type program struct {
	spec image.Spec // without layers
	file string     // the program, in the build context
	path string     // and in the image
}

// readProgram reads such a Dockerfile. One that does anything else takes a builder to build.
func readProgram(dockerfile []byte) (*program, error) {
	p := &program{}
	for n, line := range strings.Split(strings.ReplaceAll(string(dockerfile), "\r\n", "\n"), "\n") {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		instruction, rest, _ := strings.Cut(line, " ")
		if err := p.follow(strings.ToUpper(instruction), strings.TrimSpace(rest)); err != nil {
			return nil, fmt.Errorf("line %d: %s: %w", n+1, instruction, err)
		}
	}
	switch {
	case p.file == "":
		return nil, errors.New("no program is copied")
	case len(p.spec.Entrypoint) == 0 || p.spec.Entrypoint[0] != p.path:
		return nil, fmt.Errorf("%s is not the entrypoint", p.path)
	}
	return p, nil
}

var (
	errTakesBuilder = errors.New("it takes a builder to do that")
	errNoProgram    = errors.New("no Go program")
)

func (p *program) follow(instruction, rest string) (err error) {
	if strings.HasSuffix(rest, `\`) || strings.Contains(rest, "$") {
		return errTakesBuilder
	}
	words := strings.Fields(rest)
	switch instruction {
	case "FROM":
		if rest != "scratch" || p.file != "" {
			return errTakesBuilder
		}
	case "COPY":
		if len(words) != 2 || p.file != "" || strings.HasPrefix(rest, "-") || strings.HasPrefix(rest, "[") ||
			filepath.Base(words[0]) != words[0] || !strings.HasPrefix(words[1], "/") || strings.HasSuffix(words[1], "/") {
			return errTakesBuilder
		}
		p.file, p.path = words[0], words[1]
	case "ENV", "LABEL":
		pairs, err := keyValues(rest)
		if err != nil {
			return err
		}
		for _, kv := range pairs {
			if instruction == "ENV" {
				p.spec.Env = append(p.spec.Env, kv[0]+"="+kv[1])
				continue
			}
			if p.spec.Labels == nil {
				p.spec.Labels = map[string]string{}
			}
			p.spec.Labels[kv[0]] = kv[1]
		}
	case "EXPOSE":
		p.spec.Ports = append(p.spec.Ports, words...)
	case "USER":
		p.spec.User = rest
	case "WORKDIR":
		p.spec.WorkDir = rest
	case "ENTRYPOINT":
		err = json.Unmarshal([]byte(rest), &p.spec.Entrypoint)
	case "CMD":
		err = json.Unmarshal([]byte(rest), &p.spec.Cmd)
	default:
		return errTakesBuilder
	}
	if err != nil {
		return fmt.Errorf("%w: %w", errTakesBuilder, err) // the form for shells, and there is none in the image
	}
	return nil
}

// keyValues reads KEY=VALUE and KEY="VALUE WITH SPACES", one or more of them.
func keyValues(s string) (pairs [][2]string, err error) {
	for s = strings.TrimSpace(s); s != ""; s = strings.TrimSpace(s) {
		key, rest, ok := strings.Cut(s, "=")
		if !ok || key == "" || strings.ContainsAny(key, " \t\"'") {
			return nil, errTakesBuilder
		}
		value, after, end := rest, "", strings.IndexAny(rest, " \t")
		switch {
		case strings.HasPrefix(rest, `"`):
			if value, after, ok = strings.Cut(rest[1:], `"`); !ok || after != "" && after[0] != ' ' {
				return nil, errTakesBuilder
			}
		case end >= 0:
			value, after = rest[:end], rest[end:]
		}
		if strings.ContainsAny(value, `\'"`) {
			return nil, errTakesBuilder
		}
		pairs, s = append(pairs, [2]string{key, value}), after
	}
	return pairs, nil
}

// compiler compiles the program in a directory of the source.
func (p *program) compiler(dir, work string) image.GoProgram {
	return image.GoProgram{Dir: dir, Package: ".", Path: p.path, Env: goEnv(work)}
}

// buildContext makes a directory from which a builder builds the Dockerfile: it and the compiled program, for
// linux on this machine's architecture.
func (p *program) buildContext(ctx context.Context, dir, work string) (context string, err error) {
	if context, err = os.MkdirTemp(work, "context-"); err != nil {
		return "", err
	}
	defer func() {
		if err != nil {
			os.RemoveAll(context)
		}
	}()
	dockerfile, err := os.ReadFile(filepath.Join(dir, "Dockerfile"))
	if err != nil {
		return "", err
	}
	if err := os.WriteFile(filepath.Join(context, "Dockerfile"), dockerfile, 0o644); err != nil {
		return "", err
	}
	temp, err := os.MkdirTemp(work, "program-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(temp)
	for f, err := range p.compiler(dir, work).Files(ctx, image.Target{Platform: "linux/" + runtime.GOARCH, TempDir: temp}) {
		if err != nil {
			return "", err
		}
		if err := writeProgram(f, filepath.Join(context, p.file)); err != nil {
			return "", err
		}
	}
	return context, nil
}

func writeProgram(f image.File, path string) error {
	r, err := f.Open()
	if err != nil {
		return err
	}
	defer r.Close()
	w, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o755)
	if err != nil {
		return err
	}
	if _, err := io.Copy(w, r); err != nil {
		w.Close()
		return err
	}
	return w.Close()
}

// programIn reads the Dockerfile of a Go program.
func programIn(dir string) (*program, error) {
	dockerfile, err := os.ReadFile(filepath.Join(dir, "Dockerfile"))
	if err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(dir)
	if err != nil || !slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return filepath.Ext(e.Name()) == ".go" }) {
		return nil, errNoProgram
	}
	p, err := readProgram(dockerfile)
	if err != nil {
		return nil, fmt.Errorf("its Dockerfile, %w", err)
	}
	return p, nil
}
