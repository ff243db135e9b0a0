package argocdgrpc

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/argoproj/argo-cd/v2/pkg/apiclient/application"
	"github.com/argoproj/argo-cd/v2/pkg/apis/application/v1alpha1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/waybill-dev/waybill/gitops/argocd"
)

const service = "/application.ApplicationService/"

// api is the [argocd.API] over a gRPC connection.
type api struct {
	conn   grpc.ClientConnInterface
	token  func(context.Context) (string, error)
	secure bool
}

func (a *api) Get(ctx context.Context, r argocd.Ref, refresh argocd.RefreshMode) (*argocd.Application, error) {
	q := &application.ApplicationQuery{Name: &r.Name, AppNamespace: optional(r.Namespace), Project: []string{r.Project}}
	if refresh != argocd.NoRefresh {
		mode := string(refresh)
		q.Refresh = &mode
	}
	return a.application(ctx, "Get", q)
}

func (a *api) Sync(ctx context.Context, r argocd.Ref, req argocd.SyncRequest) (*argocd.Application, error) {
	in := &application.ApplicationSyncRequest{}
	if err := convert(req, in); err != nil {
		return nil, err
	}
	in.Name, in.AppNamespace, in.Project = &r.Name, optional(r.Namespace), &r.Project
	return a.application(ctx, "Sync", in)
}

func (a *api) Rollback(ctx context.Context, r argocd.Ref, req argocd.RollbackRequest) (*argocd.Application, error) {
	return a.application(ctx, "Rollback", &application.ApplicationRollbackRequest{
		Name: &r.Name, AppNamespace: optional(r.Namespace), Project: &r.Project, Id: &req.ID, Prune: &req.Prune, DryRun: &req.DryRun,
	})
}

func (a *api) Terminate(ctx context.Context, r argocd.Ref) error {
	return a.invoke(ctx, "TerminateOperation", &application.OperationTerminateRequest{
		Name: &r.Name, AppNamespace: optional(r.Namespace), Project: &r.Project,
	}, &application.OperationTerminateResponse{})
}

func (a *api) Resources(ctx context.Context, r argocd.Ref) ([]argocd.Node, error) {
	tree := &v1alpha1.ApplicationTree{}
	if err := a.invoke(ctx, "ResourceTree", resourcesQuery(r), tree); err != nil {
		return nil, err
	}
	var nodes []argocd.Node
	return nodes, convert(tree.Nodes, &nodes)
}

func (a *api) Managed(ctx context.Context, r argocd.Ref) ([]string, error) {
	reply := &application.ManagedResourcesResponse{}
	if err := a.invoke(ctx, "ManagedResources", resourcesQuery(r), reply); err != nil {
		return nil, err
	}
	live := make([]string, len(reply.Items))
	for i, item := range reply.Items {
		live[i] = item.LiveState
	}
	return live, nil
}

func (a *api) Watch(ctx context.Context, r argocd.Ref, f func(argocd.Event)) error {
	ctx, cancel := context.WithCancel(ctx) // a gRPC stream ends with its context and not before
	defer cancel()
	q := &application.ApplicationQuery{Name: &r.Name, AppNamespace: optional(r.Namespace), Project: []string{r.Project}, Projects: []string{r.Project}}
	return a.again(ctx, func(ctx context.Context) error {
		stream, err := a.conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, service+"Watch")
		if err != nil {
			return err
		}
		if err := stream.SendMsg(q); err != nil {
			return err
		}
		if err := stream.CloseSend(); err != nil {
			return err
		}
		for {
			in := &v1alpha1.ApplicationWatchEvent{}
			if err := stream.RecvMsg(in); err != nil {
				return err
			}
			var ev argocd.Event
			if err := convert(in, &ev); err != nil {
				return err
			}
			f(ev)
		}
	})
}

func (a *api) application(ctx context.Context, method string, in any) (*argocd.Application, error) {
	reply, out := &v1alpha1.Application{}, &argocd.Application{}
	if err := a.invoke(ctx, method, in, reply); err != nil {
		return nil, err
	}
	return out, convert(reply, out)
}

func (a *api) invoke(ctx context.Context, method string, in, out any) error {
	return a.again(ctx, func(ctx context.Context) error { return a.conn.Invoke(ctx, service+method, in, out) })
}

// again calls f with a token, and once more with a new one when the server calls it invalid: it may have been
// rotated since.
func (a *api) again(ctx context.Context, f func(context.Context) error) error {
	for again := false; ; again = true {
		with := ctx
		if a.token != nil {
			token, err := a.token(ctx)
			if err != nil {
				return &argocd.StatusError{Code: argocd.CodeUnauthenticated, Message: fmt.Sprintf("getting the token: %v", err)}
			}
			with = metadata.AppendToOutgoingContext(ctx, "token", token)
		}
		err := f(with)
		if a.token == nil || again || status.Code(err) != codes.Unauthenticated {
			return translate(ctx, err)
		}
	}
}

// translate makes the error of a call what [argocd.API] asks for.
func translate(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	s, ok := status.FromError(err)
	if !ok {
		return err
	}
	message := s.Message()
	if len(message) > 2000 {
		message = message[:2000] + "…"
	}
	return &argocd.StatusError{Code: argocd.Code(s.Code()), Message: message}
}

// convert carries a value over to the type of the other side. Both are written for the same JSON.
func convert(from, to any) error {
	b, err := json.Marshal(from)
	if err != nil {
		return err
	}
	return json.Unmarshal(b, to)
}

func resourcesQuery(r argocd.Ref) *application.ResourcesQuery {
	return &application.ResourcesQuery{ApplicationName: &r.Name, AppNamespace: optional(r.Namespace), Project: &r.Project}
}

func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
