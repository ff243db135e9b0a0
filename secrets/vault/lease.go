package vault

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/waybill-dev/waybill/secrets"
)

// lease is one dynamic secret. It changes only under Client.mu.
type lease struct {
	ref       secrets.Ref
	path      string
	id        string
	value     secrets.Value
	session   *session // dies with its token
	full      time.Duration
	expires   time.Time
	renewable bool
	due       time.Time // when the keeper looks after it
	failures  int
}

// dynamic returns the dynamic secret at path: the one at hand, or a new one.
func (c *Client) dynamic(ctx context.Context, ref secrets.Ref, path string) (secrets.Value, secrets.Meta, error) {
	l, err := c.issues.Do(ctx, path, func(ctx context.Context) (*lease, error) {
		if l := c.leased(path); l != nil {
			return l, nil
		}
		return c.issue(ctx, ref, path)
	})
	if err != nil {
		if _, ours := errors.AsType[*secrets.Error](err); !ours {
			err = &secrets.Error{Op: "get", Ref: ref.String(), Err: err}
		}
		return secrets.Value{}, secrets.Meta{}, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return l.value, secrets.Meta{Path: path, Expires: l.expires}, nil
}

func (c *Client) leased(path string) *lease {
	c.mu.Lock()
	defer c.mu.Unlock()
	if l := c.leases[path]; l != nil && time.Now().Before(l.expires) && !l.value.Destroyed() {
		return l
	}
	return nil
}

// issue asks for a new dynamic secret. The request goes on when ctx ends, as the secret may be made by then
// and has to be revoked some day.
func (c *Client) issue(ctx context.Context, ref secrets.Ref, path string) (*lease, error) {
	type result struct {
		l   *lease
		err error
	}
	done := make(chan result, 1)
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return nil, &secrets.Error{Op: "get", Ref: ref.String(), Kind: secrets.ErrClosed}
	}
	c.running.Go(func() {
		patient, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.o.Timeout)
		defer cancel()
		if deadline, ok := ctx.Deadline(); ok { // but no new tries behind the caller's back
			var stop context.CancelFunc
			patient, stop = context.WithDeadline(patient, deadline.Add(5*time.Second))
			defer stop()
		}
		l, err := c.issueNow(patient, ref, path)
		done <- result{l, err}
	})
	c.mu.Unlock()
	select {
	case r := <-done:
		return r.l, r.err
	case <-ctx.Done():
		return nil, &secrets.Error{Op: "get", Ref: ref.String(), Kind: secrets.ErrUnavailable, Err: ctx.Err()}
	}
}

func (c *Client) issueNow(ctx context.Context, ref secrets.Ref, path string) (*lease, error) {
	now := time.Now()
	r := request{op: "get", ref: ref.String(), method: http.MethodGet, path: path, effect: true}
	reply, s, err := c.callAs(ctx, r)
	if err != nil {
		return nil, err
	}
	v, err := document(reply, ref)
	if err != nil {
		return nil, err
	}
	ttl := time.Duration(reply.LeaseDuration) * time.Second
	l := &lease{
		ref: ref, path: path, id: reply.LeaseID, value: v, session: s, renewable: reply.Renewable,
		full: ttl, expires: now.Add(ttl), due: dueAt(now, ttl),
	}
	if l.id == "" {
		l.expires = time.Time{} // an engine without leases: nothing to renew or revoke
		return l, nil
	}
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		err := c.revokeLease(ctx, l)
		return nil, &secrets.Error{Op: "get", Ref: ref.String(), Kind: secrets.ErrClosed, Err: err}
	}
	if old := c.leases[path]; old != nil {
		c.retired = append(c.retired, old)
	}
	c.leases[path] = l
	c.mu.Unlock()
	c.log.LogAttrs(ctx, slog.LevelInfo, "vault lease issued", slog.String("path", path), slog.Duration("ttl", ttl))
	c.keepUp()
	return l, nil
}

// tendLease renews a lease, or retires it when it cannot be renewed for long.
func (c *Client) tendLease(ctx context.Context, l *lease) {
	now := time.Now()
	if l.renewable && now.Before(l.expires) {
		reply, err := c.send(ctx, request{
			op: "renew lease", ref: l.path, method: http.MethodPut, path: "sys/leases/renew", token: l.session.token, once: true,
			body: map[string]any{"lease_id": l.id, "increment": int(l.full.Seconds())},
		})
		switch {
		case ctx.Err() != nil:
			return
		case err == nil && reply != nil:
			ttl := time.Duration(reply.LeaseDuration) * time.Second
			c.mu.Lock()
			l.expires, l.due, l.failures = now.Add(ttl), dueAt(now, ttl), 0
			c.mu.Unlock()
			c.log.LogAttrs(ctx, slog.LevelDebug, "vault lease renewed", slog.String("path", l.path), slog.Duration("ttl", ttl))
			if ttl >= l.full/2 {
				return
			}
		case err != nil && c.lost(ctx, l.session, err):
			return // and told
		case errors.Is(err, secrets.ErrNotFound):
			l.gone()
		case errors.Is(err, secrets.ErrDenied), errors.Is(err, secrets.ErrInvalid):
			c.mu.Lock()
			l.renewable, l.due = false, now.Add(l.expires.Sub(now)/2)
			c.mu.Unlock()
			return
		default:
			c.mu.Lock()
			l.failures++
			l.due = now.Add(backoff(l.failures, l.expires.Sub(now)))
			c.mu.Unlock()
			c.log.LogAttrs(ctx, slog.LevelWarn, "vault lease renewal failed", slog.String("path", l.path), slog.Any("error", err))
			return
		}
	}
	c.retire(l)
}

func (l *lease) gone() { l.id = "" }

// retire takes l out of use, so that the next read gets a new one, and says so. It ends by itself, so that those
// who still use it have time to change over, or in Close.
func (c *Client) retire(l *lease) {
	c.mu.Lock()
	if c.leases[l.path] == l {
		delete(c.leases, l.path)
		if l.id != "" {
			c.retired = append(c.retired, l)
		}
	}
	now := time.Now()
	alive := c.retired[:0]
	for _, old := range c.retired {
		if now.Before(old.expires) {
			alive = append(alive, old)
		}
	}
	c.retired = alive
	c.mu.Unlock()
	c.tell([]secrets.Ref{l.ref})
}

// retireAll takes all leases out of use, for a new token; Client.mu is held. It returns what to tell.
func (c *Client) retireAll() []secrets.Ref {
	var refs []secrets.Ref
	for path, l := range c.leases {
		delete(c.leases, path)
		c.retired = append(c.retired, l)
		refs = append(refs, l.ref)
	}
	return refs
}

func (c *Client) revokeLease(ctx context.Context, l *lease) error {
	if l.id == "" || !time.Now().Before(l.expires) {
		return nil
	}
	_, err := c.send(ctx, request{
		op: "revoke lease", ref: l.path, method: http.MethodPut, path: "sys/leases/revoke", token: l.session.token,
		body: map[string]any{"lease_id": l.id, "sync": true},
	})
	switch {
	case errors.Is(err, secrets.ErrNotFound), errors.Is(err, secrets.ErrUnauthenticated):
		return nil // gone already, by itself or with its token
	case errors.Is(err, secrets.ErrDenied) && l.session.own && !l.session.batch:
		return nil // goes with the token, which is revoked next
	}
	return err
}
