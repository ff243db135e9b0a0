package gitopstest

import "time"

// Fault spoils the requests that match. Faults are used in the order they were given, each Times times.
type Fault struct {
	// Repository, if set, is the name of the one repository this is about.
	Repository string

	// Service and Advertise choose the request: "git-upload-pack" or "git-receive-pack", and whether it is
	// the one for references. An empty Service matches all.
	Service   string
	Advertise bool

	Times int // requests to spoil; 0 means 1

	Delay      time.Duration // before anything else
	Status     int           // answer with this HTTP status
	RetryAfter string        // header beside Status
	Cut        int64         // close the connection after that many bytes of the reply

	// The rest is for pushes.
	Reject  string            // refuse each reference with these words ("protected branch hook declined")
	Message string            // what the server says beside it
	Race    func(*Repository) // called before the compare: somebody else pushes first
	Drop    Drop              // lose the answer
}

// Drop says when the connection of a push breaks.
type Drop int

// When a connection breaks.
const (
	DropNot    Drop = iota
	DropBefore      // the push is not carried out
	DropAfter       // the push is carried out, only the answer is lost
)

// Fail scripts faults, behind those that are left.
func (s *Server) Fail(faults ...Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range faults {
		f.Times = max(f.Times, 1)
		s.faults = append(s.faults, &f)
	}
}

// fault takes the fault for a request, or none.
func (s *Server) fault(r *Request) Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, f := range s.faults {
		if f.Repository != "" && f.Repository != r.Repository {
			continue
		}
		if f.Service != "" && (f.Service != r.Service || f.Advertise != r.Advertise) {
			continue
		}
		if f.Times--; f.Times == 0 {
			s.faults = append(s.faults[:i:i], s.faults[i+1:]...)
		}
		return *f
	}
	return Fault{}
}
