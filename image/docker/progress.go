package docker

import (
	"bytes"
	"encoding/json"
	"strings"
	"sync"
)

// EventKind says what an [Event] tells.
type EventKind string

// What an event tells.
const (
	Started  EventKind = "started"  // a step began
	Done     EventKind = "done"     // a step ended well
	Cached   EventKind = "cached"   // a step was taken from the cache
	Failed   EventKind = "failed"   // a step failed; Text says why
	Progress EventKind = "progress" // bytes of Text moved: Current of Total
	Log      EventKind = "log"      // a line that a step, or the builder, printed
	Warning  EventKind = "warning"  // the builder warns
)

// Event is something that happened in a build.
type Event struct {
	Kind    EventKind
	Step    string // its name, such as "[2/3] COPY server /server"; empty for the builder itself
	Text    string
	Current int64
	Total   int64 // 0 when unknown
}

// events reads what a builder prints: BuildKit's status as lines of JSON, and anything else as text. It is an
// io.Writer.
type events struct {
	redact *strings.Replacer
	report func(Event)

	mu     sync.Mutex
	line   []byte
	steps  map[string]*step // by digest
	failed string           // the step that failed, and why
	text   []string         // last lines that were no JSON
}

type step struct {
	name string
	log  []string // last lines
	told EventKind
}

const (
	maxLine  = 1 << 20 // a longer line is cut
	keptLogs = 20      // lines kept of a step, and of the builder
)

func (e *events) Write(p []byte) (int, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for rest := p; len(rest) > 0; {
		i := bytes.IndexByte(rest, '\n')
		if i < 0 {
			e.line = append(e.line, rest[:min(len(rest), maxLine-min(maxLine, len(e.line)))]...)
			break
		}
		e.take(append(e.line, rest[:i]...))
		e.line, rest = e.line[:0], rest[i+1:]
	}
	return len(p), nil
}

// flush takes a last line without an end.
func (e *events) flush() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.line) > 0 {
		e.take(e.line)
		e.line = nil
	}
}

// status is a line of BuildKit's progress.
type status struct {
	Vertexes []struct {
		Digest    string
		Name      string
		Started   string
		Completed string
		Cached    bool
		Error     string
	}
	Statuses []struct {
		ID      string
		Vertex  string
		Current int64
		Total   int64
	}
	Logs []struct {
		Vertex string
		Data   []byte
	}
	Warnings []struct {
		Vertex string
		Short  []byte
	}
}

func (e *events) take(line []byte) {
	line = bytes.TrimRight(line, "\r")
	var s status
	if !bytes.HasPrefix(line, []byte("{")) || json.Unmarshal(line, &s) != nil {
		if text := strings.TrimSpace(string(line)); text != "" {
			e.text = keep(e.text, e.redact.Replace(text))
			e.tell(Event{Kind: Log, Text: text})
		}
		return
	}
	for _, v := range s.Vertexes {
		st := e.step(v.Digest)
		st.name = v.Name
		kind := Started
		switch {
		case v.Error != "":
			kind = Failed
			e.failed = strings.Join(append([]string{v.Name + ": " + v.Error}, st.log...), "\n")
		case v.Cached:
			kind = Cached
		case v.Completed != "":
			kind = Done
		case v.Started == "":
			continue
		}
		if st.told != kind && (kind != Started || st.told == "") {
			st.told = kind
			e.tell(Event{Kind: kind, Step: v.Name, Text: v.Error})
		}
	}
	for _, p := range s.Statuses {
		e.tell(Event{Kind: Progress, Step: e.step(p.Vertex).name, Text: p.ID, Current: p.Current, Total: p.Total})
	}
	for _, l := range s.Logs {
		st := e.step(l.Vertex)
		for text := range strings.Lines(string(l.Data)) {
			text = strings.TrimRight(text, "\r\n")
			st.log = keep(st.log, text)
			e.tell(Event{Kind: Log, Step: st.name, Text: text})
		}
	}
	for _, w := range s.Warnings {
		e.tell(Event{Kind: Warning, Step: e.step(w.Vertex).name, Text: string(w.Short)})
	}
}

func (e *events) step(digest string) *step {
	if e.steps == nil {
		e.steps = map[string]*step{}
	}
	if e.steps[digest] == nil {
		e.steps[digest] = &step{}
	}
	return e.steps[digest]
}

func keep(lines []string, line string) []string {
	if lines = append(lines, line); len(lines) > keptLogs {
		lines = lines[1:]
	}
	return lines
}

func (e *events) tell(ev Event) {
	if e.report == nil {
		return
	}
	ev.Step, ev.Text = e.redact.Replace(ev.Step), e.redact.Replace(ev.Text)
	e.report(ev)
}

// lastWords is what is worth repeating in an error: the builder's own last lines, and of the step that failed
// its name and the end of its output.
func (e *events) lastWords() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	var words []string
	for _, line := range e.text {
		if said, ok := strings.CutPrefix(line, "ERROR: "); ok {
			words = append(words, said)
		}
	}
	if len(words) == 0 {
		words = e.text
	}
	if e.failed != "" {
		words = append(words, e.failed)
	}
	s := e.redact.Replace(strings.Join(words, "\n"))
	if s == "" {
		return "it said nothing"
	}
	return s
}
