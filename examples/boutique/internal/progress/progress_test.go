package progress_test

import (
	"bytes"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/waybill-dev/waybill/examples/boutique/internal/progress"
)

func TestProgress_plain(t *testing.T) {
	var out bytes.Buffer
	p := progress.New(&out, false)
	build := p.Start("image", "build", 2)
	push := p.Start("image", "push", 0)
	build.Add(1)
	p.Say("between")
	build.Add(1)
	build.End("2 images\nand a second line")
	push.End("")
	p.Close()
	lines := strings.Split(strings.TrimRight(out.String(), "\n"), "\n")
	if assert.Len(t, lines, 3, "a line for each step, when it ends: %q", out.String()) {
		assert.Equal(t, "between", lines[0])
		assert.Regexp(t, `^ *\d+\.\d\ds  image +build +2 images$`, lines[1])
		assert.Regexp(t, `^ *\d+\.\d\ds  image +push +$`, lines[2])
	}
}

func TestProgress_bars(t *testing.T) {
	var out locked
	p := progress.New(&out, true)
	var steps sync.WaitGroup
	for _, name := range []string{"build", "push", "scan"} {
		steps.Go(func() {
			s := p.Start("image", name, 2)
			s.Add(2)
			s.End("done with " + name)
		})
	}
	left := p.Start("image", "left", 0) // a step that a cancelled run leaves behind
	_ = left
	steps.Wait()
	p.Say("above the bars")
	p.Close()
	for _, text := range []string{"done with build", "done with push", "done with scan", "above the bars"} {
		assert.Contains(t, out.String(), text)
	}
	p.Say("afterwards")
	assert.True(t, strings.HasSuffix(out.String(), "afterwards\n"))
}

func TestIsTerminal(t *testing.T) {
	assert.False(t, progress.IsTerminal(&bytes.Buffer{}))
}

type locked struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *locked) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *locked) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
