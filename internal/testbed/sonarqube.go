package testbed

import (
	"archive/zip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// The versions of SonarQube Community Build and of its scanner, from Maven Central.
const (
	SonarQubeVersion    = "25.11.0.114957"
	SonarScannerVersion = "6.2.1.4610"
)

// FetchSonarQube brings the server and its scanner (0.9 GB) into the cache, unless they are there. It needs Maven.
func FetchSonarQube(ctx context.Context, log io.Writer) (dir string, err error) {
	dir, err = sonarQubeDir()
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return "", err
	}
	tmp, err := os.MkdirTemp(filepath.Dir(dir), "fetch-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(tmp)
	for _, artifact := range []string{
		"org.sonarsource.sonarqube:sonar-application:" + SonarQubeVersion,
		"org.sonarsource.scanner.cli:sonar-scanner-cli:" + SonarScannerVersion,
	} {
		parts := strings.Split(artifact, ":")
		cmd := exec.CommandContext(ctx, "mvn", "-q", "-B", "dependency:copy", "-Dartifact="+artifact+":zip", "-DoutputDirectory="+tmp)
		cmd.Dir, cmd.Stdout, cmd.Stderr = tmp, log, log
		if err := cmd.Run(); err != nil {
			return "", fmt.Errorf("fetching %s: %w", artifact, err)
		}
		file := filepath.Join(tmp, parts[1]+"-"+parts[2]+".zip")
		if err := unzip(file, tmp); err != nil {
			return "", fmt.Errorf("%s: %w", artifact, err)
		}
		if err := os.Remove(file); err != nil {
			return "", err
		}
	}
	if err := os.Chmod(tmp, 0o755); err != nil {
		return "", err
	}
	return dir, os.Rename(tmp, dir)
}

func sonarQubeDir() (string, error) {
	cache, err := os.UserCacheDir()
	return filepath.Join(cache, "waybill", "tools", "sonarqube", SonarQubeVersion+"-"+SonarScannerVersion), err
}

func unzip(file, dir string) error {
	r, err := zip.OpenReader(file)
	if err != nil {
		return err
	}
	defer r.Close()
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	for _, f := range r.File {
		// The server brings Java for other systems along; the test takes the one that is installed. And of its
		// analysers the tests use one; each of the others takes its time at every start.
		if strings.Contains(f.Name, "/jres/") || strings.Contains(f.Name, "/lib/extensions/sonar-") && !strings.Contains(f.Name, "/sonar-python-plugin") {
			continue
		}
		if err := extract(root, f); err != nil {
			return err
		}
	}
	return nil
}

func extract(root *os.Root, f *zip.File) error {
	if f.FileInfo().IsDir() {
		return root.MkdirAll(strings.TrimSuffix(f.Name, "/"), 0o755)
	}
	if err := root.MkdirAll(filepath.Dir(f.Name), 0o755); err != nil {
		return err
	}
	in, err := f.Open()
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := root.OpenFile(f.Name, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, f.Mode().Perm()|0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in) //nolint:gosec // a pinned release
	return errors.Join(err, out.Close())
}
