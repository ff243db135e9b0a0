package gitopstest

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"maps"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/pktline"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/sideband"

	"github.com/waybill-dev/waybill/gitops/internal/gitobj"
)

// receivePack answers a push: references move if they are still where the client believes them to be.
func (r *Repository) receivePack(w io.Writer, body io.Reader, seen *Request, f Fault) {
	in := bufio.NewReader(body)
	capabilities, err := readCommands(in, seen)
	if err != nil {
		_ = pktline.NewEncoder(w).Encodef("ERR %v", err)
		return
	}
	if len(seen.Commands) == 0 {
		return // git asks with an empty request whether it may push
	}
	if f.Drop == DropBefore {
		hangUp()
	}
	if f.Race != nil {
		f.Race(r)
	}
	unpack := r.receive(in, seen.Commands, capabilities["atomic"], f)
	if f.Drop == DropAfter {
		hangUp()
	}
	var report bytes.Buffer
	e := pktline.NewEncoder(&report)
	_ = e.Encodef("unpack %s\n", unpack)
	for _, c := range seen.Commands {
		if c.Status == "ok" {
			_ = e.Encodef("ok %s\n", c.Ref)
		} else {
			_ = e.Encodef("ng %s %s\n", c.Ref, c.Status)
		}
	}
	_ = e.Flush()
	if !capabilities["report-status"] {
		return
	}
	if !capabilities["side-band-64k"] {
		_, _ = w.Write(report.Bytes())
		return
	}
	m := sideband.NewMuxer(sideband.Sideband64k, w)
	if f.Message != "" {
		_, _ = m.WriteChannel(sideband.ProgressMessage, []byte(f.Message+"\n"))
	}
	_, _ = m.Write(report.Bytes())
	_ = pktline.NewEncoder(w).Flush()
}

// readCommands reads up to the flush in front of the pack.
func readCommands(in io.Reader, seen *Request) (map[string]bool, error) {
	capabilities := map[string]bool{}
	s := pktline.NewScanner(in)
	for s.Scan() && len(s.Bytes()) > 0 {
		line := strings.TrimSuffix(string(s.Bytes()), "\n")
		if strings.HasPrefix(line, "shallow ") {
			continue
		}
		command, words, found := strings.Cut(line, "\x00")
		if found {
			for word := range strings.FieldsSeq(words) {
				capabilities[word] = true
			}
		}
		parts := strings.SplitN(command, " ", 3)
		if len(parts) != 3 || !plumbing.IsHash(parts[0]) || !plumbing.IsHash(parts[1]) || !strings.HasPrefix(parts[2], "refs/") {
			return nil, fmt.Errorf("unexpected command %q", command)
		}
		seen.Commands = append(seen.Commands, Command{Old: parts[0], New: parts[1], Ref: parts[2]})
	}
	return capabilities, s.Err()
}

// receive takes the pack in, judges each command, and moves the references. It returns the state of the pack.
func (r *Repository) receive(pack io.Reader, commands []Command, atomic bool, f Fault) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	store := gitobj.Over(r.store, maxRepository)
	deletesOnly := true
	for _, c := range commands {
		deletesOnly = deletesOnly && plumbing.NewHash(c.New).IsZero()
	}
	if !deletesOnly {
		if err := store.Unpack(pack); err != nil {
			for i := range commands {
				commands[i].Status = "unpacker error"
			}
			return err.Error()
		}
	}
	sound := map[hash]bool{}
	for _, h := range r.refs {
		sound[h] = true // and so is everything below
	}
	refs := maps.Clone(r.refs)
	refused := false
	for i := range commands {
		c := &commands[i]
		if c.Status = judge(store, refs, *c, sound, f); c.Status != "ok" {
			refused = true
		}
	}
	if refused && atomic {
		for i := range commands {
			if commands[i].Status == "ok" {
				commands[i].Status = "atomic push failed"
			}
		}
		return "ok"
	}
	r.refs = refs
	r.store.Merge(store)
	return "ok"
}

// judge moves one reference, or says why not.
func judge(store *gitobj.Store, refs map[string]hash, c Command, sound map[hash]bool, f Fault) string {
	if f.Reject != "" {
		return f.Reject
	}
	from, to := plumbing.NewHash(c.Old), plumbing.NewHash(c.New)
	if refs[c.Ref] != from {
		return "failed to update ref"
	}
	if to.IsZero() {
		delete(refs, c.Ref)
		return "ok"
	}
	if err := connected(store, to, sound); err != nil {
		return "missing necessary objects"
	}
	refs[c.Ref] = to
	return "ok"
}
