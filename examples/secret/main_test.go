//go:build unix

package main

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/waybill-dev/waybill/secrets/secretstest"
	"github.com/waybill-dev/waybill/secrets/vault/vaulttest"
)

// built is the program, compiled once.
var built string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "secret-")
	if err == nil {
		built = filepath.Join(dir, "secret")
		var out []byte
		if out, err = exec.Command("go", "build", "-o", built, ".").CombinedOutput(); err != nil {
			os.Stderr.Write(out)
		}
	}
	if err != nil {
		os.Stderr.WriteString(err.Error() + "\n")
		os.Exit(1)
	}
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// program returns the built program with an environment of its own.
func program(t *testing.T, s *vaulttest.Server, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), built, args...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir()}
	if s != nil {
		cmd.Env = append(cmd.Env, "VAULT_ADDR="+s.URL, "VAULT_TOKEN="+s.RootToken)
	}
	return cmd
}

func output(t *testing.T, cmd *exec.Cmd) (stdout, stderr string, code int) {
	t.Helper()
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	if err := cmd.Run(); err != nil {
		var exit *exec.ExitError
		require.ErrorAs(t, err, &exit)
	}
	return out.String(), errOut.String(), cmd.ProcessState.ExitCode()
}

func server(t *testing.T, data map[string]any) *vaulttest.Server {
	t.Helper()
	s := vaulttest.NewServer(t, nil)
	_, err := s.Put("secret/app", data)
	require.NoError(t, err)
	return s
}

func TestRun(t *testing.T) {
	s := server(t, map[string]any{"password": "hunter22"})
	stdout, stderr, code := output(t, program(t, s, "run", "-env", "PW=vault://secret/app#password", "--",
		"sh", "-c", `test "$PW" = hunter22 && test -z "$VAULT_TOKEN" && echo "out $PW" && echo "err $PW" >&2; exit 7`))
	assert.Equal(t, 7, code)
	assert.Equal(t, "out ***\n", stdout)
	assert.Equal(t, "err ***\n", stderr)
}

func TestRun_saysWhatItCannotMask(t *testing.T) {
	s := server(t, map[string]any{"pin": "42"})
	stdout, stderr, code := output(t, program(t, s, "run", "-env", "PIN=vault://secret/app#pin", "--", "sh", "-c", `echo "$PIN"`))
	assert.Equal(t, 0, code)
	assert.Equal(t, "42\n", stdout)
	assert.Contains(t, stderr, "vault://secret/app#pin: too short to mask")
}

// A command that leaves something behind, which holds its output open, has ended all the same.
func TestRun_leavesTheBackground(t *testing.T) {
	t.Parallel()
	cmd := program(t, nil, "run", "-env", "V=env://HOME", "--", "sh", "-c", `sleep 600 & echo $!; exit 3`)
	stdout, stderr, code := output(t, cmd)
	assert.Equal(t, 3, code, stderr)
	assert.Empty(t, stderr)
	pid, err := strconv.Atoi(strings.TrimSpace(stdout))
	require.NoError(t, err)
	assert.NoError(t, syscall.Kill(pid, syscall.SIGKILL), "it goes on")
}

func TestRun_leaksNoCanary(t *testing.T) {
	sinks := 0
	for _, canary := range secretstest.Canaries() {
		s := server(t, map[string]any{"v": canary})
		dir := t.TempDir()
		cmd := program(t, s, "run", "-env", "V=vault://secret/app#v", "--", "sh", "-c",
			`printf '%s' "$V"; printf '%s' "$V" >&2; printf '%s' "$V" | base64 -w0; printf '%s' "$V" | od -An -tx1 | tr -d ' \n'; tr '\0' ' ' < /proc/$PPID/cmdline; tr '\0' ' ' < /proc/$$/cmdline`)
		cmd.Env = append(cmd.Env, "TMPDIR="+dir)
		stdout, stderr, code := output(t, cmd)
		require.Equal(t, 0, code, stderr)
		for name, text := range map[string]string{"stdout": stdout, "stderr": stderr} {
			assert.Empty(t, secretstest.Leaks(text, canary), name)
			sinks++
		}
		files, err := os.ReadDir(dir)
		require.NoError(t, err)
		assert.Empty(t, files, "no temporary files")
		sinks += 3 // both command lines, which are in stdout, and the files
	}
	t.Logf("%d canaries, %d sinks, no leak", len(secretstest.Canaries()), sinks)
}

