package gitops

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/pktline"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/sideband"

	"github.com/waybill-dev/waybill/gitops/internal/gitobj"
	"github.com/waybill-dev/waybill/internal/httpx"
)

// The two services of a git server.
const (
	uploadPack  = "git-upload-pack"
	receivePack = "git-receive-pack"
)

// agent names this library to servers.
const agent = "agent=waybill"

// Caps on what a server may send.
const (
	maxAdvert = 64 << 20 // bytes of reference advertisement
	maxReport = 1 << 20  // bytes of the answer to a push
)

// A transport carries requests to a git server.
type transport interface {
	// advertise returns the references of the service. The caller closes it.
	advertise(ctx context.Context, service string) (io.ReadCloser, error)
	// exchange sends a request and returns the reply behind the advertisement. The caller closes it.
	exchange(ctx context.Context, service string, request []byte) (io.ReadCloser, error)
	// wantsAny reports whether trees and blobs can be asked for by hash, given the server's capabilities.
	wantsAny(capabilities map[string]string) bool
	// rtt returns how long the server took to answer.
	rtt() time.Duration
	close() error
}

// advert is what matters in a reference advertisement.
type advert struct {
	branch       string // full name of the reference asked for
	hash         plumbing.Hash
	found        bool
	capabilities map[string]string
}

// readAdvert reads an advertisement and picks the branch, or the one HEAD points to if branch is empty. Other
// references are not kept: there may be a million of them.
func readAdvert(r io.Reader, branch string) (*advert, error) {
	limited := &io.LimitedReader{R: r, N: maxAdvert + 1}
	s := pktline.NewScanner(bufio.NewReader(limited))
	a := &advert{branch: branch}
	var head plumbing.Hash
	heads := map[plumbing.Hash]string{} // first branch with that hash, for servers that do not say where HEAD points
	inHead := false                     // of the smart HTTP reply, which ends in a flush of its own
	for s.Scan() {
		line := bytes.TrimSuffix(s.Bytes(), []byte("\n"))
		switch {
		case bytes.HasPrefix(line, []byte("# service=")):
			inHead = true
			continue
		case len(line) == 0 && inHead:
			inHead = false
			continue
		case len(line) == 0: // older git says nothing at all of an empty repository
			return a, a.choose(branch, head, heads)
		case a.capabilities == nil:
			ref, capabilities, found := bytes.Cut(line, []byte{0})
			if !found {
				return nil, faultf(ErrProtocol, "no capabilities in the advertisement; it begins with %.60q", line)
			}
			line, a.capabilities = ref, parseCapabilities(string(capabilities))
			if format := a.capabilities["object-format"]; format != "" && format != "sha1" {
				return nil, faultf(ErrProtocol, "the repository uses %s hashes; only sha1 is supported", format)
			}
			if branch == "" && strings.HasPrefix(a.capabilities["symref=HEAD"], "refs/heads/") {
				a.branch = a.capabilities["symref=HEAD"]
			}
		}
		hash, name, _ := strings.Cut(string(line), " ")
		switch {
		case !plumbing.IsHash(hash):
			if strings.HasPrefix(string(line), "shallow ") {
				continue
			}
			return nil, faultf(ErrProtocol, "line %.60q in the advertisement", line)
		case name == a.branch && name != "":
			a.hash, a.found = plumbing.NewHash(hash), true
		case name == "HEAD":
			head = plumbing.NewHash(hash)
		case a.branch == "" && strings.HasPrefix(name, "refs/heads/") && len(heads) < 10_000:
			if h := plumbing.NewHash(hash); heads[h] == "" || name == "refs/heads/main" || name == "refs/heads/master" {
				heads[h] = name
			}
		}
	}
	if limited.N <= 0 {
		return nil, faultf(ErrTooLarge, "the reference advertisement is larger than the cap of %d bytes", maxAdvert)
	}
	if err := s.Err(); err != nil {
		return nil, cutShort(err)
	}
	return nil, cutShort(io.ErrUnexpectedEOF)
}

func (a *advert) choose(branch string, head plumbing.Hash, heads map[plumbing.Hash]string) error {
	if branch != "" || a.found {
		return nil
	}
	if a.branch == "" {
		a.branch = heads[head]
	}
	if a.branch != "" && !head.IsZero() {
		a.hash, a.found = head, true
	}
	return nil
}

func parseCapabilities(text string) map[string]string {
	m := map[string]string{}
	for word := range strings.FieldsSeq(text) {
		key, value, _ := strings.Cut(word, "=")
		if key == "symref" {
			from, to, _ := strings.Cut(value, ":")
			key, value = "symref="+from, to
		}
		m[key] = value
	}
	return m
}

// wanted is a request for objects.
type wanted struct {
	hashes []plumbing.Hash
	depth  int    // of the history; 0 is all of it
	filter string // "" is no filter
}

// encode writes the request with what both sides can do.
func (w wanted) encode(capabilities map[string]string) []byte {
	offered := []string{"ofs-delta", "side-band-64k", "no-progress"}
	// Azure DevOps refuses clients that cannot do multi_ack. This one never says "have", so the answers are
	// the same with it and without it.
	if _, ok := capabilities["multi_ack_detailed"]; ok {
		offered = append(offered, "multi_ack_detailed")
	} else {
		offered = append(offered, "multi_ack")
	}
	if w.filter != "" {
		offered = append(offered, "filter")
	}
	words := slices.DeleteFunc(offered, func(c string) bool { _, ok := capabilities[c]; return !ok })
	words = append(words, agent)

	var b bytes.Buffer
	e := pktline.NewEncoder(&b)
	for i, h := range w.hashes {
		if i == 0 {
			_ = e.Encodef("want %s %s\n", h, strings.Join(words, " "))
		} else {
			_ = e.Encodef("want %s\n", h)
		}
	}
	if w.depth > 0 {
		_ = e.Encodef("deepen %d\n", w.depth)
	}
	if w.filter != "" {
		_ = e.Encodef("filter %s\n", w.filter)
	}
	_ = e.Flush()
	_ = e.EncodeString("done\n")
	return b.Bytes()
}

