// Package vault reads secrets from HashiCorp Vault: a [Client] is a [secrets.Store] for references such as
// vault://kv/team/app?version=3#password.
//
//	c, err := vault.New("https://vault.example.com:8200", vault.Kubernetes("deployer", nil), nil)
//	...
//	defer c.Close(context.WithoutCancel(ctx))
//	r, err := secrets.NewResolver(map[string]secrets.Store{"vault": c}, nil)
//
// # Paths
//
// The path is the one shown by "vault kv get": mount, then secret. Which mount a path belongs to, and whether
// that is version 1 or 2 of the key-value engine, is asked of Vault (sys/internal/ui/mounts) and remembered;
// [Options.KV] says it instead, which saves a token with few uses. For version 2 the API spelling with data/
// behind the mount is understood too, so a secret that really is called data/x is kv/data/data/x. A path on any
// other engine is read as it is, and what it returns is a dynamic secret.
//
// Numbers arrive with the digits Vault sends. Version 2 itself keeps them as floating point, so store a whole number
// beyond 2^53 as a string.
//
// # Tokens and leases
//
// The client logs in when first needed, once for all callers, renews its token at about two thirds of its
// life, logs in again when the token nears its maximum or turns out to be revoked, and revokes it in
// [Client.Close]; batch tokens cannot be. A dynamic secret is issued once per path, renewed the same way, replaced before it ends or
// when the token it hangs on does, and revoked in Close; replaced ones are left to those still using them
// and end at the latest there. A token handed over ready-made ([Token]) is renewed but never revoked.
//
// # Traps of the wrapped client that do not reach the caller
//
// What Vault's environment variables say is heeded by [FromEnv] only, though New fails where those for TLS are wrong,
// such as VAULT_CLIENT_CERT without a key or a VAULT_CACERT that is not there. Redirects to another host are refused, so no token
// follows them. Logins, writes and dynamic reads are repeated only where the first try cannot have had an
// effect. Replies are capped, numbers keep their digits, nothing is ever nil without an error, and messages
// hold no token, query or foreign reply body.
//
// # Errors
//
// All are [*secrets.Error], and package secrets says which kind is when. Of note: Vault answers 403 for paths that do not
// exist as well as for those not allowed ([secrets.ErrDenied]); a refused login or a token that is no longer valid is
// [secrets.ErrUnauthenticated]; a certificate that does not verify and a redirect to another host are
// [secrets.ErrInsecure]. The cause holds a *api.ResponseError of github.com/hashicorp/vault/api when Vault replied.
package vault
