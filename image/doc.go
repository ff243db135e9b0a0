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
// # Speed
//
// Against crane 0.22 in the same run, on two cores that other work kept busy, 500 MB of which half compresses
// ("go test -tags integration -run xxx -bench . ./image" prints both command lines and measures again):
//
//	                                            CPU time   time    memory   aim (time)
//	directory to a registry (crane append -t)   0.35 x     0.43 x  36 MB    0.40 x, 64 MB
//	directory to a layout (crane append -o)     0.33 x     0.37 x  34 MB    0.35 x
//	layout to an empty registry (crane push)    0.95 x     1.0 x   13 MB    1.0 x
//	eleven images with a base in common         0.29 x     0.17 x  15 MB    0.33 x
//	eleven images, all there already            11 HEAD requests, 7 ms      100 ms
//
// The times of the first two rows were the best of a crowded machine, and there no aim is met by time; on
// a machine under heavy load they went up to 1.0 x and 0.56 x, as both programs then mostly wait. CPU time
// varied by 0.02. Memory grows with the number of files, not with their size.
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
