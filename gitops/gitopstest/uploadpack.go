package gitopstest

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/format/pktline"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/sideband"
)

// advertise writes the references and what the service can do.
func (r *Repository) advertise(w io.Writer, service string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var words []string
	if service == "git-upload-pack" {
		words = []string{
			"multi_ack", "multi_ack_detailed", "ofs-delta", "side-band-64k", "no-progress", "shallow", "include-tag",
			"allow-tip-sha1-in-want", "allow-reachable-sha1-in-want",
		}
		if !r.server.o.DisableFilter {
			words = append(words, "filter")
		}
	} else {
		words = []string{"report-status", "delete-refs", "side-band-64k", "quiet", "atomic", "ofs-delta"}
	}
	words = append(words, "object-format=sha1", "agent=gitopstest")
	var lines []string
	head, hasHead := r.refs[r.head]
	if service == "git-upload-pack" && hasHead {
		if !r.server.o.HideSymref {
			words = append(words, "symref=HEAD:"+r.head)
		}
		lines = append(lines, head.String()+" HEAD")
	}
	for _, ref := range slices.Sorted(maps.Keys(r.refs)) {
		lines = append(lines, r.refs[ref].String()+" "+ref)
	}
	if len(lines) == 0 {
		lines = []string{plumbing.ZeroHash.String() + " capabilities^{}"}
	}
	e := pktline.NewEncoder(w)
	_ = e.Encodef("# service=%s\n", service)
	_ = e.Flush()
	for i, line := range lines {
		if i == 0 {
			line += "\x00" + strings.Join(words, " ")
		}
		_ = e.EncodeString(line + "\n")
	}
	_ = e.Flush()
}

// fetchRequest is what a client asks of upload-pack.
type fetchRequest struct {
	capabilities map[string]bool
	wants, haves []hash
	shallows     map[hash]bool // commits whose parents the client does not have
	depth        int
	filter       filter
	done         bool
}

// filter says what to leave out.
type filter struct {
	blobs  bool // leave out blobs
	limit  int  // leave out blobs of this size and more; -1 is no limit
	levels int  // levels of trees to send, the root being the first; -1 is all
}

func parseFilter(spec string) (filter, error) {
	f := filter{limit: -1, levels: -1}
	var err error
	switch kind, value, _ := strings.Cut(spec, ":"); {
	case spec == "blob:none":
		f.blobs = true
	case kind == "tree":
		f.levels, err = strconv.Atoi(value)
	case kind == "blob" && strings.HasPrefix(value, "limit="):
		f.limit, err = strconv.Atoi(value[len("limit="):])
	default:
		err = fmt.Errorf("filter %q is not supported", spec)
	}
	return f, err
}

func readFetch(body io.Reader, seen *Request) (*fetchRequest, error) {
	q := &fetchRequest{shallows: map[hash]bool{}, filter: filter{limit: -1, levels: -1}}
	s := pktline.NewScanner(bufio.NewReader(body))
	for s.Scan() {
		line := strings.TrimSuffix(string(s.Bytes()), "\n")
		word, value, _ := strings.Cut(line, " ")
		var err error
		switch word {
		case "":
		case "want":
			value, capabilities, _ := strings.Cut(value, " ")
			if q.capabilities == nil {
				q.capabilities = map[string]bool{}
				for c := range strings.FieldsSeq(capabilities) {
					q.capabilities[c] = true
				}
			}
			q.wants = append(q.wants, plumbing.NewHash(value))
			seen.Wants = append(seen.Wants, value)
		case "have":
			q.haves = append(q.haves, plumbing.NewHash(value))
			seen.Haves = append(seen.Haves, value)
		case "shallow":
			q.shallows[plumbing.NewHash(value)] = true
		case "deepen":
			q.depth, err = strconv.Atoi(value)
			seen.Depth = q.depth
		case "filter":
			seen.Filter = value
			q.filter, err = parseFilter(value)
		case "done":
			q.done = true
		default:
			err = fmt.Errorf("unexpected line %q", line)
		}
		if err != nil {
			return nil, err
		}
	}
	return q, s.Err()
}

