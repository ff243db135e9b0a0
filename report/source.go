package report

import (
	"io"
	"maps"
	"os"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// lineHashKey is the name of the fingerprint by which GitHub code scanning knows an alert again.
const lineHashKey = "primaryLocationLineHash"

// maxSource caps the size of a source file that is read for identities. Larger ones are generated.
const maxSource = 8 << 20

// sourceTree reads lines of source files below a directory. A nil tree has none.
type sourceTree struct {
	root  string
	files map[string]*sourceFile
	order []string // of files, oldest first
}

type sourceFile struct {
	data   []byte
	lines  []int // where each line begins
	hashes []string
}

func newSourceTree(root string) *sourceTree {
	return &sourceTree{root: root, files: map[string]*sourceFile{}}
}

// open returns the file, nil when it cannot be read. It never leaves the root, neither by ".." nor by a link.
func (t *sourceTree) open(path string) *sourceFile {
	if t == nil || path == "" {
		return nil
	}
	if f, ok := t.files[path]; ok {
		return f
	}
	// Results mostly come file by file; a few files are enough.
	if len(t.order) >= 16 {
		delete(t.files, t.order[0])
		t.order = t.order[1:]
	}
	f := readSource(t.root, path)
	t.files[path] = f
	t.order = append(t.order, path)
	return f
}

func readSource(root, path string) *sourceFile {
	f, err := os.OpenInRoot(root, path)
	if err != nil {
		return nil
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() || info.Size() > maxSource {
		return nil
	}
	data, err := io.ReadAll(io.LimitReader(f, maxSource))
	if err != nil {
		return nil
	}
	s := &sourceFile{data: data, lines: []int{0}}
	for i := range data {
		if data[i] == '\n' || data[i] == '\r' && (i+1 == len(data) || data[i+1] != '\n') {
			s.lines = append(s.lines, i+1)
		}
	}
	return s
}

// text returns the beginning of the text from the line of the location on.
func (t *sourceTree) text(l Location) string {
	f := t.open(l.Path)
	if f == nil || l.StartLine < 1 || l.StartLine > len(f.lines) {
		return ""
	}
	from := f.lines[l.StartLine-1]
	// Four bytes of source for each character are plenty, however it is indented.
	return squeeze(string(f.data[from:min(len(f.data), from+16*window)]), window)
}

// around returns the text around the location without its own lines, which hold a secret.
func (t *sourceTree) around(l Location) string {
	f := t.open(l.Path)
	if f == nil || l.StartLine < 1 || l.StartLine > len(f.lines) {
		return ""
	}
	end := max(l.StartLine, l.EndLine)
	before := f.data[f.lines[max(0, l.StartLine-3)]:f.lines[l.StartLine-1]]
	var after []byte
	if end < len(f.lines) {
		after = f.data[f.lines[end]:]
		if end+2 < len(f.lines) {
			after = f.data[f.lines[end]:f.lines[end+2]]
		}
	}
	return squeeze(string(before), 4*window) + "\x00" + squeeze(string(after[:min(len(after), 16*window)]), 4*window)
}

// fingerprint gives the finding GitHub's line hash, where it has none and its file can be read.
func (t *sourceTree) fingerprint(f *Finding) {
	// Like GitHub, nothing for findings without a line: they are not about source code.
	if f.Fingerprints[lineHashKey] != "" || f.Location.StartLine == 0 {
		return
	}
	src := t.open(f.Location.Path)
	if src == nil {
		return
	}
	if src.hashes == nil {
		src.hashes = lineHashes(src.data)
	}
	line := f.Location.StartLine
	if line > len(src.hashes) {
		return
	}
	fp := make(map[string]string, len(f.Fingerprints)+1)
	maps.Copy(fp, f.Fingerprints)
	fp[lineHashKey] = src.hashes[line-1]
	f.Fingerprints = fp
}

// LineHashes returns, for each line of a source file, the primaryLocationLineHash by which GitHub code
// scanning knows an alert again: a rolling hash over the 100 characters (UTF-16 code units) that begin with
// the line, white space left out, and the number of the occurrence of that hash in the file.
func LineHashes(source []byte) []string { return lineHashes(source) }

func lineHashes(data []byte) []string {
	const (
		block = 100
		mod   = 37
		eof   = 65535
	)
	firstMod := int64(1)
	for range block {
		firstMod *= mod
	}
	var (
		ring    [block]int64
		lineAt  [block]int // the line that begins at this place of the ring, 0 for none
		hash    int64
		index   int
		line    int
		start   = true
		afterCR bool
		counts  = map[int64]int{}
		hashes  []string
	)
	output := func() {
		n := lineAt[index]
		if n == 0 {
			return
		}
		lineAt[index] = 0
		counts[hash]++
		for len(hashes) < n {
			hashes = append(hashes, "")
		}
		hashes[n-1] = strconv.FormatUint(uint64(hash), 16) + ":" + strconv.Itoa(counts[hash])
	}
	update := func(c int64) {
		begin := ring[index]
		ring[index] = c
		hash = mod*hash + c - firstMod*begin
		index = (index + 1) % block
	}
	process := func(c int64) {
		if c == ' ' || c == '\t' || afterCR && c == '\n' {
			afterCR = false
			return
		}
		afterCR = c == '\r'
		if afterCR {
			c = '\n'
		}
		output()
		if start {
			start = false
			line++
			lineAt[index] = line
		}
		start = c == '\n'
		update(c)
	}
	for len(data) > 0 {
		r, n := utf8.DecodeRune(data)
		data = data[n:]
		if r < 0x10000 {
			process(int64(r))
			continue
		}
		hi, lo := utf16.EncodeRune(r)
		process(int64(hi))
		process(int64(lo))
	}
	process(eof)
	for range block {
		output()
		update(0)
	}
	return hashes
}
