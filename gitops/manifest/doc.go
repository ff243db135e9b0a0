// Package manifest sets images in manifests: bytes in, bytes out, and a list of what changed.
//
// A YAML parser finds where an image stands; the bytes of that scalar are then replaced and nothing else is
// touched. Comments, blank lines, quotes, flow style, indentation, mixed line ends, a byte order mark, a
// missing final newline, document markers and anchors stay as they were.
//
// # Where images are found
//
//   - image: REFERENCE in any object, at any depth: workloads with init and ephemeral containers, CronJobs,
//     Lists, Rollouts, Workflows, Knative services, image volumes, compose files
//   - image: {registry, repository, tag, digest} and other mappings with a repository and a tag or digest:
//     custom resources, Helm values files, the values of a HelmRelease
//   - images of a Kustomization or Component: name, newName, newTag, digest
//   - helm.parameters, helm.valuesObject and kustomize.images of an Argo CD Application
//   - any other place, when [Edit.Path] names it
//
// ConfigMaps, Secrets, metadata, environment values, arguments, comments and text are left alone.
//
// Images are matched by identity: registry (with port) and repository. docker.io/library/nginx is nginx, and
// frontend is not frontend-v2. The spelling in the file is kept.
//
// # Proof
//
// After every edit the result is parsed again and compared with the tree the edit asked for, scalar by
// scalar. If they differ in anything, the edit fails with [ErrProof] and there is no output.
//
// # Speed
//
// Parsing is what takes time, so only documents in which one of the images can stand are parsed: those that hold
// each part of its repository as a word, however it is spelled. One image in one of 2,000 documents is set at
// 480 MB/s; one in all of them, each of which is parsed before and after, at 3.0 MB/s. With [Options.ParseAll] the
// one takes 5.3 MB/s. Decoding and encoding with a YAML library, which keeps no byte, does 3.6 MB/s (BenchmarkSet,
// the best of six in one run, two cores busy with other work).
//
// # Errors
//
// Every error is an [*Error] that names the file and, where there is one, line and column. Its kind is one of
// the sentinels: [ErrEdit] (the request makes no sense), [ErrSyntax] (the input is not YAML or JSON),
// [ErrTemplate] (it is not, but holds template actions), [ErrNotFound] (an image stands nowhere),
// [ErrCount] (it stands more or less often than expected), [ErrAlias] (a shared anchor belongs to different
// images), [ErrUnsupported] (found, but not in a form that can be edited), [ErrTooLarge] (a cap was reached),
// [ErrProof]. Editing never panics and never returns half an edit.
package manifest
