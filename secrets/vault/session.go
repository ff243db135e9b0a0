package vault

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"slices"
	"time"

	"github.com/hashicorp/vault/api"

	"github.com/waybill-dev/waybill/internal/httpx"
	"github.com/waybill-dev/waybill/secrets"
)

// session is one token. It changes only under Client.mu.
type session struct {
	token     secrets.Value
	own       bool // we logged in for it, so we revoke it
	batch     bool // it cannot be revoked, and ends by itself
	ttl       time.Duration
	full      time.Duration // what ttl was at first
	expires   time.Time     // zero: never
	renewable bool
	due       time.Time // when the keeper looks after it; zero: never
	failures  int       // renewals in a row that failed
}

// dueAt is the moment to renew something that lives for ttl: two thirds, less up to a tenth at random.
func dueAt(now time.Time, ttl time.Duration) time.Time {
	return now.Add(ttl*2/3 - rand.N(ttl/10+1)) //nolint:gosec // jitter, not a secret
}

// backoff is the pause after the n-th failed renewal: 1, 2, 4 … 30 seconds, a tenth of it at random, but not so
// long that what is left is slept through.
func backoff(n int, left time.Duration) time.Duration {
	d := min(time.Second<<min(n-1, 5), 30*time.Second)
	d = max(min(d, left/3), 200*time.Millisecond)
	return d - rand.N(d/10+1) //nolint:gosec // jitter, not a secret
}

// call performs r with our token. When Vault no longer knows the token it logs in anew, once.
func (c *Client) call(ctx context.Context, r request) (*api.Secret, error) {
	reply, _, err := c.callAs(ctx, r)
	return reply, err
}

func (c *Client) callAs(ctx context.Context, r request) (*api.Secret, *session, error) {
	for attempt := 1; ; attempt++ {
		s, err := c.session(ctx)
		if err != nil {
			return nil, nil, named(err, r)
		}
		r.token = s.token
		reply, err := c.send(ctx, r)
		if err == nil || attempt > 1 || !c.lost(ctx, s, err) {
			return reply, s, err
		}
	}
}

// named puts what the caller asked for into the error of a login on its behalf.
func named(err error, r request) error {
	e, ok := errors.AsType[*secrets.Error](err)
	if !ok || r.ref == "" {
		return err
	}
	out := *e
	out.Op, out.Ref = r.op, r.ref
	out.Err = fmt.Errorf("%s: %w", e.Op, e.Err)
	if e.Err == nil {
		out.Err = errors.New(e.Op)
	}
	return &out
}

// session returns the token to use, after a login where needed.
func (c *Client) session(ctx context.Context) (*session, error) {
	if s, err := c.usable(); s != nil || err != nil {
		return s, err
	}
	s, err := c.logins.Do(ctx, struct{}{}, func(ctx context.Context) (*session, error) {
		if s, err := c.usable(); s != nil || err != nil {
			return s, err
		}
		return c.logIn(ctx)
	})
	if _, ours := errors.AsType[*secrets.Error](err); err != nil && !ours { // our own context, while somebody else was logging in
		err = &secrets.Error{Op: "login", Err: fmt.Errorf("waiting for another login: %w", err)}
	}
	return s, err
}

// usable returns the current session if its token has not ended.
func (c *Client) usable() (*session, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, &secrets.Error{Op: "use vault client", Kind: secrets.ErrClosed}
	}
	if s := c.current; s != nil && !s.ended() {
		return s, nil
	}
	return nil, nil //nolint:nilnil // none
}

// logIn gets a token and makes it the current one.
func (c *Client) logIn(ctx context.Context) (*session, error) {
	var s *session
	var err error
	if c.login.token != nil {
		s, err = c.adopt(ctx)
	} else {
		s, err = c.obtain(ctx)
	}
	if err != nil {
		c.log.LogAttrs(ctx, slog.LevelWarn, "vault login failed", slog.Any("error", err))
		return nil, err
	}
	c.log.LogAttrs(ctx, slog.LevelInfo, "vault login", slog.Duration("ttl", s.ttl), slog.Bool("renewable", s.renewable))

	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		err := c.revokeSession(context.WithoutCancel(ctx), s)
		return nil, &secrets.Error{Op: "login", Kind: secrets.ErrClosed, Err: err}
	}
	if c.current != nil {
		c.former = append(c.former, c.current)
	}
	c.former = slices.DeleteFunc(c.former, (*session).ended)
	c.current = s
	ended := c.retireAll()
	c.mu.Unlock()
	c.tell(ended)
	c.keepUp()
	return s, nil
}

