package argocd

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

// Application is the part of Argo CD's Application resource that this package reads. Names are those of the
// resource.
type Application struct {
	Metadata  Metadata   `json:"metadata"`
	Spec      Spec       `json:"spec"`
	Status    Status     `json:"status"`
	Operation *Operation `json:"operation,omitempty"` // asked for, not yet finished
}

// Metadata is the Kubernetes metadata.
type Metadata struct {
	Name              string            `json:"name"`
	Namespace         string            `json:"namespace,omitempty"`
	UID               string            `json:"uid,omitempty"`
	ResourceVersion   string            `json:"resourceVersion,omitempty"`
	Annotations       map[string]string `json:"annotations,omitempty"`
	CreationTimestamp *time.Time        `json:"creationTimestamp,omitempty"`
	DeletionTimestamp *time.Time        `json:"deletionTimestamp,omitempty"`
}

// Spec says what is deployed, from where to where.
type Spec struct {
	Project     string      `json:"project"`
	Source      *Source     `json:"source,omitempty"`
	Sources     []Source    `json:"sources,omitempty"`
	Destination Destination `json:"destination"`
	SyncPolicy  *SyncPolicy `json:"syncPolicy,omitempty"`
}

// Source is a place in a repository.
type Source struct {
	RepoURL        string `json:"repoURL"`
	Path           string `json:"path,omitempty"`
	Chart          string `json:"chart,omitempty"`
	TargetRevision string `json:"targetRevision,omitempty"`
}

// Destination is a namespace of a cluster.
type Destination struct {
	Server    string `json:"server,omitempty"`
	Name      string `json:"name,omitempty"`
	Namespace string `json:"namespace,omitempty"`
}

// SyncPolicy holds what the application syncs by itself.
type SyncPolicy struct {
	Automated   *Automated     `json:"automated,omitempty"`
	SyncOptions []string       `json:"syncOptions,omitempty"`
	Retry       *RetryStrategy `json:"retry,omitempty"`
}

// Automated syncs without being asked when the repository changes.
type Automated struct {
	Prune    bool  `json:"prune,omitempty"`
	SelfHeal bool  `json:"selfHeal,omitempty"`
	Enabled  *bool `json:"enabled,omitempty"` // nil is true
}

// AutoSync reports whether the application syncs by itself.
func (a *Application) AutoSync() bool {
	p := a.Spec.SyncPolicy
	return p != nil && p.Automated != nil && (p.Automated.Enabled == nil || *p.Automated.Enabled)
}

// Status is what the controller found.
type Status struct {
	Sync           SyncStatus      `json:"sync"`
	Health         Health          `json:"health"`
	Summary        Summary         `json:"summary"`
	OperationState *OperationState `json:"operationState,omitempty"` // the last operation
	ReconciledAt   *time.Time      `json:"reconciledAt,omitempty"`   // to the second
	Resources      []Resource      `json:"resources,omitempty"`
	Conditions     []Condition     `json:"conditions,omitempty"`
	History        []HistoryEntry  `json:"history,omitempty"`
}

// SyncCode says whether what runs is what the repository says.
type SyncCode string

// The sync codes.
const (
	Synced      SyncCode = "Synced"
	OutOfSync   SyncCode = "OutOfSync"
	SyncUnknown SyncCode = "Unknown"
)

// SyncStatus is the last comparison.
type SyncStatus struct {
	Status    SyncCode `json:"status"`
	Revision  string   `json:"revision,omitempty"`  // compared with, of a single source
	Revisions []string `json:"revisions,omitempty"` // of several
}

// HealthCode says how the resources are doing.
type HealthCode string

// The health codes, from best to worst.
const (
	Healthy       HealthCode = "Healthy"
	Suspended     HealthCode = "Suspended"
	Progressing   HealthCode = "Progressing"
	Missing       HealthCode = "Missing"
	Degraded      HealthCode = "Degraded"
	HealthUnknown HealthCode = "Unknown"
)

// Health of an application or of a resource.
type Health struct {
	Status  HealthCode `json:"status,omitempty"`
	Message string     `json:"message,omitempty"`
}

// Summary lists the images of the application's pods, as the pods write them.
type Summary struct {
	Images []string `json:"images,omitempty"`
}

// Resource is one Kubernetes resource of an application. To select one for a sync, Kind and Name are
// required.
type Resource struct {
	Group           string   `json:"group,omitempty"`
	Version         string   `json:"version,omitempty"`
	Kind            string   `json:"kind"`
	Namespace       string   `json:"namespace,omitempty"`
	Name            string   `json:"name"`
	Status          SyncCode `json:"status,omitempty"`
	Health          *Health  `json:"health,omitempty"`
	Hook            bool     `json:"hook,omitempty"`
	RequiresPruning bool     `json:"requiresPruning,omitempty"`
}

// Node is one resource of the tree, pods and replica sets included.
type Node struct {
	Group     string   `json:"group,omitempty"`
	Version   string   `json:"version,omitempty"`
	Kind      string   `json:"kind"`
	Namespace string   `json:"namespace,omitempty"`
	Name      string   `json:"name"`
	UID       string   `json:"uid,omitempty"` // "" when it does not exist yet
	Health    *Health  `json:"health,omitempty"`
	Images    []string `json:"images,omitempty"`
}

// Condition is a note of the controller, by its type an error when the type ends in "Error".
type Condition struct {
	Type               string     `json:"type"`
	Message            string     `json:"message"`
	LastTransitionTime *time.Time `json:"lastTransitionTime,omitempty"`
}

// Phase of an operation.
type Phase string

