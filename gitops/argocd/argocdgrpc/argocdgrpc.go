// Package argocdgrpc drives Argo CD with the official client, over gRPC and gRPC-web.
package argocdgrpc
