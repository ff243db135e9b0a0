package vault

import "time"

// Renewing reports whether the token's renewal is due, so that the keeper is at it.
func (c *Client) Renewing() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.current != nil && !c.current.due.IsZero() && time.Since(c.current.due) > 20*time.Millisecond
}

// Tokens counts those that are kept to be revoked.
func (c *Client) Tokens() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.former)
}