func TestRun_passesSignalsOn(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGUSR1} {
		s := server(t, map[string]any{"v": "hunter22"})
		cmd := program(t, s, "run", "-env", "V=vault://secret/app#v", "--", "sh", "-c",
			`trap 'echo "caught with $V"; exit 42' TERM INT HUP USR1; echo ready; while :; do sleep 0.05; done`)
		out, err := cmd.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, cmd.Start())
		ready := make([]byte, len("ready\n"))
		_, err = io.ReadFull(out, ready)
		require.NoError(t, err)
		require.NoError(t, cmd.Process.Signal(sig))
		rest, err := io.ReadAll(out)
		require.NoError(t, err)
		_ = cmd.Wait()
		assert.Equal(t, "caught with ***\n", string(rest), sig)
		assert.Equal(t, 42, cmd.ProcessState.ExitCode(), sig)
	}
	_, _, code := output(t, program(t, server(t, map[string]any{"v": "x"}), "run", "-env", "V=vault://secret/app#v", "--", "sh", "-c", "kill -KILL $$"))
	assert.Equal(t, 128+9, code)
}

func TestRun_interruptedWhileFetching(t *testing.T) {
	s := server(t, map[string]any{"v": "hunter22"})
	s.Fail(vaulttest.Fault{Path: "secret/data/app", Delay: time.Minute})
	cmd := program(t, s, "run", "-env", "V=vault://secret/app#v", "--", "echo", "started")
	var out bytes.Buffer
	cmd.Stdout = &out
	require.NoError(t, cmd.Start())
	require.Eventually(t, func() bool { return s.Count("GET", "sys/internal/ui/mounts") > 0 }, 10*time.Second, 10*time.Millisecond)
	begin := time.Now()
	require.NoError(t, cmd.Process.Signal(syscall.SIGINT))
	_ = cmd.Wait()
	assert.Less(t, time.Since(begin), 20*time.Second)
	assert.Equal(t, exitBroken, cmd.ProcessState.ExitCode())
	assert.Empty(t, out.String())
}

func TestRun_revokesWhatItIssued(t *testing.T) {
	s := vaulttest.NewServer(t, nil)
	require.NoError(t, s.DatabaseRole("app", "1h", "2h"))
	stdout, stderr, code := output(t, program(t, s, "run", "-env", "U=vault://database/creds/app#username", "-env", "P=vault://database/creds/app#password", "--",
		"sh", "-c", `test -n "$U" && test -n "$P" && echo ok`))
	require.Equal(t, 0, code, stderr)
	assert.Equal(t, "ok\n", stdout)
	assert.Empty(t, s.Leases())
	assert.Equal(t, 1, s.Count("GET", "database/creds/app"), "user and password are of one lease")
}

func TestRun_revokesWhenNobodyReads(t *testing.T) {
	s := vaulttest.NewServer(t, nil)
	require.NoError(t, s.DatabaseRole("app", "1h", "2h"))
	cmd := program(t, s, "run", "-env", "P=vault://database/creds/app#password", "--", "sh", "-c", `echo one; read x; echo two; echo three`)
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	_, err = io.ReadFull(out, make([]byte, len("one\n")))
	require.NoError(t, err)
	require.NoError(t, out.Close())
	_, err = in.Write([]byte("go on\n"))
	require.NoError(t, err)
	require.Error(t, cmd.Wait())
	assert.Empty(t, s.Leases())
}

func TestExport_tellsTheOperatorWhereVaultIs(t *testing.T) {
	s := vaulttest.NewServer(t, &vaulttest.Options{TLS: true})
	ca := filepath.Join(t.TempDir(), "ca.pem")
	require.NoError(t, os.WriteFile(ca, s.CA(), 0o600))
	cmd := program(t, s, "export", "-format", "eso", "-role", "app", "-env", "PW=vault://secret/app#password")
	cmd.Env = append(cmd.Env, "VAULT_CACERT="+ca, "VAULT_NAMESPACE=team-a")
	stdout, stderr, code := output(t, cmd)
	require.Equal(t, 0, code, stderr)
	assert.Contains(t, stdout, `namespace: "team-a"`)
	assert.Contains(t, stdout, "caBundle")
}

