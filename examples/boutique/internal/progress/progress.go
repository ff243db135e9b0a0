// Package progress shows the steps of a run: as bars on a terminal, as a line for each step that ended elsewhere.
package progress

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
	"golang.org/x/term"
)

// Progress is where steps are shown. It is safe for concurrent use.
type Progress struct {
	mu    sync.Mutex
	out   io.Writer
	bars  *mpb.Progress // nil without a terminal
	open  []*mpb.Bar
	began time.Time
}

// New shows on w, with bars if they are wanted.
func New(w io.Writer, bars bool) *Progress {
	p := &Progress{out: w, began: time.Now()}
	if bars {
		p.bars = mpb.New(mpb.WithOutput(w), mpb.WithAutoRefresh())
	}
	return p
}

// IsTerminal reports whether w is one that can show bars.
func IsTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// Say prints a line, above the bars where there are any.
func (p *Progress) Say(format string, args ...any) {
	line := fmt.Sprintf(format, args...) + "\n"
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.bars != nil {
		if _, err := p.bars.Write([]byte(line)); err == nil {
			return
		}
	}
	_, _ = io.WriteString(p.out, line)
}

// Step is a step under way.
type Step struct {
	p           *Progress
	group, name string
	bar         *mpb.Bar
	mu          sync.Mutex
	text        string
}

// Start shows a step of a group. It has as many parts as [Step.Add] will count, 0 when nobody knows.
func (p *Progress) Start(group, name string, parts int) *Step {
	s := &Step{p: p, group: group, name: name}
	if p.bars == nil {
		return s
	}
	var fill mpb.BarFillerBuilder = mpb.BarStyle()
	if parts <= 1 { // one part is there or not
		fill = mpb.SpinnerStyle()
	}
	s.bar = p.bars.New(int64(parts), fill,
		mpb.PrependDecorators(
			decor.Name(fmt.Sprintf("%-7s %-12s ", group, name)),
			decor.Elapsed(decor.ET_STYLE_MMSS, decor.WCSyncSpace),
		),
		mpb.AppendDecorators(decor.Any(func(decor.Statistics) string {
			s.mu.Lock()
			defer s.mu.Unlock()
			return s.text
		})),
		mpb.BarWidth(24),
		mpb.BarFillerClearOnComplete(),
	)
	p.mu.Lock()
	p.open = append(p.open, s.bar)
	p.mu.Unlock()
	return s
}

// Add counts parts that are done.
func (s *Step) Add(parts int) {
	if s.bar != nil {
		s.bar.IncrBy(parts)
	}
}

// End says how the step ended, in one line.
func (s *Step) End(text string) {
	text, _, _ = strings.Cut(text, "\n")
	if s.bar == nil {
		s.p.Say("%6.2fs  %-7s %-12s %s", time.Since(s.p.began).Seconds(), s.group, s.name, text)
		return
	}
	s.mu.Lock()
	s.text = text
	s.mu.Unlock()
	s.bar.SetTotal(-1, true)
}

// Close waits until all that was said is shown. Steps that have not ended are left as they are.
func (p *Progress) Close() {
	p.mu.Lock()
	bars := p.bars
	p.bars = nil
	p.mu.Unlock()
	if bars == nil {
		return
	}
	for _, b := range p.open {
		b.Abort(false) // does nothing to those that are complete
	}
	bars.Wait()
}
