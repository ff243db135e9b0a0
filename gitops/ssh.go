package gitops

import (
	"context"
)

func (r *Repo) dialSSH(ctx context.Context) (transport, error) {
	return nil, faultf(ErrOptions, "ssh: not yet")
}
