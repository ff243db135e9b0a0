// Package gitopstest is a git server for tests: smart HTTP in process, in memory, without a git program.
//
// It implements both halves of the protocol itself: upload-pack with shallow and partial clones (depth,
// blob:none, blob:limit, tree:N, objects by hash) and receive-pack with an atomic compare of the old hash and
// report-status. Stock git clones from it, pushes to it and finds its objects sound.
//
//	srv := gitopstest.NewServer(t, nil)
//	repo := srv.Create("deploy.git", map[string]string{"apps/web.yaml": "…"})
//	r, err := gitops.New(repo.URL(), nil)
//
// [Repository.FS] shows the files at a revision; it fits the Source of a fake Argo CD. [Server.Requests] are
// the requests seen, as plain data. [Server.Fail] scripts faults: refusals, lost races, cut connections,
// delays.
//
// # Errors
//
// [Start] returns an error when no port can be had. Requests are refused as git's own server refuses them. The
// methods of a [Repository] return errors where what they are asked for may not be there.
package gitopstest
