// Secret gives a program its secrets, or writes them for a system that will.
//
//	secret run -env NAME=REF … -- COMMAND [ARGUMENT]…
//	secret export -format dotenv|k8s|eso|azuredevops|github [-name N] [-namespace N] [-role R] -env NAME=REF …
//	secret policy REF…
//	secret preflight REF…
//
// References are vault://mount/path?version=3#key, env://NAME and file:///path#key. Vault is found as its own
// command finds it: VAULT_ADDR, VAULT_NAMESPACE, VAULT_CACERT, VAULT_CLIENT_CERT, VAULT_CLIENT_KEY, and VAULT_TOKEN,
// or VAULT_ROLE_ID with VAULT_SECRET_ID. Plain HTTP only to this machine, or with -insecure.
//
// run starts the command with the values in its environment, and without the Vault credentials named above. What it
// prints passes through a redactor; signals go on to it; its exit code becomes ours. While it runs dynamic secrets
// are renewed, and when it ends they are revoked. What it leaves running in the background is listened to for ten
// more seconds.
//
// export prints the document; for github, the masks go to standard error and the rest belongs at the end of the
// file $GITHUB_ENV. Dynamic secrets, which end with us, are refused. eso writes no values. policy prints the least Vault policy that reads the references.
// preflight prints as JSON what would be in the way of reading them.
//
// Exit code 0: done; 1: preflight refuses; 2: wrong usage; 3: broken, unreachable or denied; of run: the command's.
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
	"strings"
	"syscall"

	"github.com/waybill-dev/waybill/secrets"
	"github.com/waybill-dev/waybill/secrets/export"
	"github.com/waybill-dev/waybill/secrets/vault"
)

// interrupts end what is under way.
var interrupts = []os.Signal{os.Interrupt, syscall.SIGTERM}

const (
	exitRefused = 1
	exitUsage   = 2
	exitBroken  = 3
)

func main() {
	// A reader that leaves, as in "| head -1", must not end us before the leases are revoked: writing becomes an error.
	// To ignore the signal would be inherited by the command.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	os.Exit(run(context.Background(), os.Args[1:], os.Stdout, os.Stderr))
}

const usage = `usage:
  secret run -env NAME=REF ... -- COMMAND [ARGUMENT]...
  secret export -format dotenv|k8s|eso|azuredevops|github -env NAME=REF ...
  secret policy REF...
  secret preflight REF...
"secret COMMAND -h" lists the flags of a command.
`

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	commands := map[string]func(ctx context.Context, q *request, stdout, stderr io.Writer) (int, error){
		"run": runCommand, "export": exportItems, "policy": printPolicy, "preflight": printPreflight,
	}
	if len(args) == 0 || commands[args[0]] == nil {
		fmt.Fprint(stderr, usage)
		if len(args) == 1 && (args[0] == "-h" || args[0] == "help") {
			return 0
		}
		return exitUsage
	}
	q, err := parse(args[0], args[1:], stderr)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err != nil {
		fmt.Fprintln(stderr, "secret:", err)
		return exitUsage
	}
	if args[0] != "run" { // run passes signals on instead
		var stop context.CancelFunc
		ctx, stop = signal.NotifyContext(ctx, interrupts...)
		defer stop()
	}
	code, err := commands[args[0]](ctx, q, stdout, stderr)
	if err != nil {
		fmt.Fprintln(stderr, "secret:", err)
	}
	return code
}

// request is what the flags say.
type request struct {
	items    []export.Item // -env
	rest     []string      // the command, or references
	insecure bool

	format, name, namespace, role string
}

