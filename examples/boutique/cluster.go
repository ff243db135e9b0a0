package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/waybill-dev/waybill/gitops/argocd"
	"github.com/waybill-dev/waybill/gitops/argocd/argocdtest"
	"github.com/waybill-dev/waybill/image"
)

// cluster is what is behind the stand-in for Argo CD: it pulls the image of each Deployment from the registry, by
// digest, and runs its program on a loopback address. What was deployed before this run, without a digest, it
// takes to be healthy and does not run.
type cluster struct {
	argo     *argocdtest.Server
	app      string
	registry *image.Client
	dir      string
	addrs    map[string]string // service to host:port; empty when nothing is run
	why      string            // nothing is run

	ctx    context.Context //nolint:containedctx // the life of the programs
	cancel context.CancelFunc
	tasks  sync.WaitGroup
	fork   sync.RWMutex // a fork while another program is written would keep that one busy

	mu   sync.Mutex
	pods map[string]context.CancelFunc // by service
}

func newCluster(c *config, services []service, work string) (*cluster, error) {
	cl := &cluster{app: c.app, dir: filepath.Join(work, "pods"), addrs: map[string]string{}, pods: map[string]context.CancelFunc{}}
	cl.ctx, cl.cancel = context.WithCancel(context.Background())
	if cl.why = cannotRun(c); cl.why != "" {
		return cl, nil
	}
	// An address of its own in the loopback network, as pods have: on 127.0.0.1 somebody's outgoing connection may
	// have taken a port by the time the program comes to it.
	host := fmt.Sprintf("127.%d.%d.%d:0", 1+rand.IntN(254), rand.IntN(256), 1+rand.IntN(254)) //nolint:gosec // no secret
	for _, s := range services {
		l, err := net.Listen("tcp", host)
		if err != nil {
			return nil, err
		}
		cl.addrs[s.name] = l.Addr().String()
		l.Close()
	}
	return cl, nil
}

// health is called for each manifest as it is applied.
func (c *cluster) health(_ string, r argocdtest.Resource) []argocdtest.Step {
	if r.Kind != "Deployment" || c.addrs[r.Name] == "" || !strings.Contains(r.Images[0], "@sha256:") {
		c.stop(r.Name)
		return nil
	}
	c.stop(r.Name)
	ctx, cancel := context.WithCancel(c.ctx)
	c.mu.Lock()
	c.pods[r.Name] = cancel
	c.mu.Unlock()
	c.tasks.Go(func() {
		say := func(code argocd.HealthCode, message string) {
			if ctx.Err() == nil {
				c.argo.SetHealth(c.app, r.Kind, r.Name, code, message)
			}
		}
		if err := c.run(ctx, r.Name, r.Images[0], func() { say(argocd.Healthy, "") }); err != nil {
			say(argocd.Degraded, err.Error())
		}
	})
	return []argocdtest.Step{{Health: argocd.Progressing}}
}

func (c *cluster) stop(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if cancel := c.pods[name]; cancel != nil {
		cancel()
		delete(c.pods, name)
	}
}

// run pulls an image and runs its program until ctx ends. It calls ready when the program answers.
func (c *cluster) run(ctx context.Context, name, ref string, ready func()) error {
	dir, err := os.MkdirTemp(mkdir(c.dir), name+"-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	layout, err := c.registry.Pull(ctx, ref, filepath.Join(dir, "layout"), nil)
	if err != nil {
		return fmt.Errorf("its image cannot be pulled: %w", err)
	}
	config, err := layout.Config(ctx, "")
	if err != nil {
		return err
	}
	root := filepath.Join(dir, "root")
	c.fork.RLock()
	err = layout.Extract(ctx, root, nil)
	c.fork.RUnlock()
	if err != nil {
		return err
	}
	if len(config.Config.Entrypoint) == 0 {
		return errors.New("the image has no entrypoint")
	}
	program := filepath.Join(root, filepath.FromSlash(config.Config.Entrypoint[0]))
	cmd := exec.CommandContext(ctx, program, append(config.Config.Entrypoint[1:], "-listen", c.addrs[name])...)
	cmd.Dir, cmd.Env = root, config.Config.Env // nothing of ours
	for peer, addr := range c.addrs {
		cmd.Env = append(cmd.Env, strings.ToUpper(peer)+"_ADDR="+addr)
	}
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 2 * time.Second
	c.fork.Lock()
	err = cmd.Start()
	c.fork.Unlock()
	if err != nil {
		return fmt.Errorf("its program does not start: %w", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	probe, done := context.WithTimeout(ctx, 20*time.Second)
	defer done()
	answered := make(chan error, 1)
	go func() { answered <- answers(probe, "http://"+c.addrs[name]+"/healthz") }()
	for {
		select {
		case err := <-answered:
			if err != nil {
				done()
				_ = cmd.Process.Kill()
				<-ended
				return fmt.Errorf("it does not answer: %w", err)
			}
			ready()
			answered = nil
		case err := <-ended:
			if answered != nil {
				done()
				<-answered
			}
			if ctx.Err() != nil || err == nil && answered == nil {
				return nil
			}
			return fmt.Errorf("its program has ended: %v", cmd.ProcessState)
		}
	}
}

// answers waits until a URL answers with 200.
func answers(ctx context.Context, url string) error {
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	transport := &http.Transport{DisableKeepAlives: true}
	client := &http.Client{Transport: transport, Timeout: 2 * time.Second}
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		resp, err := client.Do(req)
		if err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
			err = fmt.Errorf("%s answers %s", url, resp.Status)
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		}
	}
}

// Close ends all programs and waits for them.
func (c *cluster) Close() error {
	c.cancel()
	c.tasks.Wait()
	return nil
}

func mkdir(dir string) string {
	_ = os.MkdirAll(dir, 0o755) // what is wrong with it is seen by its use
	return dir
}
