package gitops

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/pktline"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/waybill-dev/waybill/gitops/internal/gitobj"
)

func FuzzReadAdvert(f *testing.F) {
	hash := strings.Repeat("a", 40)
	f.Add([]byte("001e# service=git-upload-pack\n0000004a"+hash+" HEAD\x00ofs-delta symref=HEAD:refs/heads/main\n0000"), "")
	f.Add([]byte("0000"), "refs/heads/main")
	f.Add([]byte("0008ERR "), "")
	f.Fuzz(func(t *testing.T, in []byte, branch string) {
		a, err := readAdvert(bytes.NewReader(in), branch)
		if err != nil {
			if _, ok := errors.AsType[*fault](err); !ok {
				t.Fatalf("no kind: %v", err)
			}
			return
		}
		if a.found && a.hash.IsZero() && branch == "" {
			t.Skip("a branch without a commit")
		}
	})
}

// canned is a transport that answers everything with the same bytes.
type canned struct {
	transport
	reply []byte
}

func (c canned) exchange(context.Context, string, []byte) (io.ReadCloser, error) {
	return io.NopCloser(bytes.NewReader(c.reply)), nil
}

// forgetful answers every request with the same pack, and counts them.
type forgetful struct {
	canned
	asked *int
}

func (f forgetful) wantsAny(map[string]string) bool { return true }
func (f forgetful) rtt() time.Duration              { return 0 }

func (f forgetful) exchange(ctx context.Context, service string, request []byte) (io.ReadCloser, error) {
	if *f.asked++; *f.asked > 10 {
		return nil, faultf(ErrUnavailable, "asked again and again")
	}
	return f.canned.exchange(ctx, service, request)
}

// A server that does not send the trees it is asked for is not asked for ever.
func TestSnapshot_missingTrees(t *testing.T) {
	s := gitobj.New(0)
	commit := s.Add(plumbing.CommitObject, []byte("tree "+strings.Repeat("1", 40)+"\nauthor a <a@b> 1 +0000\ncommitter a <a@b> 1 +0000\n\nx\n"))
	var reply, pack bytes.Buffer
	require.NoError(t, pktline.NewEncoder(&reply).EncodeString("NAK\n"))
	require.NoError(t, s.Pack(&pack, s.Hashes()))
	reply.Write(pack.Bytes())
	asked := 0
	c := &client{transport: forgetful{canned{reply: reply.Bytes()}, &asked}, advert: &advert{capabilities: map[string]string{"filter": ""}}}
	g, err := parseGlobs([]string{"a/*"})
	require.NoError(t, err)
	_, err = c.snapshot(t.Context(), commit, g, nil, 1<<20)
	require.ErrorIs(t, err, ErrProtocol)
	assert.ErrorContains(t, err, "1 trees did not come")
	assert.Equal(t, 4, asked, "the walk twice, the other ways once")
}

// FuzzReplies reads anything as the answer to a fetch and to a push: it is taken in, or refused with a kind.
func FuzzReplies(f *testing.F) {
	s := gitobj.New(0)
	_, err := s.Update(plumbing.ZeroHash, map[string][]byte{"a.yaml": []byte("image: a:1")})
	require.NoError(f, err)
	var pack, framed bytes.Buffer
	require.NoError(f, s.Pack(&pack, s.Hashes()))
	e := pktline.NewEncoder(&framed)
	require.NoError(f, e.EncodeString("shallow "+strings.Repeat("a", 40)+"\n"))
	require.NoError(f, e.Flush())
	require.NoError(f, e.EncodeString("NAK\n"))
	f.Add(append(bytes.Clone(framed.Bytes()), pack.Bytes()...), false)
	require.NoError(f, e.EncodeString("\x02Counting\n", "\x01"+pack.String()))
	require.NoError(f, e.Flush())
	f.Add(framed.Bytes(), true)
	f.Add([]byte("0008NAK\n0005\x03"), true)
	f.Add([]byte("000dERR denied"), false)
	var report, status bytes.Buffer
	e = pktline.NewEncoder(&status)
	require.NoError(f, e.EncodeString("unpack ok\n", "ng refs/heads/main failed to update ref\n"))
	require.NoError(f, e.Flush())
	e = pktline.NewEncoder(&report)
	require.NoError(f, e.EncodeString("\x02remote: no\n", "\x01"+status.String()))
	require.NoError(f, e.Flush())
	f.Add(report.Bytes(), true)
	f.Fuzz(func(t *testing.T, reply []byte, framed bool) {
		c := &client{transport: canned{reply: reply}, advert: &advert{capabilities: map[string]string{}}}
		if framed {
			c.advert.capabilities["side-band-64k"] = ""
		}
		kind := func(err error) {
			if _, ok := errors.AsType[*fault](err); err != nil && !ok {
				t.Fatalf("no kind: %v", err)
			}
		}
		kind(c.fetch(t.Context(), wanted{depth: 1}, gitobj.New(1<<20)))
		report, err := c.push(t.Context(), "refs/heads/main", plumbing.ZeroHash, plumbing.ZeroHash, nil)
		kind(err)
		if err == nil && report.status == "" {
			t.Fatal("no error, and no status")
		}
	})
}

func TestGlobs(t *testing.T) {
	for _, tt := range []struct {
		pattern string
		files   []string // selected
		others  []string // not selected
		below   []string // directories to look into
		outside []string
	}{
		{"apps/web/*.yaml", []string{"apps/web/a.yaml"}, []string{"apps/web/x/a.yaml", "apps/web", "a.yaml"}, []string{"apps", "apps/web"}, []string{"ap", "apps/api", "apps/web/x"}},
		{"apps/*/k.yaml", []string{"apps/a/k.yaml"}, []string{"apps/k.yaml", "apps/a/b/k.yaml"}, []string{"apps/a"}, []string{"apps/a/b", "x"}},
		{"**/k.yaml", []string{"k.yaml", "a/k.yaml", "a/b/k.yaml"}, []string{"a/k.yaml.bak"}, []string{"a", "a/b/c"}, nil},
		{"a/**/b/*.yaml", []string{"a/b/x.yaml", "a/c/d/b/x.yaml"}, []string{"b/x.yaml", "a/b/c/x.yaml"}, []string{"a", "a/x/y"}, []string{"b"}},
		{"a/**", []string{"a/x", "a/b/c"}, []string{"b/a"}, []string{"a/b"}, []string{"b"}},
		{"**/**/x", []string{"x", "a/b/x"}, nil, []string{"a"}, nil},
	} {
		g, err := parseGlobs([]string{tt.pattern})
		require.NoError(t, err)
		for _, name := range tt.files {
			assert.True(t, g.file(name), "%s selects %s", tt.pattern, name)
		}
		for _, name := range tt.others {
			assert.False(t, g.file(name), "%s does not select %s", tt.pattern, name)
		}
		for _, name := range tt.below {
			assert.True(t, g.below(name), "%s looks into %s", tt.pattern, name)
		}
		for _, name := range tt.outside {
			assert.False(t, g.below(name), "%s stays out of %s", tt.pattern, name)
		}
	}
	for _, bad := range []string{"", "/a", "a//b", "../a", "a/./b", ".git/config", "a/.GIT/x", `a\b`, "[", "a/**/b/**/c/**/d/**/e/**/f"} {
		_, err := parseGlobs([]string{bad})
		require.Error(t, err, bad)
	}
}