func TestExport(t *testing.T) {
	s := server(t, map[string]any{"password": "hunter22"})
	for format, want := range map[string]string{
		"dotenv":      "PW='hunter22'\n",
		"k8s":         "aHVudGVyMjI=",
		"azuredevops": "##vso[task.setvariable variable=PW;issecret=true]hunter22\n",
		"github":      "PW<<ghadelimiter_",
		"eso":         `property: "password"`,
	} {
		stdout, stderr, code := output(t, program(t, s, "export", "-format", format, "-role", "app", "-env", "PW=vault://secret/app#password"))
		assert.Equal(t, 0, code, stderr)
		assert.Contains(t, stdout, want, format)
		if format == "eso" {
			assert.Empty(t, secretstest.Leaks(stdout, "hunter22"))
		}
		if format == "github" {
			assert.Contains(t, stderr, "::add-mask::hunter22\n")
		}
	}
}

func TestExport_dynamic(t *testing.T) {
	s := vaulttest.NewServer(t, nil)
	require.NoError(t, s.DatabaseRole("app", "1h", "2h"))
	stdout, stderr, code := output(t, program(t, s, "export", "-format", "dotenv", "-env", "P=vault://database/creds/app#password"))
	assert.Equal(t, exitUsage, code)
	assert.Contains(t, stderr, "use run")
	assert.Empty(t, stdout)
	assert.Empty(t, s.Leases())
}

func TestPolicy(t *testing.T) {
	stdout, stderr, code := output(t, program(t, server(t, map[string]any{"k": "v"}), "policy", "vault://secret/app#k"))
	assert.Equal(t, 0, code, stderr)
	assert.Contains(t, stdout, `path "secret/data/app" {`)
}

func TestPreflight(t *testing.T) {
	s := server(t, map[string]any{"k": "v"})
	stdout, _, code := output(t, program(t, s, "preflight", "vault://secret/app#k"))
	assert.Equal(t, exitRefused, code, "a root token")
	var v verdict
	require.NoError(t, json.Unmarshal([]byte(stdout), &v))
	assert.False(t, v.OK)
	assert.NotEmpty(t, v.Checks)

	t.Setenv("HERE", "value")
	cmd := program(t, nil, "preflight", "env://HERE")
	cmd.Env = append(cmd.Env, "HERE=value")
	stdout, _, code = output(t, cmd)
	assert.Equal(t, 0, code)
	assert.JSONEq(t, `{"ok":true,"checks":[{"name":"read","about":"env://HERE","ok":true,"detail":"may be read"}]}`, stdout)

	cmd = program(t, nil, "preflight", "vault://secret/app#k")
	cmd.Env = append(cmd.Env, "VAULT_ADDR=http://vault.example.test", "VAULT_TOKEN=x")
	stdout, _, code = output(t, cmd)
	assert.Equal(t, exitRefused, code)
	v = verdict{}
	require.NoError(t, json.Unmarshal([]byte(stdout), &v))
	assert.False(t, v.OK)
	assert.Contains(t, v.Checks[0].Detail, "plain HTTP")

	s.Seal()
	_, _, code = output(t, program(t, s, "preflight", "vault://secret/app#k"))
	assert.Equal(t, exitBroken, code, "sealed")
}

func TestExitCodes(t *testing.T) {
	s := server(t, map[string]any{"k": "v"})
	for args, want := range map[string]int{
		"":                            exitUsage,
		"-h":                          0,
		"run -h":                      0,
		"nonsense":                    exitUsage,
		"run":                         exitUsage,
		"run -env A=env://B":          exitUsage,
		"run -env A -- true":          exitUsage,
		"run -env A=hunter22 -- true": exitUsage,
		"policy":                      exitUsage,
		"preflight":                   exitUsage,
		"export -format x -env A=file:///dev/null/x":          exitBroken,
		"export -format x -env A=vault://secret/app#k":        exitUsage,
		"export -format dotenv -env A=env://UNSET":            exitBroken,
		"export -format eso -env A=env://UNSET":               exitUsage,
		"policy env://A":                                      exitUsage,
		"policy hunter22 vault://secret/app#k":                exitUsage,
		"preflight hunter22":                                  exitUsage,
		"run -env A=env://UNSET -- true":                      exitBroken,
		"run -env A=vault://secret/none#k -- true":            exitBroken,
		"run -env A=vault://secret/app#k -- /no/such/command": exitBroken,
		"run -env A=vault://secret/app#k -- false":            1,
		"run -env A=vault://secret/app#k -- true":             0,
	} {
		stdout, stderr, code := output(t, program(t, s, strings.Fields(args)...))
		assert.Equal(t, want, code, "secret %s\n%s", args, stderr)
		assert.NotContains(t, stdout+stderr, "hunter22")
		if want == exitBroken {
			assert.NotEmpty(t, stderr)
		}
	}
}
