// Package notify tells the right people what happened: one [Message], several targets, and a [Result] for
// each that says whether it arrived.
//
// A [Message] is plain text and plain data. Each channel turns it into its own markup (HTML and text mail,
// Slack blocks, an adaptive card, JSON) and escapes on the way, so nothing in a message can become markup.
// A [Notifier] is one channel to one place and makes one attempt; the leaves notify/email, notify/slack,
// notify/teams and notify/webhook are such. A [Fanout] holds named targets, picks those that a message is
// for, tries all of them at once, and repeats what may turn out otherwise on another try. A durable queue
// in front of a Fanout is in notify/outbox.
//
// # Exactly once
//
// Between a server's acceptance and our hearing of it a connection can break, so no sender can promise
// exactly one delivery by itself. What this package does: every message has an idempotency key
// ([Message.IdempotencyKey]), the same on every try, which travels as Message-ID in mail and as webhook-id in
// webhooks; a broken-off send is reported as [ErrAmbiguous] and tried again under the same key, so that receivers
// can tell a repetition. Slack and Teams know no such key: there that one case can show a message twice.
//
// # Errors
//
// Everything returned by this package and its leaves is an [*Error], or several joined by [errors.Join]. Its
// Kind is one of the sentinels below, reachable by [errors.Is]; [Retryable] says whether another try can
// help. No error holds a URL, a token, a password or the body of a reply. Errors of the libraries below
// stay reachable by [errors.As] but are no promise.
package notify
