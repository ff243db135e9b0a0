package argocd

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Report says how things stood when a wait failed. It holds what the server sent and no credentials.
type Report struct {
	App        string           `json:"app"`
	Want       []string         `json:"want,omitempty"` // revisions
	Revisions  []string         `json:"revisions"`      // that the server compares with
	Sync       SyncCode         `json:"sync"`
	Health     HealthCode       `json:"health"`
	Phase      Phase            `json:"phase,omitempty"`   // of the last operation
	Message    string           `json:"message,omitempty"` // of the last operation
	Ours       bool             `json:"ours"`              // the last operation is the one that was followed
	WaitingFor string           `json:"waitingFor"`
	Images     []string         `json:"images,omitempty"`  // of the pods
	Missing    []string         `json:"missing,omitempty"` // wanted images that do not run
	Resources  []ResourceReport `json:"resources"`         // those that are not Healthy, not Synced, or failed to sync
	Conditions []Condition      `json:"conditions,omitempty"`
	LastError  string           `json:"lastError,omitempty"` // of a request, when the last one failed
	Seconds    float64          `json:"seconds"`
}

// ResourceReport is what is wrong with one resource.
type ResourceReport struct {
	Kind      string     `json:"kind"`
	Namespace string     `json:"namespace,omitempty"`
	Name      string     `json:"name"`
	Sync      SyncCode   `json:"sync,omitempty"`
	Health    HealthCode `json:"health,omitempty"`
	Message   string     `json:"message,omitempty"`
}

// maxReported bounds the resources of a report: more than a person reads.
const maxReported = 100

func newReport(app string, want Want, a *Application, nodes []Node, ourID string) *Report {
	r := &Report{App: app, Want: want.Revisions, Resources: []ResourceReport{}, Revisions: []string{}}
	if a == nil {
		return r
	}
	r.Revisions = append(r.Revisions, a.Revisions()...)
	r.Sync, r.Health = a.Status.Sync.Status, a.Status.Health.Status
	r.Images = a.Status.Summary.Images
	r.Missing = missingImages(want.Images, r.Images)
	r.Conditions = a.Status.Conditions
	all := resourceReports{}
	if s := a.Status.OperationState; s != nil {
		r.Phase, r.Message = s.Phase, cut(s.Message)
		r.Ours = ourID != "" && s.Operation.ID() == ourID
		if s.SyncResult != nil {
			for _, res := range s.SyncResult.Resources {
				if res.Status == "SyncFailed" || res.HookPhase == Failed || res.HookPhase == Errored {
					all.at(res.Kind, res.Namespace, res.Name).Message = cut(res.Message)
				}
			}
		}
	}
	for _, res := range a.Status.Resources {
		bad := res.Health != nil && res.Health.Status != Healthy && res.Health.Status != ""
		if res.Status == OutOfSync || bad {
			at := all.at(res.Kind, res.Namespace, res.Name)
			at.Sync = res.Status
			at.health(res.Health)
			if res.RequiresPruning && at.Message == "" {
				at.Message = "is not in the repository any more and needs pruning"
			}
		}
	}
	for _, n := range nodes {
		if n.Health != nil && n.Health.Status != Healthy && n.Health.Status != "" {
			all.at(n.Kind, n.Namespace, n.Name).health(n.Health)
		}
	}
	for _, res := range all.list {
		if len(r.Resources) == maxReported {
			break
		}
		r.Resources = append(r.Resources, *res)
	}
	return r
}

type resourceReports struct{ list []*ResourceReport }

func (l *resourceReports) at(kind, namespace, name string) *ResourceReport {
	for _, r := range l.list {
		if r.Kind == kind && r.Namespace == namespace && r.Name == name {
			return r
		}
	}
	l.list = append(l.list, &ResourceReport{Kind: kind, Namespace: namespace, Name: name})
	return l.list[len(l.list)-1]
}

func (r *ResourceReport) health(h *Health) {
	if h == nil {
		return
	}
	r.Health = h.Status
	if h.Message != "" {
		r.Message = cut(h.Message)
	}
}

// String returns the report as a few lines of text for a person.
func (r *Report) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s and %s at %s after %s", r.App, orUnknown(string(r.Sync)), orUnknown(string(r.Health)),
		orUnknown(strings.Join(r.Revisions, ", ")), time.Duration(r.Seconds*float64(time.Second)).Round(100*time.Millisecond))
	line := func(format string, args ...any) { fmt.Fprintf(&b, "\n  "+format, args...) }
	if r.WaitingFor != "" {
		line("waiting for: %s", r.WaitingFor)
	}
	if len(r.Want) > 0 && !slices.Equal(r.Want, r.Revisions) {
		line("wanted: %s", strings.Join(r.Want, ", "))
	}
	if r.Phase != "" {
		line("last operation: %s: %s", r.Phase, r.Message)
	}
	if len(r.Missing) > 0 {
		line("images that do not run: %s", strings.Join(r.Missing, ", "))
		line("images that do: %s", strings.Join(r.Images, ", "))
	}
	for _, res := range r.Resources {
		line("%s %s: %s", res.Kind, res.Name, strings.Join(slices.DeleteFunc(
			[]string{string(res.Sync), string(res.Health), res.Message}, func(s string) bool { return s == "" }), ", "))
	}
	for _, c := range r.Conditions {
		line("%s: %s", c.Type, c.Message)
	}
	if r.LastError != "" {
		line("last request: %s", r.LastError)
	}
	return b.String()
}

func orUnknown(s string) string {
	if s == "" {
		return "unknown"
	}
	return s
}