func parse(command string, args []string, stderr io.Writer) (*request, error) {
	q := &request{}
	f := flag.NewFlagSet("secret "+command, flag.ContinueOnError)
	f.SetOutput(stderr)
	f.BoolVar(&q.insecure, "insecure", false, "allow plain HTTP to other machines")
	if command == "run" || command == "export" {
		// Never an error here: package flag repeats the argument, which may be a secret in the wrong place.
		f.Func("env", "`NAME=REF`, a variable and where its value comes from; may be repeated", func(s string) error {
			name, ref, _ := strings.Cut(s, "=")
			q.items = append(q.items, export.Item{Name: name, Ref: ref})
			return nil
		})
	}
	if command == "export" {
		f.StringVar(&q.format, "format", "", "dotenv, k8s, eso, azuredevops or github")
		f.StringVar(&q.name, "name", "app", "name of the Kubernetes object (k8s, eso)")
		f.StringVar(&q.namespace, "namespace", "", "namespace of the Kubernetes object (k8s, eso)")
		f.StringVar(&q.role, "role", "", "Vault role the operator logs in with by its service account (eso)")
	}
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	q.rest = f.Args()
	for i, ref := range q.refs() {
		if _, err := secrets.ParseRef(ref); err != nil {
			return nil, fmt.Errorf("-env number %d: want NAME=REF: %w", i+1, err)
		}
	}
	if command == "policy" || command == "preflight" {
		for i, ref := range q.rest {
			if _, err := secrets.ParseRef(ref); err != nil {
				return nil, fmt.Errorf("argument number %d: %w", i+1, err)
			}
		}
	}
	switch {
	case (command == "run" || command == "export") && len(q.items) == 0:
		return nil, errors.New("name at least one -env NAME=REF")
	case command == "run" && len(q.rest) == 0:
		return nil, errors.New("name a command behind --")
	case command == "export" && len(q.rest) > 0:
		return nil, fmt.Errorf("unexpected argument %q", q.rest[0])
	case (command == "policy" || command == "preflight") && len(q.rest) == 0:
		return nil, errors.New("name at least one reference")
	}
	return q, nil
}

// stores is where references lead. Vault is connected to when one of them leads there.
type stores struct {
	resolver *secrets.Resolver
	redactor *secrets.Redactor
	vault    *vault.Client // nil without a vault reference
}

func open(q *request, refs []string, stderr io.Writer) (*stores, error) {
	s := &stores{redactor: secrets.NewRedactor()}
	byScheme := map[string]secrets.Store{"env": secrets.FromEnv(), "file": secrets.FromFiles(nil)}
	for _, ref := range refs {
		if strings.HasPrefix(ref, "vault://") && s.vault == nil {
			var err error
			if s.vault, err = vault.FromEnv(&vault.Options{AllowInsecureHTTP: q.insecure}); err != nil {
				return nil, err
			}
			byScheme["vault"] = s.vault
		}
	}
	var err error
	s.resolver, err = secrets.NewResolver(byScheme, &secrets.ResolverOptions{
		Redactor: s.redactor,
		OnError:  func(_ string, err error) { fmt.Fprintln(stderr, "secret:", err) }, // too short to mask, among others
	})
	return s, err
}

// close revokes what was issued, also when ctx has ended.
func (s *stores) close(ctx context.Context) error {
	err := s.resolver.Close()
	if s.vault != nil {
		err = errors.Join(err, s.vault.Close(context.WithoutCancel(ctx)))
	}
	return err
}

func (q *request) refs() []string {
	refs := make([]string, len(q.items))
	for i, item := range q.items {
		refs[i] = item.Ref
	}
	return refs
}

func exportItems(ctx context.Context, q *request, stdout, stderr io.Writer) (int, error) {
	s, err := open(q, q.refs(), stderr)
	if err != nil {
		return exitBroken, err
	}
	err = errors.Join(write(ctx, q, s, stdout, stderr), s.close(ctx))
	switch {
	case err == nil:
		return 0, nil
	case errors.Is(err, secrets.ErrInvalid):
		return exitUsage, err
	}
	return exitBroken, err
}

