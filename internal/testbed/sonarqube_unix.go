//go:build unix

package testbed

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// SonarQube is a SonarQube server with its built-in administrator.
type SonarQube struct {
	URL     string
	Token   string // of the administrator
	Scanner string // path of the sonar-scanner command
}

// StartSonarQube starts a SonarQube server and waits until it is up, which takes a minute on two idle cores. It
// needs Java 17 or 21; run by root, it makes the server nobody's, as the search engine in it insists.
func StartSonarQube(tb TB) *SonarQube {
	tb.Helper()
	dist, err := sonarQubeDir()
	if err != nil {
		tb.Fatalf("testbed: %v", err)
	}
	if _, err := os.Stat(dist); err != nil {
		tb.Skipf("testbed: SonarQube is not there (0.9 GB); fetch it with: go run ./internal/testbed/cmd build sonarqube")
	}
	java := Debian(tb, "openjdk-17-jre-headless", "java")

	// The server writes beside its programs. Links to their files cost nothing.
	home, err := os.MkdirTemp("", "waybill-sonarqube-")
	if err != nil {
		tb.Fatalf("testbed: %v", err)
	}
	tb.Cleanup(func() { _ = os.RemoveAll(home) })
	app := filepath.Join(home, "sonarqube-"+SonarQubeVersion)
	mustRun(tb, "cp", "-a", filepath.Join(dist, filepath.Base(app)), app)
	web, search, transport := FreePort(tb), FreePort(tb), FreePort(tb)
	WriteFile(tb, filepath.Join(app, "conf", "sonar.properties"), fmt.Sprintf(`sonar.web.host=127.0.0.1
sonar.web.port=%d
sonar.search.host=127.0.0.1
sonar.search.port=%d
sonar.es.port=%d
sonar.telemetry.enable=false
sonar.updatecenter.activate=false
sonar.web.javaOpts=-Xmx384m -Xms128m
sonar.ce.javaOpts=-Xmx384m -Xms128m
sonar.search.javaOpts=-Xmx384m -Xms384m -XX:MaxDirectMemorySize=128m
sonar.search.javaAdditionalOpts=-Dnode.store.allow_mmap=false
`, web, search, transport))
	cmd := exec.Command(java, "-Xmx64m", "-jar", filepath.Join("lib", "sonar-application-"+SonarQubeVersion+".jar"))
	cmd.Dir, cmd.Env = app, append(os.Environ(), "HOME="+home)
	if os.Getuid() == 0 {
		const nobody = 65534
		mustRun(tb, "chown", "-R", fmt.Sprintf("%d:%d", nobody, nobody), home)
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	}
	s := &SonarQube{
		URL:     fmt.Sprintf("http://127.0.0.1:%d", web),
		Scanner: filepath.Join(dist, "sonar-scanner-"+SonarScannerVersion, "bin", "sonar-scanner"),
	}
	StartProcess(tb, "sonarqube", cmd, func(context.Context) error { return nil })
	ctx, cancel := context.WithTimeout(tb.Context(), 18*time.Minute) // on a machine that has other things to do, too
	defer cancel()
	if err := Eventually(ctx, s.up); err != nil {
		tb.Fatalf("testbed: SonarQube did not start: %v", err)
	}
	var token struct{ Token string }
	s.post(tb, "user_tokens/generate", &token, "name", "tests")
	s.Token = token.Token
	record(tb, "SonarQube Community Build", SonarQubeVersion)
	record(tb, "sonar-scanner", SonarScannerVersion)
	return s
}

func mustRun(tb TB, name string, args ...string) {
	tb.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		tb.Fatalf("testbed: %s: %v\n%s", name, err, out)
	}
}

func (s *SonarQube) up(ctx context.Context) error {
	var doc struct{ Status string }
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL+"/api/system/status", nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(&doc); err != nil {
		return err
	}
	if doc.Status != "UP" {
		return fmt.Errorf("status %s", doc.Status)
	}
	return nil
}

// Post calls the web API as the administrator with name and value pairs.
func (s *SonarQube) Post(tb TB, path string, pairs ...string) {
	tb.Helper()
	s.post(tb, path, nil, pairs...)
}

func (s *SonarQube) post(tb TB, path string, answer any, pairs ...string) {
	tb.Helper()
	form := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		form.Set(pairs[i], pairs[i+1])
	}
	req, err := http.NewRequestWithContext(tb.Context(), http.MethodPost, s.URL+"/api/"+path, strings.NewReader(form.Encode()))
	if err != nil {
		tb.Fatalf("testbed: %v", err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.SetBasicAuth("admin", "admin")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		tb.Fatalf("testbed: %v", err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode >= 300 {
		tb.Fatalf("testbed: POST %s: %s %v %s", path, resp.Status, err, body)
	}
	if answer != nil {
		if err := json.Unmarshal(body, answer); err != nil {
			tb.Fatalf("testbed: POST %s: %v", path, err)
		}
	}
}
