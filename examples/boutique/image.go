package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"sync"

	"github.com/waybill-dev/waybill/image"
	"github.com/waybill-dev/waybill/image/docker"
	"github.com/waybill-dev/waybill/scan"
)

// ship is the image stage: it builds an image of each service, scans the very bytes that are to be pushed, and
// pushes them when the gate is content with all that was found from the source on.
func (p *pipeline) ship(ctx context.Context) error {
	if p.stage == "image" {
		if err := p.fetchSecrets(ctx); err != nil {
			return err
		}
	}
	layouts, err := p.build(ctx)
	if err != nil {
		return err
	}
	var targets []scan.Target
	for _, l := range layouts {
		targets = append(targets, scan.Target{Kind: scan.Layout, Path: l.Dir()})
	}
	scanning := p.scan(ctx, job{
		step: "trivy", scanner: p.images, targets: targets,
		category: func(t scan.Target) string { return "image:" + filepath.Base(t.Path) },
	})
	if ctx.Err() != nil {
		return errors.Join(ctx.Err(), scanning)
	}
	if err := p.gate(ctx, "image-gate", scanning); err != nil {
		return err
	}
	return p.push(ctx, layouts)
}

// build builds the images, some at a time.
func (p *pipeline) build(ctx context.Context) (layouts []*image.Layout, err error) {
	layouts, errs := make([]*image.Layout, len(p.services)), make([]error, len(p.services))
	p.record.Images = make([]shipped, len(p.services))
	err = p.do(ctx, "build", len(p.services), func(ctx context.Context, st ongoing) error {
		slots := make(chan struct{}, runtime.NumCPU())
		var all sync.WaitGroup
		for i, s := range p.services {
			all.Go(func() {
				slots <- struct{}{}
				defer func() { <-slots }()
				dir := path.Join("images", s.name)
				if layouts[i], errs[i] = p.buildOne(ctx, s, p.path(dir)); errs[i] == nil {
					p.record.Images[i] = shipped{
						Service: s.name, Layout: dir, Repository: p.repository(s.name), Tag: p.record.Build, Digest: layouts[i].Digest(),
					}
				}
				st.Add(1)
			})
		}
		all.Wait()
		var bytes int64
		for _, l := range layouts {
			if l == nil {
				continue
			}
			for _, b := range l.Blobs() {
				bytes += b.Bytes
			}
		}
		st.Detail = fmt.Sprintf("%d images, %.1f MB", len(layouts), float64(bytes)/1e6)
		return errors.Join(errs...)
	})
	return layouts, err
}

// buildOne builds an image as the service's Dockerfile says. A Go program is compiled here, so that the same one
// is in the image whatever builds it.
func (p *pipeline) buildOne(ctx context.Context, s service, dir string) (*image.Layout, error) {
	source := filepath.Join(p.source, s.dir)
	program, err := programIn(source)
	if p.builder == "go" {
		if err != nil {
			return nil, fmt.Errorf("%s: %w", s.name, err)
		}
		spec := program.spec
		spec.Layers = []image.Source{program.compiler(source, p.work)}
		spec.Revision, spec.Version = p.record.Commit, p.record.Build
		return image.Build(ctx, spec, dir, nil)
	}
	if err == nil {
		if _, missing := os.Stat(filepath.Join(source, program.file)); missing != nil {
			if source, err = program.buildContext(ctx, source, p.work); err != nil {
				return nil, err
			}
			defer os.RemoveAll(source)
		}
	}
	return docker.Build(ctx, docker.Spec{
		Context: source, Revision: p.record.Commit, Version: p.record.Build,
	}, dir, &docker.Options{Builder: docker.Builder(p.builder), Address: p.buildkit})
}

// push pushes the layouts with the build as their tag.
func (p *pipeline) push(ctx context.Context, layouts []*image.Layout) error {
	return p.do(ctx, "push", 0, func(ctx context.Context, st ongoing) error {
		var jobs []image.PushJob
		for i, l := range layouts {
			if l.Digest() != p.record.Images[i].Digest {
				return fmt.Errorf("the image of %s is not the one that was scanned", p.record.Images[i].Service)
			}
			jobs = append(jobs, image.PushJob{Layout: l, Refs: []string{p.repository(p.services[i].name) + ":" + p.record.Build}})
		}
		pushed, err := p.registry.PushAll(ctx, jobs, nil)
		var sent int64
		for i, done := range pushed {
			if done == nil {
				continue
			}
			p.record.Images[i].Pushed = true
			for _, b := range done.Blobs {
				if b.Status == image.BlobUploaded {
					sent += b.Bytes
				}
			}
		}
		st.Detail = fmt.Sprintf("%d images with the tag %s, %.1f MB sent", len(pushed), p.record.Build, float64(sent)/1e6)
		if errors.Is(err, image.ErrTagExists) {
			return fmt.Errorf("%w: build %s was pushed before, and not of these bytes: %w", errStopped, p.record.Build, err)
		}
		return err
	})
}

func (c *config) repository(service string) string {
	return path.Join(c.registry, c.prefix, service)
}