// The phases. An operation that will be tried again is Running, even though it has an end time.
const (
	Running     Phase = "Running"
	Terminating Phase = "Terminating"
	Failed      Phase = "Failed"
	Errored     Phase = "Error"
	Succeeded   Phase = "Succeeded"
)

// Completed reports whether the operation is over.
func (p Phase) Completed() bool { return p == Succeeded || p == Failed || p == Errored }

// Operation is a sync that was asked for.
type Operation struct {
	Sync        *SyncOperation `json:"sync,omitempty"`
	InitiatedBy Initiator      `json:"initiatedBy"`
	Info        []Info         `json:"info,omitempty"`
	Retry       *RetryStrategy `json:"retry,omitempty"`
}

// ID returns the correlation id that [Client.Sync] gave the operation, or "".
func (o *Operation) ID() string {
	if o == nil {
		return ""
	}
	return infoID(o.Info)
}

func (o *Operation) revisions() []string {
	if o == nil || o.Sync == nil {
		return nil
	}
	return oneOrMany(o.Sync.Revision, o.Sync.Revisions)
}

// SyncOperation is what to sync.
type SyncOperation struct {
	Revision    string        `json:"revision,omitempty"`
	Revisions   []string      `json:"revisions,omitempty"`
	Prune       bool          `json:"prune,omitempty"`
	DryRun      bool          `json:"dryRun,omitempty"`
	Strategy    *SyncStrategy `json:"syncStrategy,omitempty"`
	Resources   []Resource    `json:"resources,omitempty"`
	Source      *Source       `json:"source,omitempty"`
	Sources     []Source      `json:"sources,omitempty"`
	SyncOptions []string      `json:"syncOptions,omitempty"`
}

// Initiator is who asked.
type Initiator struct {
	Username  string `json:"username,omitempty"`
	Automated bool   `json:"automated,omitempty"`
}

// Info is a note that goes with an operation.
type Info struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// OperationState is the state of the operation in progress, or of the last one.
type OperationState struct {
	Operation  Operation   `json:"operation"`
	Phase      Phase       `json:"phase"`
	Message    string      `json:"message,omitempty"`
	SyncResult *SyncResult `json:"syncResult,omitempty"`
	StartedAt  time.Time   `json:"startedAt"`
	FinishedAt *time.Time  `json:"finishedAt,omitempty"`
	RetryCount int         `json:"retryCount,omitempty"`
}

func (s *OperationState) revisions() []string {
	if s == nil || s.SyncResult == nil {
		return nil
	}
	return oneOrMany(s.SyncResult.Revision, s.SyncResult.Revisions)
}

// whole reports whether the operation brought the whole application to its revision.
func (s *OperationState) whole() bool {
	return s.Operation.Sync != nil && !s.Operation.Sync.DryRun && len(s.Operation.Sync.Resources) == 0
}

// SyncResult is what a sync did.
type SyncResult struct {
	Revision  string           `json:"revision"`
	Revisions []string         `json:"revisions,omitempty"`
	Source    *Source          `json:"source,omitempty"`
	Sources   []Source         `json:"sources,omitempty"`
	Resources []ResourceResult `json:"resources,omitempty"`
}

// ResourceResult is what a sync did to one resource or hook.
type ResourceResult struct {
	Group     string `json:"group"`
	Version   string `json:"version"`
	Kind      string `json:"kind"`
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	Status    string `json:"status,omitempty"` // Synced, SyncFailed, Pruned, PruneSkipped
	Message   string `json:"message,omitempty"`
	HookType  string `json:"hookType,omitempty"`
	HookPhase Phase  `json:"hookPhase,omitempty"`
	SyncPhase string `json:"syncPhase,omitempty"`
}

// HistoryEntry is one deployment.
type HistoryEntry struct {
	ID              int64      `json:"id"`
	Revision        string     `json:"revision,omitempty"`
	Revisions       []string   `json:"revisions,omitempty"`
	DeployedAt      time.Time  `json:"deployedAt"`
	DeployStartedAt *time.Time `json:"deployStartedAt,omitempty"`
	Source          *Source    `json:"source,omitempty"`
	Sources         []Source   `json:"sources,omitempty"`
	InitiatedBy     Initiator  `json:"initiatedBy"`
}

// Revisions returns what the application was last compared with, one for each source.
func (a *Application) Revisions() []string {
	return oneOrMany(a.Status.Sync.Revision, a.Status.Sync.Revisions)
}

// InProgress reports whether an operation is asked for or running.
func (a *Application) InProgress() bool {
	s := a.Status.OperationState
	return a.Operation != nil || s != nil && !s.Phase.Completed()
}

func (a *Application) hasOperation(id string) bool {
	s := a.Status.OperationState
	return id != "" && (a.Operation.ID() == id || s != nil && s.Operation.ID() == id)
}

func (a *Application) condition(suffix string) *Condition {
	for i, c := range a.Status.Conditions {
		if strings.HasSuffix(c.Type, suffix) {
			return &a.Status.Conditions[i]
		}
	}
	return nil
}

// newerThan compares resource versions. They are opaque by the letter, but numbers in every cluster that
// Argo CD runs on, and it compares them itself; others count as newer.
func (a *Application) newerThan(version string) bool {
	now, err1 := strconv.ParseUint(a.Metadata.ResourceVersion, 10, 64)
	then, err2 := strconv.ParseUint(version, 10, 64)
	return err1 != nil || err2 != nil || now > then
}

func infoID(infos []Info) string {
	i := slices.IndexFunc(infos, func(in Info) bool { return in.Name == IDInfo })
	if i < 0 {
		return ""
	}
	return infos[i].Value
}

func oneOrMany(one string, many []string) []string {
	switch {
	case len(many) > 0:
		return many
	case one != "":
		return []string{one}
	}
	return nil
}
