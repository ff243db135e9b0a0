package image_test

import (
	"context"
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/waybill-dev/waybill/image"
)

const (
	// helperOp makes the test binary do one thing and end, so that time and memory of a whole process can be
	// compared with a command's.
	helperOp = "IMAGE_TEST_OP"
	// helperPeak names a file for what the kernel says of that process.
	helperPeak = "IMAGE_TEST_PEAK"
)

func TestMain(m *testing.M) {
	if op := os.Getenv(helperOp); op != "" {
		if err := help(context.Background(), op, os.Args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		if path := os.Getenv(helperPeak); path != "" {
			status, _ := os.ReadFile("/proc/self/status")
			_ = os.WriteFile(path, status, 0o600)
		}
		return
	}
	goleak.VerifyTestMain(m)
}

func help(ctx context.Context, op string, args []string) error {
	c, err := image.New(nil)
	if err != nil {
		return err
	}
	switch op {
	case "build": // directory, layout
		l, err := image.Build(ctx, image.Spec{Layers: []image.Source{image.Dir(args[0])}, Platforms: []string{"linux/amd64"}}, args[1], nil)
		if err == nil {
			fmt.Println(l.Digest())
		}
		return err
	case "build-push": // directory, layout, reference
		l, err := image.Build(ctx, image.Spec{Layers: []image.Source{image.Dir(args[0])}}, args[1], nil)
		if err == nil {
			_, err = c.Push(ctx, l, args[2:], nil)
		}
		return err
	case "push": // reference and layout, in turn
		var jobs []image.PushJob
		for i := 0; i < len(args); i += 2 {
			l, err := image.Open(ctx, args[i+1], nil)
			if err != nil {
				return err
			}
			jobs = append(jobs, image.PushJob{Layout: l, Refs: args[i : i+1]})
		}
		_, err = c.PushAll(ctx, jobs, nil)
		return err
	}
	return fmt.Errorf("no such operation: %s", op)
}
