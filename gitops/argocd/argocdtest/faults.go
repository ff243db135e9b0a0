package argocdtest

import "time"

// Fault is something that goes wrong, or slowly. It applies to the next request it matches, then Times-1
// further ones.
type Fault struct {
	// Op it applies to: "get", "refresh", "sync", "rollback", "terminate", "tree", "managed" or "watch"; "" for all of
	// these. "operation" is not a request but the work of a sync: it fails with Message, and is retried when
	// its retry strategy says so.
	Op string

	App   string // "" for all applications
	Skip  int    // matching requests that pass first
	Times int    // 0 for one, negative for all

	Delay time.Duration // before anything else

	// At most one of the following.
	Status   int  // answer with this HTTP status and Message; the request has no effect
	Drop     bool // the request takes effect and its answer is lost
	Stale    bool // a refresh answers with the state there was, without looking
	Busy     bool // somebody else starts a sync first, so that ours is refused
	Replace  bool // our sync is taken on, then terminated and replaced by somebody else's
	CutAfter int  // a stream breaks after this many events
	Silent   bool // a stream brings the present state, then nothing
	NoHeader bool // a stream brings nothing, not even headers

	Message string
}

// Fail scripts faults, in addition to those there are. For each request the first that matches applies.
func (s *Server) Fail(faults ...Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range faults {
		if f.Times == 0 {
			f.Times = 1
		}
		s.faults = append(s.faults, &f)
	}
}

// fault returns the fault of a request, or nil.
func (s *Server) fault(op, app string) *Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.faults {
		if f.Times == 0 || f.App != "" && f.App != app || f.Op != op && (f.Op != "" || op == "operation") {
			continue
		}
		if f.Skip > 0 {
			f.Skip--
			continue
		}
		if f.Times > 0 {
			f.Times--
		}
		hit := *f
		return &hit
	}
	return nil
}
