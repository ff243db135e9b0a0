// Package gitops sets images in a git repository: fetch, edit, commit, and push on condition that nobody else
// was first.
//
// [Repo.Bump] needs no clone, no work tree and no git program. It reads the references, fetches the commit, the
// trees and the few files it needs, edits them byte by byte (package manifest), and sends back exactly the new
// objects with the old hash as a condition: a compare-and-swap. When somebody else pushed first, it reads the
// new head and makes the edit again.
//
//	repo, err := gitops.New("https://git.example.com/team/deploy.git", &gitops.Options{Token: token})
//	commit, err := repo.Bump(ctx, []manifest.Edit{{Image: "registry.example.com/shop", To: "v42"}}, &gitops.BumpOptions{
//		Paths:     []string{"apps/shop/*.yaml"},
//		Supersede: gitops.ByBuild,
//	})
//
// commit.Revision is what to wait for: see package argocd, whose Want takes it and [Repo.Descends].
//
// # Servers
//
// Smart HTTP and SSH, protocol version 0, which every server speaks. How objects are fetched follows what the
// server offers and how far it is: with partial clone and a near server tree after tree, with a far one all
// trees at once, without partial clone the whole commit. Credentials are functions that are called for each
// attempt. SSH host keys are checked against known_hosts.
//
// # Errors
//
// Every error is an [*Error] whose kind is a sentinel of this package: [ErrOptions], [ErrDenied],
// [ErrNotFound], [ErrUnavailable], [ErrRejected], [ErrConflict], [ErrProtocol], [ErrTooLarge], [ErrHostKey],
// [ErrEdit], [ErrSupersede], [ErrSign]. What is wrong with an edit is a [manifest.Error] in the chain. When a
// context ends, its error is in the chain, with the last failure if there was one. Messages hold no token, no
// userinfo and no query. Nothing to do and superseded are results, not errors.
package gitops