// obtain logs in with the auth method.
func (c *Client) obtain(ctx context.Context) (*session, error) {
	const op = "login"
	body, err := c.loginBody(ctx)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	reply, err := c.send(ctx, request{op: op, ref: c.login.Path, method: http.MethodPost, path: c.login.Path, body: body, effect: true})
	if err != nil {
		if e, ok := errors.AsType[*secrets.Error](err); ok && (errors.Is(e.Kind, secrets.ErrInvalid) || errors.Is(e.Kind, secrets.ErrDenied)) {
			e.Kind = secrets.ErrUnauthenticated // Vault says 400 for a wrong role or secret id
		}
		return nil, err
	}
	if reply == nil || reply.Auth == nil || reply.Auth.ClientToken == "" {
		return nil, &secrets.Error{Op: op, Ref: c.login.Path, Kind: secrets.ErrMalformed, Err: errors.New("the reply holds no token")}
	}
	s := &session{token: secrets.NewValue(reply.Auth.ClientToken), own: true, batch: reply.Auth.Accessor == ""}
	s.alive(now, time.Duration(reply.Auth.LeaseDuration)*time.Second, reply.Auth.Renewable)
	return s, nil
}

func (c *Client) loginBody(ctx context.Context) (map[string]any, error) {
	fail := func(err error) error {
		return &secrets.Error{Op: "login", Ref: c.login.Path, Kind: secrets.ErrUnauthenticated, Err: fmt.Errorf("getting the credential: %w", err)}
	}
	body := map[string]any{}
	if c.login.Body != nil {
		b, err := c.login.Body(ctx)
		if err != nil {
			return nil, fail(err)
		}
		if body, err = exposed(b); err != nil {
			return nil, &secrets.Error{Op: "login", Ref: c.login.Path, Kind: secrets.ErrInvalid, Err: err}
		}
	}
	if c.login.unwrap == nil {
		return body, nil
	}
	wrapping, err := c.login.unwrap(ctx)
	if err != nil {
		return nil, fail(err)
	}
	reply, err := c.send(ctx, request{
		op: "unwrap the secret id", method: http.MethodPut, path: "sys/wrapping/unwrap",
		token: secrets.NewValue(wrapping), effect: true,
	})
	if err != nil {
		if e, ok := errors.AsType[*secrets.Error](err); ok && !e.Retryable() { // used up, expired, or intercepted: Vault does not say which
			e.Kind = secrets.ErrUnauthenticated
		}
		return nil, err
	}
	if reply != nil {
		if id, ok := reply.Data["secret_id"].(string); ok {
			body["secret_id"] = id
			return body, nil
		}
	}
	return nil, &secrets.Error{Op: "unwrap the secret id", Kind: secrets.ErrMalformed, Err: errors.New("the wrapped reply holds no secret_id")}
}

// adopt takes over a ready-made token.
func (c *Client) adopt(ctx context.Context) (*session, error) {
	fail := func(err error) (*session, error) {
		return nil, &secrets.Error{Op: "get token", Kind: secrets.ErrUnauthenticated, Err: err}
	}
	text, err := c.login.token(ctx)
	if err != nil {
		return fail(err)
	}
	if text == "" {
		return fail(errors.New("it is empty"))
	}
	s := &session{token: secrets.NewValue(text)}
	c.mu.Lock()
	same := c.rejected.Equal(s.token)
	c.mu.Unlock()
	if same {
		return fail(errors.New("it is the one that Vault no longer knows"))
	}
	if c.login.keep {
		return s, nil
	}
	now := time.Now()
	info, err := c.lookUp(ctx, s.token)
	switch {
	case err == nil:
		s.alive(now, info.TTL, info.Renewable)
	case errors.Is(err, secrets.ErrDenied):
		// A token without the right to look at itself is used as it is.
	default:
		return nil, err
	}
	return s, nil
}

// alive notes what Vault said of the token's life.
func (s *session) alive(now time.Time, ttl time.Duration, renewable bool) {
	s.ttl, s.full, s.renewable, s.failures = ttl, max(s.full, ttl), renewable, 0
	s.expires, s.due = time.Time{}, time.Time{}
	if ttl > 0 {
		s.expires, s.due = now.Add(ttl), dueAt(now, ttl)
	}
}