func write(ctx context.Context, q *request, s *stores, stdout, stderr io.Writer) error {
	if q.format == "eso" {
		if s.vault == nil {
			return &secrets.Error{Op: "export", Kind: secrets.ErrInvalid, Err: errors.New("manifests for External Secrets need vault references")}
		}
		mounts, err := s.vault.Mounts(ctx, q.refs()...)
		if err != nil {
			return err
		}
		o := &export.ExternalSecretsOptions{
			Namespace: q.namespace, Server: s.vault.Address(), VaultNamespace: os.Getenv("VAULT_NAMESPACE"),
			Mounts: mounts, Kubernetes: &export.KubernetesAuth{Role: q.role},
		}
		if file := os.Getenv("VAULT_CACERT"); file != "" {
			if o.CABundle, err = os.ReadFile(file); err != nil {
				return err
			}
		}
		return export.ExternalSecrets(stdout, q.name, q.items, o)
	}
	items, err := export.Resolve(ctx, s.resolver, q.items)
	if err != nil {
		return err
	}
	for _, item := range items {
		_, meta, err := s.resolver.Lookup(ctx, item.Ref)
		if err != nil {
			return err
		}
		if !meta.Expires.IsZero() {
			return &secrets.Error{Op: "export", Ref: item.Ref, Kind: secrets.ErrInvalid, Err: errors.New("a dynamic secret ends with this command; use run")}
		}
	}
	switch q.format {
	case "dotenv":
		return export.Dotenv(stdout, items, nil)
	case "k8s":
		return export.KubernetesSecret(stdout, q.name, items, &export.SecretOptions{Namespace: q.namespace})
	case "azuredevops":
		return export.AzureDevOps(stdout, items, nil)
	case "github":
		return export.GitHub(stderr, stdout, items)
	}
	return &secrets.Error{Op: "export", Kind: secrets.ErrInvalid, Err: fmt.Errorf("-format is %q; there are dotenv, k8s, eso, azuredevops and github", q.format)}
}

func printPolicy(ctx context.Context, q *request, stdout, stderr io.Writer) (int, error) {
	s, err := open(q, q.rest, stderr)
	if err != nil {
		return exitBroken, err
	}
	if s.vault == nil {
		err := &secrets.Error{Op: "policy", Kind: secrets.ErrInvalid, Err: errors.New("none of the references leads to Vault")}
		return exitUsage, errors.Join(err, s.close(ctx))
	}
	policy, err := s.vault.Policy(ctx, q.rest...)
	if err := errors.Join(err, s.close(ctx)); err != nil {
		return exitBroken, err
	}
	_, err = io.WriteString(stdout, policy)
	return 0, err
}

// verdict is what preflight prints.
type verdict struct {
	OK     bool          `json:"ok"`
	Checks []vault.Check `json:"checks"`
}

func printPreflight(ctx context.Context, q *request, stdout, stderr io.Writer) (int, error) {
	s, err := open(q, q.rest, stderr)
	if errors.Is(err, secrets.ErrInsecure) {
		refused := verdict{Checks: []vault.Check{{Name: "transport", Detail: err.Error()}}}
		if printErr := json.NewEncoder(stdout).Encode(refused); printErr != nil {
			return exitBroken, printErr
		}
		return exitRefused, err
	}
	if err != nil {
		return exitBroken, err
	}
	var v verdict
	if s.vault != nil {
		v.Checks, err = s.vault.Preflight(ctx, q.rest...)
	}
	for _, ref := range q.rest {
		if !strings.HasPrefix(ref, "vault://") {
			_, getErr := s.resolver.Get(ctx, ref)
			err = errors.Join(err, getErr)
			check := vault.Check{Name: "read", About: ref, OK: getErr == nil, Detail: "may be read"}
			if getErr != nil {
				check.Detail = getErr.Error()
			}
			v.Checks = append(v.Checks, check)
		}
	}
	v.OK = err == nil
	closeErr := s.close(ctx)
	if printErr := json.NewEncoder(stdout).Encode(v); printErr != nil {
		return exitBroken, printErr
	}
	switch {
	case closeErr != nil, errors.Is(err, secrets.ErrUnavailable), errors.Is(err, secrets.ErrSealed), errors.Is(err, secrets.ErrUnauthenticated):
		return exitBroken, errors.Join(err, closeErr)
	case err != nil:
		return exitRefused, err
	}
	return 0, nil
}
