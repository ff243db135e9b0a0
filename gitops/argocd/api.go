package argocd

import "context"

// API is what a [Client] needs of a connection to Argo CD. Users need it only to bring a connection of their
// own; [New] brings one over REST, the package argocdgrpc one over gRPC.
//
// Errors are a [*StatusError] when the server answered, and any other error when it did not. A call ends when
// its context does.
type API interface {
	Reader
	Operator
}

// Reader is the half of [API] that looks.
type Reader interface {
	// Get returns the application, after a refresh when one is asked for.
	Get(ctx context.Context, r Ref, refresh RefreshMode) (*Application, error)

	// Watch calls f with the application as it is now, then with each change, until the stream ends. It
	// never returns nil.
	Watch(ctx context.Context, r Ref, f func(Event)) error

	// Resources returns the tree of the application's resources.
	Resources(ctx context.Context, r Ref) ([]Node, error)

	// Managed returns the live state of the resources that the application itself describes, as JSON; ""
	// for one that does not exist yet.
	Managed(ctx context.Context, r Ref) ([]string, error)
}

// Operator is the half of [API] that acts.
type Operator interface {
	Sync(ctx context.Context, r Ref, req SyncRequest) (*Application, error)
	Rollback(ctx context.Context, r Ref, req RollbackRequest) (*Application, error)
	Terminate(ctx context.Context, r Ref) error
}

// RefreshMode says whether a Get compares with the repository first.
type RefreshMode string

// The modes of a Get.
const (
	NoRefresh     RefreshMode = ""
	NormalRefresh RefreshMode = "normal"
	HardRefresh   RefreshMode = "hard"
)

// Event is one message of a watch.
type Event struct {
	Type        string      `json:"type"` // ADDED, MODIFIED, DELETED
	Application Application `json:"application"`
}

// SyncRequest is the body of a sync, in Argo CD's own terms.
type SyncRequest struct {
	Revision        string           `json:"revision,omitempty"`
	Revisions       []string         `json:"revisions,omitempty"`
	SourcePositions []int            `json:"sourcePositions,omitempty"` // counted from 1
	DryRun          bool             `json:"dryRun,omitempty"`
	Prune           bool             `json:"prune,omitempty"`
	Strategy        *SyncStrategy    `json:"strategy,omitempty"`
	Resources       []Resource       `json:"resources,omitempty"`
	Infos           []Info           `json:"infos,omitempty"`
	RetryStrategy   *RetryStrategy   `json:"retryStrategy,omitempty"`
	SyncOptions     *SyncOptionItems `json:"syncOptions,omitempty"`
}

func (r *SyncRequest) id() string { return infoID(r.Infos) }

// RollbackRequest is the body of a rollback.
type RollbackRequest struct {
	ID     int64 `json:"id"` // of a history entry
	Prune  bool  `json:"prune,omitempty"`
	DryRun bool  `json:"dryRun,omitempty"`
}

// SyncStrategy is how a sync applies: by hooks and waves, or plainly.
type SyncStrategy struct {
	Apply *Force `json:"apply,omitempty"`
	Hook  *Force `json:"hook,omitempty"`
}

// Force makes anew what cannot be patched.
type Force struct {
	Force bool `json:"force,omitempty"`
}

// SyncOptionItems is the list of sync options as the request wraps it.
type SyncOptionItems struct {
	Items []string `json:"items"`
}

// RetryStrategy is [Retry] in the server's terms.
type RetryStrategy struct {
	Limit   int      `json:"limit,omitempty"`
	Backoff *Backoff `json:"backoff,omitempty"`
}

// Backoff holds durations as Go writes them ("5s").
type Backoff struct {
	Duration    string `json:"duration,omitempty"`
	Factor      int    `json:"factor,omitempty"`
	MaxDuration string `json:"maxDuration,omitempty"`
}
