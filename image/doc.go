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
// Against crane 0.22 in the same run, side by side, 500 MB of which half compresses ("go test -tags integration
// -run xxx -bench . ./image" prints both command lines and measures again). One run on two idle cores, and from
// the best to the worst run on two cores that much other work kept busy:
//
//	                                            idle     busy          aim
//	directory to a registry (crane append -t)   0.29 x   0.43-1.00 x   0.40 x, met when idle
//	directory to a layout (crane append -o)     0.15 x   0.37-0.84 x   0.35 x, met when idle
//	layout to an empty registry (crane push)    0.88 x   0.55-0.89 x   1.0 x, met
//	eleven images with a base in common                  0.09-0.27 x   0.33 x, met
//	eleven images, all there already                     11 HEAD requests, 6-15 ms; 100 ms, met
//
// Four fifths of the processor time of a push from a layout are the registry's own, which no client can save it.
// Peak memory of the 500 MB runs was 13 to 37 MB, against an aim of 64 MB. It grows with the number of files,
// not with their size.
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