// fetch asks for objects and adds them to objs.
func (c *client) fetch(ctx context.Context, w wanted, objs *gitobj.Store) error {
	capabilities := c.advert.capabilities
	reply, err := c.transport.exchange(ctx, uploadPack, w.encode(capabilities))
	if err != nil {
		return err
	}
	defer reply.Close()
	r := bufio.NewReaderSize(reply, 64<<10)
	// The pack stands behind the shallow lines, if a depth was asked for, and one NAK.
	s := pktline.NewScanner(r)
	for nak := false; !nak; {
		if !s.Scan() {
			return cutShort(cmp.Or(s.Err(), io.ErrUnexpectedEOF))
		}
		switch line := string(s.Bytes()); {
		case line == "" && w.depth > 0, strings.HasPrefix(line, "shallow "), strings.HasPrefix(line, "unshallow "):
		case strings.HasPrefix(line, "NAK"), strings.HasPrefix(line, "ACK "):
			nak = true
		default:
			return faultf(ErrProtocol, "line %.60q in front of the pack", line)
		}
	}
	var pack io.Reader = r
	if _, ok := capabilities["side-band-64k"]; ok {
		pack = sideband.NewDemuxer(sideband.Sideband64k, r)
	}
	return cutShort(objs.Unpack(pack))
}

// pushReport is the answer to a push.
type pushReport struct {
	status  string // "ok", or what the server says about the reference
	message string // what hooks and the server said beside it
}

// push asks the server to move a reference from old to new, which it does only if the reference is still at
// old, and sends the pack along.
func (c *client) push(ctx context.Context, ref string, from, to plumbing.Hash, pack []byte) (*pushReport, error) {
	var b bytes.Buffer
	e := pktline.NewEncoder(&b)
	_ = e.Encodef("%s %s %s\x00 report-status side-band-64k %s", from, to, ref, agent)
	_ = e.Flush()
	b.Write(pack)
	reply, err := c.transport.exchange(ctx, receivePack, b.Bytes())
	if err != nil {
		return nil, err
	}
	defer reply.Close()
	raw, err := httpx.ReadAll(reply, maxReport, "the answer to the push")
	if err != nil {
		return nil, cutShort(err)
	}
	progress := &bytes.Buffer{}
	d := sideband.NewDemuxer(sideband.Sideband64k, bytes.NewReader(raw))
	d.Progress = progress
	report, err := io.ReadAll(d)
	message := oneLine(progress.String())
	if err != nil {
		return nil, faultf(ErrProtocol, "the answer to the push: %w%s", err, message)
	}
	if len(report) == 0 {
		return nil, cutShort(io.ErrUnexpectedEOF)
	}
	status := packp.NewReportStatus()
	if err := status.Decode(bytes.NewReader(report)); err != nil {
		return nil, faultf(ErrProtocol, "the answer to the push: %w", err)
	}
	p := &pushReport{status: "ok", message: message}
	if status.UnpackStatus != "ok" {
		p.status = "unpack: " + status.UnpackStatus
	}
	for _, s := range status.CommandStatuses {
		if s.ReferenceName.String() == ref && s.Status != "ok" {
			p.status = s.Status
		}
	}
	return p, nil
}

// refusal classifies an ERR line, which servers write in words of their own.
func refusal(text string) error {
	lower := strings.ToLower(text)
	for _, word := range []string{"not found", "does not exist", "not appear to be a git repository", "no such"} {
		if strings.Contains(lower, word) {
			return faultf(ErrNotFound, "the server says: %s", oneLine(text))
		}
	}
	for _, word := range []string{"denied", "access", "permission", "authoriz", "authenticat"} {
		if strings.Contains(lower, word) {
			return faultf(ErrDenied, "the server says: %s", oneLine(text))
		}
	}
	return faultf(ErrProtocol, "the server says: %s", oneLine(text))
}

// cutShort classifies an error while reading a reply: an ERR line of the server, a cap, or else a connection
// that broke, which may pass.
func cutShort(err error) error {
	if said, ok := errors.AsType[*pktline.ErrorLine](err); ok {
		return refusal(said.Text)
	}
	switch tooLarge := (*httpx.TooLargeError)(nil); {
	case err == nil:
		return nil
	case errors.Is(err, gitobj.ErrTooLarge):
		return faultf(ErrTooLarge, "%w (Options.MaxBytes)", err)
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	case errors.As(err, &tooLarge):
		return faultf(ErrTooLarge, "%w", err)
	case errors.Is(err, pktline.ErrInvalidPktLen):
		return faultf(ErrProtocol, "%w", err)
	}
	return faultf(ErrUnavailable, "the reply was cut short: %w", err)
}

// oneLine makes what a server says fit into a message: one line, no control characters, not too long.
func oneLine(s string) string {
	s = strings.Join(strings.FieldsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }), " ")
	if len(s) > 500 {
		s = strings.ToValidUTF8(s[:500], "") + "…"
	}
	return strings.TrimSpace(s)
}