func (s *session) ended() bool { return !s.expires.IsZero() && !time.Now().Before(s.expires) }

// tokenInfo is what a token may know of itself.
type tokenInfo struct {
	TTL       time.Duration
	Renewable bool
	Policies  []string
}

func (c *Client) lookUp(ctx context.Context, token secrets.Value) (tokenInfo, error) {
	reply, err := c.send(ctx, request{op: "look up token", method: http.MethodGet, path: "auth/token/lookup-self", token: token})
	if err != nil {
		return tokenInfo{}, err
	}
	ttl, err1 := reply.TokenTTL()
	renewable, err2 := reply.TokenIsRenewable()
	policies, err3 := reply.TokenPolicies()
	if errors.Join(err1, err2, err3) != nil || reply == nil {
		return tokenInfo{}, &secrets.Error{Op: "look up token", Kind: secrets.ErrMalformed, Err: errors.New("ttl, renewable or policies are missing")}
	}
	return tokenInfo{ttl, renewable, policies}, nil
}

// lost reports whether err means that Vault no longer knows the token of s, and forgets it then. A bare
// "permission denied" may be about the path, so the token is asked about itself.
func (c *Client) lost(ctx context.Context, s *session, err error) bool {
	switch {
	case errors.Is(err, secrets.ErrUnauthenticated):
	case errors.Is(err, secrets.ErrDenied):
		_, lookErr := c.lookUp(ctx, s.token)
		switch {
		case errors.Is(lookErr, secrets.ErrUnauthenticated):
		case errors.Is(lookErr, secrets.ErrDenied) && s.own && c.mayDoubt():
			// Old Vaults deny a dead token without saying why; so do new ones to a live token that may not look at itself.
		default:
			return false
		}
	default:
		return false
	}
	c.forget(s)
	return true
}

// mayDoubt permits one login a minute on mere suspicion.
func (c *Client) mayDoubt() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Since(c.doubted) < time.Minute {
		return false
	}
	c.doubted = time.Now()
	return true
}

// forget drops a session whose token is dead, and with it the leases that died with it.
func (c *Client) forget(s *session) {
	c.mu.Lock()
	if c.current != s {
		c.mu.Unlock()
		return
	}
	c.current = nil
	if !s.own {
		c.rejected = s.token
	}
	var ended []secrets.Ref
	for path, l := range c.leases {
		if l.session == s {
			delete(c.leases, path)
			ended = append(ended, l.ref)
		}
	}
	c.retired = slices.DeleteFunc(c.retired, func(l *lease) bool { return l.session == s })
	c.mu.Unlock()
	c.log.LogAttrs(c.background, slog.LevelWarn, "vault token is no longer valid", slog.Int("leases lost", len(ended)))
	c.tell(ended)
}

// OnInvalid makes f hear of references whose dynamic secret ended early or was replaced. A
// [secrets.Resolver] calls it.
func (c *Client) OnInvalid(f func(r secrets.Ref)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.invalid = append(c.invalid, f)
}

func (c *Client) tell(refs []secrets.Ref) {
	c.mu.Lock()
	listeners := slices.Clone(c.invalid)
	c.mu.Unlock()
	for _, ref := range refs {
		for _, f := range listeners {
			f(ref)
		}
	}
}

// keepUp starts the keeper once there is something to keep, or makes it look at the clock again.
func (c *Client) keepUp() {
	something := !c.nextDue().IsZero()
	c.mu.Lock()
	defer c.mu.Unlock()
	if something && !c.keeping && !c.closed {
		c.keeping = true
		c.running.Go(c.keep)
	}
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// keep renews the token and the leases when they are due, until Close.
func (c *Client) keep() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		if at := c.nextDue(); at.IsZero() {
			timer.Stop()
		} else {
			timer.Reset(time.Until(at))
		}
		select {
		case <-c.background.Done():
			return
		case <-c.wake:
		case <-timer.C:
			c.tend(c.background)
		}
	}
}

// nextDue is when there is something to do; zero for never.
func (c *Client) nextDue() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	var at time.Time
	if c.current != nil {
		at = c.current.due
	}
	for _, l := range c.leases {
		if !l.due.IsZero() && (at.IsZero() || l.due.Before(at)) {
			at = l.due
		}
	}
	return at
}

