package image_test

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/waybill-dev/waybill/image"
	"github.com/waybill-dev/waybill/image/imagetest"
)

func TestClient_Attach(t *testing.T) {
	for _, without := range []bool{false, true} {
		t.Run(fmt.Sprintf("without the API=%t", without), func(t *testing.T) {
			reg := imagetest.NewServer(t, &imagetest.Options{NoReferrers: without})
			c := client(t, nil)
			ref := reg.Host() + "/app:1"
			_, err := c.Push(t.Context(), build(t, nil), []string{ref}, nil)
			require.NoError(t, err)

			var wg sync.WaitGroup
			const n = 12
			for i := range n {
				wg.Go(func() {
					_, err := c.Attach(t.Context(), ref, []string{"application/sarif+json", "application/spdx+json"}[i%2], strings.NewReader(fmt.Sprint(i)))
					assert.NoError(t, err)
				})
			}
			wg.Wait()
			all, err := c.Referrers(t.Context(), ref, "")
			require.NoError(t, err)
			assert.Len(t, all, n, "none is lost")
			half, err := c.Referrers(t.Context(), ref, "application/sarif+json")
			require.NoError(t, err)
			assert.Len(t, half, n/2)

			again, err := c.Attach(t.Context(), ref, "application/sarif+json", strings.NewReader("0"))
			require.NoError(t, err)
			var content bytes.Buffer
			require.NoError(t, c.Fetch(t.Context(), again, &content))
			assert.Equal(t, "0", content.String())
			all, err = c.Referrers(t.Context(), ref, "")
			require.NoError(t, err)
			assert.Len(t, all, n, "the same content is the same artifact")
		})
	}
}

func TestClient_Referrers_endless(t *testing.T) {
	reg := imagetest.NewServer(t, nil)
	c := client(t, nil)
	ref := reg.Host() + "/app:1"
	p, err := c.Push(t.Context(), build(t, nil), []string{ref}, nil)
	require.NoError(t, err)
	reg.Fail(imagetest.Fault{
		Path: "/referrers/", Times: -1, Status: 200, Body: `{"schemaVersion":2,"manifests":[]}`,
		Header: http.Header{"Content-Type": {"application/vnd.oci.image.index.v1+json"}, "Link": {`</v2/app/referrers/` + p.Digest + `?n=1>; rel="next"`}},
	})
	_, err = c.Referrers(t.Context(), ref, "")
	require.ErrorIs(t, err, image.ErrTooLarge)
}

func TestClient_Copy(t *testing.T) {
	from, to := imagetest.NewServer(t, nil), imagetest.NewServer(t, nil)
	c := client(t, nil)
	l := build(t, image.Files{"a": noise(layerBytes)})
	p, err := c.Push(t.Context(), l, []string{from.Host() + "/app:1"}, nil)
	require.NoError(t, err)

	got, err := c.Copy(t.Context(), p.Ref, to.Host()+"/mirror/app:1", nil)
	require.NoError(t, err)
	assert.Equal(t, l.Digest(), got.Digest)
	assert.Equal(t, []string{"linux/amd64"}, got.Platforms)
	assert.Equal(t, image.BlobUploaded, got.Blobs[0].Status)

	got, err = c.Copy(t.Context(), p.Ref, from.Host()+"/other:1", nil)
	require.NoError(t, err)
	assert.Equal(t, image.BlobMounted, got.Blobs[0].Status)

	from.Fail(imagetest.Fault{Method: "GET", Path: "/blobs/", Corrupt: true, Times: -1})
	_, err = c.Copy(t.Context(), p.Ref, to.Host()+"/fresh:1", nil)
	require.Error(t, err, "the registry does not take what does not match")
	_, err = client(t, &image.Options{Attempts: 2}).Copy(t.Context(), p.Ref, to.Host()+"/fresh:1", nil)
	require.ErrorIs(t, err, image.ErrDigest)
}
