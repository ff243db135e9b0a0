package precommit

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/waybill-dev/waybill/scan"
	"github.com/waybill-dev/waybill/scan/command"
)

// repo runs git in one repository.
type repo struct {
	git  *command.Program
	dir  string // as given by the caller
	root string
}

func open(ctx context.Context, dir, git string) (*repo, error) {
	prog, err := command.Tool{Name: "git", Path: git, VersionArgs: []string{"--version"}, Min: "2.28"}.Find(ctx)
	if err != nil {
		return nil, err
	}
	r := &repo{git: prog, dir: dir}
	if _, err := os.Stat(dir); err != nil {
		return nil, fail(dir, scan.ErrTarget, err)
	}
	if r.root, err = r.run(ctx, nil, "rev-parse", "--show-toplevel"); err != nil {
		return nil, err
	}
	r.root = strings.TrimSuffix(r.root, "\n")
	return r, nil
}

// run runs git with the environment a hook is given: it names the index the commit is made of, which is not
// always the usual one.
func (r *repo) run(ctx context.Context, in []byte, args ...string) (string, error) {
	dir := r.root
	if dir == "" {
		dir = r.dir
	}
	call := command.Call{
		Args: args, Dir: dir, InheritEnv: true, WithoutEnv: []string{"GIT_DIR", "GIT_WORK_TREE"},
		Env: []string{"LC_ALL=C", "GIT_OPTIONAL_LOCKS=0"}, MaxOutput: 1 << 30,
	}
	if in != nil {
		call.In = strings.NewReader(string(in))
	}
	out, err := r.git.Run(ctx, call)
	if err != nil {
		return "", err
	}
	if out.Code != 0 {
		kind := scan.ErrBroken
		if args[0] == "rev-parse" {
			kind = scan.ErrTarget
		}
		return "", fail(r.dir, kind, fmt.Errorf("git %s: exit code %d: %s", args[0], out.Code, strings.TrimSpace(out.Stderr)))
	}
	return string(out.Stdout), nil
}

// staged lists the files that are added or changed, and those that are deleted: a renamed file is both.
func (r *repo) staged(ctx context.Context) (files, deleted []string, err error) {
	list := func(filter string) ([]string, error) {
		out, err := r.run(ctx, nil, "diff", "--cached", "--name-only", "--diff-filter="+filter, "--no-renames", "--no-ext-diff", "--no-relative", "-z")
		return strings.FieldsFunc(out, func(c rune) bool { return c == 0 }), err
	}
	if files, err = list("d"); err != nil {
		return nil, nil, err
	}
	deleted, err = list("D")
	return files, deleted, err
}

// holds reports whether the index has a file of that name, relative to the root.
func (r *repo) holds(ctx context.Context, name string) (bool, error) {
	if !filepath.IsLocal(name) {
		return false, nil
	}
	out, err := r.run(ctx, nil, "ls-files", "-z", "--", ":(top,literal)"+filepath.ToSlash(name))
	return out != "", err
}

// export writes files as they are staged below dir, all of the index for nil.
func (r *repo) export(ctx context.Context, dir string, files []string) error {
	prefix := "--prefix=" + filepath.ToSlash(dir) + "/"
	var err error
	if files == nil {
		_, err = r.run(ctx, nil, "checkout-index", "--all", "--force", "--quiet", prefix)
	} else {
		_, err = r.run(ctx, []byte(strings.Join(files, "\x00")+"\x00"), "checkout-index", "--force", "--quiet", prefix, "-z", "--stdin")
	}
	return err
}

// gitVariables are the variables by which git tells a hook about the repository; a test that runs git must not
// be told.
func gitVariables() []string {
	var names []string
	for _, e := range os.Environ() {
		if name, _, _ := strings.Cut(e, "="); strings.HasPrefix(name, "GIT_") {
			names = append(names, name)
		}
	}
	return names
}

// InstallOptions for [Install].
type InstallOptions struct {
	Git     string // the git command; "" is looked up on the PATH
	Replace bool   // take the place of a hook that somebody else made
}

const hookMark = "# made by waybill's scan/precommit; edit the program it starts instead"

// Install makes a program, with arguments, the pre-commit hook of the repository of dir, and returns the path of
// the hook. A hook of an earlier Install is replaced; one that somebody else made is an error, [scan.ErrConfig],
// unless InstallOptions.Replace. git runs the hook at the root of the repository before each commit, and stops
// the commit when it ends with a code other than 0.
func Install(ctx context.Context, dir string, program []string, o *InstallOptions) (hook string, err error) {
	if o == nil {
		o = &InstallOptions{}
	}
	if len(program) == 0 || program[0] == "" {
		return "", fail(dir, scan.ErrConfig, errors.New("no program"))
	}
	r, err := open(ctx, dir, o.Git)
	if err != nil {
		return "", err
	}
	hooks, err := r.run(ctx, nil, "rev-parse", "--git-path", "hooks")
	if err != nil {
		return "", err
	}
	hooks = strings.TrimSuffix(hooks, "\n")
	if !filepath.IsAbs(hooks) {
		hooks = filepath.Join(r.root, hooks)
	}
	hook = filepath.Join(hooks, "pre-commit")
	old, err := os.ReadFile(hook)
	if err == nil && !strings.Contains(string(old), hookMark) && !o.Replace {
		return "", fail(dir, scan.ErrConfig, fmt.Errorf("%s is a hook that somebody else made; Replace would take its place", hook))
	}
	if err != nil && !os.IsNotExist(err) {
		return "", fail(dir, scan.ErrBroken, err)
	}
	quoted := make([]string, len(program))
	for i, p := range program {
		quoted[i] = "'" + strings.ReplaceAll(p, "'", `'\''`) + "'"
	}
	text := "#!/bin/sh\n" + hookMark + "\nexec " + strings.Join(quoted, " ") + " \"$@\"\n"
	if err := errors.Join(os.MkdirAll(hooks, 0o755), os.WriteFile(hook+".new", []byte(text), 0o755)); err != nil { //nolint:gosec // a hook must be executable
		return "", fail(dir, scan.ErrBroken, err)
	}
	if err := os.Rename(hook+".new", hook); err != nil {
		return "", fail(dir, scan.ErrBroken, err)
	}
	return hook, nil
}