// uploadPack answers a fetch.
func (r *Repository) uploadPack(w io.Writer, body io.Reader, seen *Request) {
	e := pktline.NewEncoder(w)
	q, err := readFetch(body, seen)
	if err != nil {
		_ = e.Encodef("ERR %v", err)
		return
	}
	if len(q.wants) == 0 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.server.o.RequireMultiACK && !q.capabilities["multi_ack"] && !q.capabilities["multi_ack_detailed"] {
		_ = e.EncodeString("ERR TF401041: Clients must support multi-ack.")
		return
	}
	for _, h := range q.wants {
		if !r.store.Has(h) {
			_ = e.Encodef("ERR upload-pack: not our ref %s", h)
			return
		}
	}
	if q.filter != (filter{limit: -1, levels: -1}) && r.server.o.DisableFilter {
		_ = e.EncodeString("ERR filtering not recognized")
		return
	}
	p := r.plan(q)
	if q.depth > 0 {
		for _, h := range p.shallow {
			_ = e.Encodef("shallow %s\n", h)
		}
		for h := range q.shallows {
			if p.commits[h] && !slices.Contains(p.shallow, h) {
				_ = e.Encodef("unshallow %s\n", h)
			}
		}
		_ = e.Flush()
	}
	// The talk about what both have. In stateless HTTP each request repeats all of it.
	var common []hash
	for _, h := range q.haves {
		if r.store.Has(h) {
			common = append(common, h)
			if q.capabilities["multi_ack_detailed"] {
				_ = e.Encodef("ACK %s common\n", h)
			}
		}
	}
	switch {
	case !q.done && len(common) > 0 && !q.capabilities["multi_ack_detailed"]:
		_ = e.Encodef("ACK %s\n", common[0])
		return
	case !q.done:
		if len(q.haves) > 0 {
			_ = e.EncodeString("NAK\n")
		}
		return
	case len(common) > 0:
		_ = e.Encodef("ACK %s\n", common[len(common)-1])
	default:
		_ = e.EncodeString("NAK\n")
	}
	r.sendPack(w, q, p.objects(r, q, common))
}

func (r *Repository) sendPack(w io.Writer, q *fetchRequest, objects []hash) {
	if !q.capabilities["side-band-64k"] {
		_ = r.store.Pack(w, objects)
		return
	}
	var b bytes.Buffer
	if err := r.store.Pack(&b, objects); err != nil {
		return
	}
	m := sideband.NewMuxer(sideband.Sideband64k, w)
	for chunk := range slices.Chunk(b.Bytes(), 60_000) {
		if _, err := m.Write(chunk); err != nil {
			return
		}
	}
	_ = pktline.NewEncoder(w).Flush()
}

// fetchPlan says which commits a fetch is about.
type fetchPlan struct {
	commits map[hash]bool
	shallow []hash // commits at the edge, whose parents are left out
	others  []hash // wanted trees and blobs
}

func (r *Repository) plan(q *fetchRequest) *fetchPlan {
	p := &fetchPlan{commits: map[hash]bool{}}
	var level []hash
	for _, h := range q.wants {
		o, _ := r.store.Get(h)
		if o.Type == plumbing.CommitObject {
			level = append(level, h)
		} else {
			p.others = append(p.others, h)
		}
	}
	for depth := 1; len(level) > 0; depth++ {
		var next []hash
		for _, h := range level {
			if p.commits[h] {
				continue
			}
			p.commits[h] = true
			c, err := r.store.Commit(h)
			if err != nil {
				continue
			}
			if depth == q.depth && len(c.ParentHashes) > 0 {
				p.shallow = append(p.shallow, h)
				continue
			}
			next = append(next, c.ParentHashes...)
		}
		level = next
	}
	return p
}

// objects lists what to send: what the commits need, without what the client has and what it filters out.
func (p *fetchPlan) objects(r *Repository, q *fetchRequest, common []hash) []hash {
	has := map[hash]bool{}
	for todo := common; len(todo) > 0; {
		h := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		c, err := r.store.Commit(h)
		if has[h] || err != nil {
			continue
		}
		has[h] = true
		r.list(c.TreeHash, 0, filter{limit: -1, levels: -1}, has, nil)
		if !q.shallows[h] {
			todo = append(todo, c.ParentHashes...)
		}
	}
	var all []hash
	for _, h := range slices.SortedFunc(maps.Keys(p.commits), func(a, b hash) int { return bytes.Compare(a[:], b[:]) }) {
		if !has[h] {
			has[h] = true
			all = append(all, h)
		}
		if c, err := r.store.Commit(h); err == nil {
			all = r.list(c.TreeHash, 0, q.filter, has, all)
		}
	}
	for _, h := range p.others {
		if o, _ := r.store.Get(h); o.Type == plumbing.TreeObject {
			f := q.filter
			if f.levels == 0 {
				f.levels = 1 // what is asked for by name is sent whatever the filter
			}
			all = r.list(h, 0, f, has, all)
		} else if !has[h] {
			has[h] = true
			all = append(all, h)
		}
	}
	return all
}

// list adds a tree and what is below it, as far as the filter allows and it is not in has yet.
func (r *Repository) list(tree hash, level int, f filter, has map[hash]bool, all []hash) []hash {
	if f.levels >= 0 && level >= f.levels || has[tree] {
		return all
	}
	t, err := r.store.Tree(tree)
	if err != nil {
		return all
	}
	has[tree] = true
	all = append(all, tree)
	for _, e := range t.Entries {
		switch {
		case e.Mode == filemode.Dir:
			all = r.list(e.Hash, level+1, f, has, all)
		case e.Mode == filemode.Submodule, has[e.Hash], f.blobs, f.levels >= 0 && level+1 >= f.levels:
		default:
			if data, err := r.store.Blob(e.Hash); err == nil && f.limit >= 0 && len(data) >= f.limit {
				continue
			}
			has[e.Hash] = true
			all = append(all, e.Hash)
		}
	}
	return all
}
