package argocdgrpctest

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strconv"

	"github.com/argoproj/argo-cd/v2/pkg/apiclient/application"
	"github.com/argoproj/argo-cd/v2/pkg/apiclient/cluster"
	"github.com/argoproj/argo-cd/v2/pkg/apiclient/project"
	"github.com/argoproj/argo-cd/v2/pkg/apiclient/settings"
	"github.com/argoproj/argo-cd/v2/pkg/apiclient/version"
	"github.com/argoproj/argo-cd/v2/pkg/apis/application/v1alpha1"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// backend is the fake behind the front.
type backend struct {
	url  string
	http *http.Client
}

// send does a REST request with the token of the call.
func (b *backend) send(ctx context.Context, method, path string, q url.Values, in any) (*http.Response, error) {
	var body []byte
	if in != nil {
		var err error
		if body, err = json.Marshal(in); err != nil {
			return nil, err
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, b.url+"/api/v1"+path+"?"+q.Encode(), bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	md, _ := metadata.FromIncomingContext(ctx)
	for _, token := range md.Get("token") {
		if token != "" {
			req.Header.Set("Authorization", "Bearer "+token)
		}
	}
	resp, err := b.http.Do(req)
	if err != nil {
		return nil, status.Error(codes.Unavailable, err.Error())
	}
	if resp.StatusCode == http.StatusOK {
		return resp, nil
	}
	defer resp.Body.Close()
	var refusal struct {
		Code    codes.Code
		Message string
		Error   json.RawMessage
	}
	_ = json.NewDecoder(resp.Body).Decode(&refusal)
	if refusal.Code == codes.OK { // a stream's refusal has another shape
		var nested struct {
			Code    codes.Code `json:"grpc_code"`
			Message string
		}
		_ = json.Unmarshal(refusal.Error, &nested)
		refusal.Code, refusal.Message = nested.Code, nested.Message
	}
	if refusal.Code == codes.OK {
		refusal.Code = codes.Unknown
	}
	return nil, status.Error(refusal.Code, refusal.Message)
}

func (b *backend) call(ctx context.Context, method, path string, q url.Values, in, out any) error {
	resp, err := b.send(ctx, method, path, q, in)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return status.Error(codes.Unavailable, err.Error())
	}
	if err := json.Unmarshal(body, out); err != nil {
		return status.Error(codes.Internal, err.Error())
	}
	return nil
}

type applications struct {
	application.UnimplementedApplicationServiceServer

	*backend
}

func at(name, below string) string { return "/applications/" + url.PathEscape(name) + below }

// project returns the first project named; the official client fills either list.
func projectQuery(lists ...[]string) url.Values {
	q := url.Values{}
	for _, list := range lists {
		for _, p := range list {
			if p != "" && q.Get("project") == "" {
				q.Set("project", p)
			}
		}
	}
	return q
}

func (s *applications) List(ctx context.Context, q *application.ApplicationQuery) (*v1alpha1.ApplicationList, error) {
	out := &v1alpha1.ApplicationList{}
	return out, s.call(ctx, http.MethodGet, "/applications", projectQuery(q.Project, q.Projects), nil, out)
}

func (s *applications) Get(ctx context.Context, q *application.ApplicationQuery) (*v1alpha1.Application, error) {
	values := projectQuery(q.Project, q.Projects)
	if q.GetRefresh() != "" {
		values.Set("refresh", q.GetRefresh())
	}
	out := &v1alpha1.Application{}
	return out, s.call(ctx, http.MethodGet, at(q.GetName(), ""), values, nil, out)
}

func (s *applications) Watch(q *application.ApplicationQuery, stream application.ApplicationService_WatchServer) error {
	values := projectQuery(q.Project, q.Projects)
	values.Set("name", q.GetName())
	values.Set("resourceVersion", q.GetResourceVersion())
	resp, err := s.send(stream.Context(), http.MethodGet, "/stream/applications", values, nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	for dec := json.NewDecoder(resp.Body); ; {
		var line struct {
			Result *v1alpha1.ApplicationWatchEvent
		}
		if err := dec.Decode(&line); err != nil {
			return status.Error(codes.Unavailable, err.Error())
		}
		if err := stream.Send(line.Result); err != nil {
			return err
		}
	}
}

func (s *applications) Sync(ctx context.Context, in *application.ApplicationSyncRequest) (*v1alpha1.Application, error) {
	out := &v1alpha1.Application{}
	return out, s.call(ctx, http.MethodPost, at(in.GetName(), "/sync"), nil, in, out)
}

func (s *applications) Rollback(ctx context.Context, in *application.ApplicationRollbackRequest) (*v1alpha1.Application, error) {
	out := &v1alpha1.Application{}
	return out, s.call(ctx, http.MethodPost, at(in.GetName(), "/rollback"), nil, in, out)
}

func (s *applications) TerminateOperation(ctx context.Context, in *application.OperationTerminateRequest) (*application.OperationTerminateResponse, error) {
	out := &application.OperationTerminateResponse{}
	return out, s.call(ctx, http.MethodDelete, at(in.GetName(), "/operation"), projectQuery([]string{in.GetProject()}), nil, out)
}

func (s *applications) ResourceTree(ctx context.Context, q *application.ResourcesQuery) (*v1alpha1.ApplicationTree, error) {
	out := &v1alpha1.ApplicationTree{}
	return out, s.call(ctx, http.MethodGet, at(q.GetApplicationName(), "/resource-tree"), projectQuery([]string{q.GetProject()}), nil, out)
}

func (s *applications) ManagedResources(ctx context.Context, q *application.ResourcesQuery) (*application.ManagedResourcesResponse, error) {
	out := &application.ManagedResourcesResponse{}
	return out, s.call(ctx, http.MethodGet, at(q.GetApplicationName(), "/managed-resources"), projectQuery([]string{q.GetProject()}), nil, out)
}

func (s *applications) GetApplicationSyncWindows(context.Context, *application.ApplicationSyncWindowsQuery) (*application.ApplicationSyncWindowsResponse, error) {
	can := true
	return &application.ApplicationSyncWindowsResponse{CanSync: &can}, nil
}

func (s *applications) ListLinks(context.Context, *application.ListAppLinksRequest) (*application.LinksResponse, error) {
	return &application.LinksResponse{}, nil
}

type versions struct {
	version.UnimplementedVersionServiceServer
}

func (*versions) Version(context.Context, *emptypb.Empty) (*version.VersionMessage, error) {
	return &version.VersionMessage{Version: "v3.3.9+waybill.fake"}, nil
}

type preferences struct {
	settings.UnimplementedSettingsServiceServer
}

func (*preferences) Get(context.Context, *settings.SettingsQuery) (*settings.Settings, error) {
	return &settings.Settings{AppLabelKey: "app.kubernetes.io/instance", TrackingMethod: "annotation"}, nil
}

type projects struct {
	project.UnimplementedProjectServiceServer
}

// Get answers for every project: one that permits all.
func (*projects) Get(_ context.Context, q *project.ProjectQuery) (*v1alpha1.AppProject, error) {
	return &v1alpha1.AppProject{
		ObjectMeta: metav1.ObjectMeta{Name: q.GetName(), Namespace: "argocd", ResourceVersion: strconv.Itoa(1)},
		Spec: v1alpha1.AppProjectSpec{
			SourceRepos:  []string{"*"},
			Destinations: []v1alpha1.ApplicationDestination{{Server: "*", Namespace: "*"}},
		},
	}, nil
}

type clusters struct {
	cluster.UnimplementedClusterServiceServer
}

func (*clusters) Get(_ context.Context, q *cluster.ClusterQuery) (*v1alpha1.Cluster, error) {
	return &v1alpha1.Cluster{Server: q.GetServer(), Name: "in-cluster"}, nil
}
