package memnet_test

import (
	"io"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/waybill-dev/waybill/internal/memnet"
)

func TestListener(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := memnet.Listen()
		server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			time.Sleep(time.Hour) // of the bubble's time
			_, _ = io.WriteString(w, "late")
		})}
		go func() { _ = server.Serve(l) }()
		transport := l.Transport()
		client := &http.Client{Transport: transport}
		start := time.Now()
		resp, err := client.Get("http://anywhere/")
		require.NoError(t, err)
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		assert.Equal(t, "late", string(b))
		assert.Equal(t, time.Hour, time.Since(start))

		transport.CloseIdleConnections()
		require.NoError(t, server.Close())
		_, err = l.Dial(t.Context(), "", "")
		require.ErrorIs(t, err, net.ErrClosed)
	})
}
