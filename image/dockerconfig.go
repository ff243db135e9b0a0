package image

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/waybill-dev/waybill/internal/httpx"
)

// DockerConfig is a [Keychain] of the logins that docker login has left: in the file at path (docker's
// config.json) or with the credential helpers it names. The file is read at each login; when it is missing
// there are no logins.
//
// A helper is the program docker-credential-NAME on the PATH. It gets half a minute. An entry counts for the
// exact host and port it names.
func DockerConfig(path string) Keychain { return dockerConfig(path) }

// DockerConfigFromEnv is [DockerConfig] of the file that docker would use: config.json in the directory of
// the environment variable DOCKER_CONFIG, else in .docker below the home directory.
func DockerConfigFromEnv() Keychain {
	dir := os.Getenv("DOCKER_CONFIG") //nolint:forbidigo // a FromEnv function
	if dir == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return Logins{} // nobody at home has no logins
		}
		dir = filepath.Join(home, ".docker")
	}
	return DockerConfig(filepath.Join(dir, "config.json"))
}

type dockerConfig string

// dockerFile is what matters of config.json.
type dockerFile struct {
	Auths       map[string]dockerAuth `json:"auths"`
	CredsStore  string                `json:"credsStore"`
	CredHelpers map[string]string     `json:"credHelpers"`
}

type dockerAuth struct {
	Auth          string `json:"auth"` // base64 of user:password
	Username      string `json:"username"`
	Password      string `json:"password"`
	IdentityToken string `json:"identitytoken"`
}

// hubKey is how docker names Docker Hub in its configuration.
const hubKey = "https://index.docker.io/v1/"

func (c dockerConfig) Login(ctx context.Context, registry string) (Login, error) {
	f, err := c.read()
	if err != nil {
		return Login{}, err
	}
	server := registry
	if registry == "index.docker.io" {
		server = hubKey
	}
	helper := f.CredsStore
	if key, ok := keyFor(f.CredHelpers, server, registry); ok {
		helper = f.CredHelpers[key]
	}
	if helper != "" {
		if l, err := askHelper(ctx, helper, server); err != nil || l != (Login{}) {
			return l, err
		}
	}
	if key, ok := keyFor(f.Auths, server, registry); ok {
		return f.Auths[key].login(key)
	}
	return Login{}, nil
}

// keyFor finds the entry for a registry: the one of exactly the name docker gives it, else the first that names
// its host, so that a file with several always gives the same login.
func keyFor[V any](entries map[string]V, server, registry string) (string, bool) {
	if _, ok := entries[server]; ok {
		return server, true
	}
	for _, key := range slices.Sorted(maps.Keys(entries)) {
		if hostOfKey(key) == registry {
			return key, true
		}
	}
	return "", false
}

func (c dockerConfig) read() (*dockerFile, error) {
	f := &dockerFile{}
	file, err := os.Open(string(c))
	if errors.Is(err, fs.ErrNotExist) {
		return f, nil
	}
	if err != nil {
		return nil, err
	}
	defer file.Close()
	raw, err := httpx.ReadAll(file, 4<<20, string(c))
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(raw, f); err != nil {
		return nil, fmt.Errorf("%s is no docker configuration", string(c)) // the cause may quote a login
	}
	return f, nil
}

// hostOfKey is the host and port that an entry is for: old entries are whole URLs.
func hostOfKey(key string) string {
	key = strings.TrimPrefix(strings.TrimPrefix(key, "https://"), "http://")
	key, _, _ = strings.Cut(key, "/")
	if key == "docker.io" || key == "registry-1.docker.io" {
		return "index.docker.io"
	}
	return key
}

func (a dockerAuth) login(key string) (Login, error) {
	l := Login{User: a.Username, Password: a.Password, IdentityToken: a.IdentityToken}
	if a.Auth != "" {
		raw, err := base64.StdEncoding.DecodeString(a.Auth)
		user, password, ok := strings.Cut(strings.TrimRight(string(raw), "\x00"), ":")
		if err != nil || !ok {
			return Login{}, fmt.Errorf("the docker configuration's entry for %s is damaged", key)
		}
		l.User, l.Password = user, password
	}
	return l, nil
}

var helperName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*$`)

// askHelper speaks the protocol of credential helpers: the server on standard input, an object on standard
// output. "Not there" is a login that is empty.
func askHelper(ctx context.Context, name, server string) (Login, error) {
	if !helperName.MatchString(name) {
		return Login{}, fmt.Errorf("the docker configuration names an impossible credential helper, %q", name)
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, "docker-credential-"+name, "get") //nolint:gosec // what the user's own configuration says
	cmd.Stdin = strings.NewReader(server)
	cmd.WaitDelay = time.Second
	var out tail
	cmd.Stdout = &out
	if err := cmd.Run(); err != nil {
		said := out.String()
		if _, ran := errors.AsType[*exec.ExitError](err); ran && strings.Contains(said, "credentials not found") {
			return Login{}, nil
		}
		return Login{}, fmt.Errorf("credential helper docker-credential-%s: %w: %s", name, err, oneLine(said))
	}
	var got struct{ Username, Secret string }
	if err := json.Unmarshal(bytes.TrimSpace(out.buf), &got); err != nil {
		return Login{}, fmt.Errorf("credential helper docker-credential-%s did not print a login", name)
	}
	if got.Username == "<token>" {
		return Login{IdentityToken: got.Secret}, nil
	}
	return Login{User: got.Username, Password: got.Secret}, nil
}
