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
// # Speed
//
// One tag in a repository of 10,000 manifests and 50,000 commits over git http-backend, every way in turn in
// one run (BenchmarkBump, median of 3, two cores busy with other work, so the ratios matter and not the times):
//
//	                                              nothing added     25 ms added to each reply
//	Bump with Paths                               0.75 s            0.99 s
//	... again with the same Repo                  0.82 s            0.67 s
//	... eleven tags in one commit                 1.5 s   (2.0x)    1.2 s   (1.25x)
//	Bump without Paths                            1.5 s             0.87 s
//	git clone --depth 1 --filter=blob:none,
//	  sparse checkout, edit, commit, push         2.0 s   (2.7x)    1.6 s   (1.6x)
//	git clone --depth 1, edit, commit, push       21 s    (28x)     17 s    (17x)
//
// Eleven tags were meant to cost at most 1.3 times one; with nothing added they did not. What they cost more is
// the server's: it reads the trees of ten more directories, twice, and writes forty more objects. In processor
// time of both sides, the least of 25 bumps, they take 1.56 times one where the pack is as git fast-import leaves
// it, with its newest trees at the end of long chains of deltas, and 1.19 times after git repack -adf. The bump
// program's resident set peaked at 13 MB (BenchmarkBump_memory).
//
// 16 writers with 20 bumps each on one branch, as if in 16 processes: 2.3 bumps/s, none lost, against 0.33 of
// git pull --rebase loops, 6.9 times as many (BenchmarkBump_writers). Bumps of one Repo take turns and do not
// race at all.
//
// # Errors
//
// Every error is an [*Error] whose kind is a sentinel of this package: [ErrOptions], [ErrDenied],
// [ErrNotFound], [ErrUnavailable], [ErrRejected], [ErrConflict], [ErrProtocol], [ErrTooLarge], [ErrHostKey],
// [ErrEdit], [ErrSupersede], [ErrSign]. What is wrong with an edit is a [manifest.Error] in the chain. When a
// context ends, its error is in the chain, with the last failure if there was one. Messages hold no token, no
// userinfo and no query. Nothing to do and superseded are results, not errors.
package gitops
