package sonarqube

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/waybill-dev/waybill/scan"
)

func FuzzParseTask(f *testing.F) {
	for _, s := range []string{
		"projectKey=shop\nserverUrl=https://sonar.example.com\nserverVersion=25.11.0.114957\ndashboardUrl=https://sonar.example.com/dashboard?id=shop\nceTaskId=AZ-x_1\nceTaskUrl=https://sonar.example.com/api/ce/task?id=AZ-x_1\n",
		"organization=acme\r\nprojectKey=a:b\r\nceTaskId=1\r\n", // Windows, Maven keys
		"ceTaskId=a=b", "ceTaskId=1\nceTaskId=2", " ceTaskId = 1", "projectKey=shop\nceTas", "=", "ceTaskId=", "", "\x00",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		task, project, err := parseTask(b)
		if err != nil {
			require.Empty(t, task+project)
			return
		}
		require.NotEmpty(t, task)
		require.NotContains(t, task+project, "\n", "what goes into a URL is of one line")
		require.Contains(t, string(b), "ceTaskId="+task)
	})
}

// answers is a server whose every answer is the same.
type answers []byte

func (a answers) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusOK, Status: "200 OK", Header: http.Header{}, Body: io.NopCloser(bytes.NewReader(a)), Request: r}, nil
}

// Whatever a server says, the client says no more than that: what it counts is there, or there is an error.
func FuzzFindings(f *testing.F) {
	for _, s := range []string{
		`{"paging":{"total":0},"issues":[],"hotspots":[],"components":[],"rules":[]}`,
		`{"paging":{"total":1},"issues":[{"key":"i","rule":"go:S1","component":"shop:a.go","project":"shop","line":3,"message":"m","severity":"MAJOR","type":"BUG","textRange":{"startLine":3,"endLine":3,"startOffset":0,"endOffset":2}}],"hotspots":[{"key":"h","component":"shop:a.go","ruleKey":"go:S2","message":"m","status":"TO_REVIEW","vulnerabilityProbability":"HIGH"}],"components":[{"key":"shop:a.go","path":"a.go"}],"rules":[{"key":"go:S1","name":"n"}]}`,
		`{"paging":{"total":2},"issues":[{"key":"i"}]}`, `{"paging":{"total":-1}}`, `{"issues":[{"key":""}]}`, `{"issues":[1]}`, `{"paging":{"total":10000}}`,
		`{"paging":{"total":501},"issues":[{"key":"i"}]}`, `[]`, `{`, `null`, `{"issues":[{"key":"i","textRange":{"startLine":9e99}}]}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		s, err := New(&Options{
			URL: "https://sonar.example.com", ProjectKey: "shop", HTTPClient: &http.Client{Transport: answers(body)}, MaxIssues: 20_000, Poll: time.Nanosecond,
			Token: func(context.Context) (string, error) { return "t", nil },
		})
		require.NoError(t, err)
		c := &client{Scanner: s, token: "t", release: [2]int{25, 11}}
		r, err := c.findings(t.Context(), scan.Target{Kind: scan.Dir, Path: "."})
		if err != nil {
			_, ok := err.(*scan.Error) //nolint:errorlint // it is to be one, not to hold one
			require.True(t, ok, "%T", err)
			require.NotContains(t, strings.TrimSpace(err.Error()), "\n")
			return
		}
		var said struct{ Paging struct{ Total int } }
		require.NoError(t, json.Unmarshal(body, &said))
		unread := 0
		for _, u := range r.Unplaced {
			unread += u.Count
		}
		require.GreaterOrEqual(t, len(r.Findings)+unread, said.Paging.Total)
	})
}
