// Package image builds container images without a daemon, pushes and copies them, asks what references point
// to, and attaches artifacts such as SBOMs and reports.
//
// [Build] makes an OCI layout on disk out of directories, files and Go programs, on nothing or on a base
// image. The same input gives the same bytes, on any machine. What is in the layout can be scanned; the very
// same bytes are what [Client.Push] sends:
//
//	layout, err := image.Build(ctx, image.Spec{
//		Layers: []image.Source{image.GoProgram{Package: "./cmd/server"}},
//		User:   "65532:65532",
//	}, dir, nil)
//	…
//	pushed, err := client.Push(ctx, layout, []string{"registry.example.com/shop/server:" + build}, nil)
//
// Building from a Dockerfile is the job of package docker below this one, which makes the same layouts.
//
// # Errors
//
// Everything returned is an [*Error] with the operation, its subject, one of the kinds declared in this
// package (ErrNotFound and so on, for [errors.Is]), and the cause. A refusal by a registry has a
// [*RegistryError] in its chain. A cancelled or expired context stays visible to [errors.Is]. Errors of
// libraries underneath can be reached by [errors.As] and are no promise.
//
// # Credentials
//
// A login goes to the exact host it is for, to the token server that host names if that is below the same
// domain, and never across a redirect. Redirects from a public to a private address, and from https to
// http, are refused. Plain HTTP is spoken only to loopback addresses or when allowed, and only to registries
// that do not speak TLS.
package image