// tend does what is due, the token first: leases hang on it.
func (c *Client) tend(ctx context.Context) {
	now := time.Now()
	due := func(t time.Time) bool { return !t.IsZero() && !t.After(now) }
	c.mu.Lock()
	s := c.current
	if s != nil && !due(s.due) {
		s = nil
	}
	c.mu.Unlock()
	if s != nil {
		c.tendSession(ctx, s)
	}
	c.mu.Lock()
	var leases []*lease
	for _, l := range c.leases {
		if due(l.due) {
			leases = append(leases, l)
		}
	}
	c.mu.Unlock()
	for _, l := range leases {
		c.tendLease(ctx, l)
	}
}

// tendSession renews the token, or replaces it when it cannot be renewed for long.
func (c *Client) tendSession(ctx context.Context, s *session) {
	now := time.Now()
	if !now.Before(s.expires) {
		c.forget(s)
		return
	}
	if s.renewable {
		reply, err := c.send(ctx, request{
			op: "renew token", method: http.MethodPost, path: "auth/token/renew-self", token: s.token, once: true,
			body: map[string]any{"increment": int(s.full.Seconds())},
		})
		switch {
		case ctx.Err() != nil:
			return
		case err == nil && reply != nil && reply.Auth != nil:
			ttl := time.Duration(reply.Auth.LeaseDuration) * time.Second
			c.mu.Lock()
			s.alive(now, ttl, reply.Auth.Renewable)
			c.mu.Unlock()
			c.log.LogAttrs(ctx, slog.LevelDebug, "vault token renewed", slog.Duration("ttl", ttl))
			if ttl >= s.full/2 || ttl == 0 {
				return
			}
			// The maximum is near; a new token takes its place while this one still works.
		case err != nil && c.lost(ctx, s, err):
		case errors.Is(err, secrets.ErrDenied):
			// Not allowed to renew itself: it lives as long as it lives.
			c.mu.Lock()
			s.renewable, s.due = false, now.Add(s.expires.Sub(now)/2)
			c.mu.Unlock()
			return
		default:
			c.postpone(ctx, s, "vault token renewal failed", err)
			return
		}
	}
	c.replace(ctx, s)
}

// replace logs in anew in place of s.
func (c *Client) replace(ctx context.Context, s *session) {
	_, err := c.logins.Do(ctx, struct{}{}, func(ctx context.Context) (*session, error) {
		c.mu.Lock()
		current := c.current
		c.mu.Unlock()
		if current != nil && current != s {
			return current, nil
		}
		if c.login.token != nil {
			if text, err := c.login.token(ctx); err == nil && s.token.Equal(secrets.NewValue(text)) {
				return nil, errors.New("there is no newer token")
			}
		}
		return c.logIn(ctx)
	})
	if err != nil && ctx.Err() == nil {
		c.postpone(ctx, s, "vault token not replaced", err)
	}
}

func (c *Client) postpone(ctx context.Context, s *session, what string, err error) {
	now := time.Now()
	c.mu.Lock()
	s.failures++
	s.due = now.Add(backoff(s.failures, s.expires.Sub(now)))
	c.mu.Unlock()
	c.log.LogAttrs(ctx, slog.LevelWarn, what, slog.Any("error", err), slog.Time("expires", s.expires))
}

// revokeAll revokes what is still alive: leases first, as their tokens are needed for it.
func (c *Client) revokeAll(ctx context.Context) error {
	c.mu.Lock()
	leases := c.retired
	for _, l := range c.leases {
		leases = append(leases, l)
	}
	sessions := c.former
	if c.current != nil {
		sessions = append(sessions, c.current)
	}
	c.leases, c.retired, c.former, c.current = map[string]*lease{}, nil, nil, nil
	c.mu.Unlock()

	var errs []error
	for _, l := range leases {
		errs = append(errs, c.revokeLease(ctx, l))
	}
	for _, s := range sessions {
		errs = append(errs, c.revokeSession(ctx, s))
	}
	return errors.Join(errs...)
}

func (c *Client) revokeSession(ctx context.Context, s *session) error {
	if !s.own || s.batch || s.ended() {
		return nil
	}
	_, err := c.send(ctx, request{op: "revoke token", method: http.MethodPost, path: "auth/token/revoke-self", token: s.token})
	if errors.Is(err, secrets.ErrUnauthenticated) {
		return nil // gone already
	}
	return err
}

func decode(r io.Reader, what string, into any) error {
	b, err := httpx.ReadAll(r, 1<<20, "the reply of "+what)
	if err == nil && json.Unmarshal(b, into) != nil {
		err = errNotJSON
	}
	return err
}
